package state

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// lookedAt is a report of such a process of haproxy.service, at bootAge; with
// none of a host where it is gone.
func lookedAt(processes ...judge.Process) judge.Report {
	r := onePass(processes...)
	r.Boottime = bootAge
	return r
}

// superseded makes the process one that was superseded so long ago.
func superseded(ago time.Duration, change func(*judge.Process)) judge.Process {
	p := oldWorker(0, 1, 1, change)
	p.ProcID = inspect.ProcID{PID: 6034, StartTicks: 4305}
	seconds := ago.Seconds()
	p.ResidualSeconds = &seconds
	return p
}

// passes runs them one after another over a state of their own.
func passes(reports ...judge.Report) State {
	s := State{Memory: judge.Memory{}}
	for _, r := range reports {
		look := r
		look.Instances = nil
		for _, in := range r.Instances {
			in.Processes = append([]judge.Process{}, in.Processes...)
			for i := range in.Processes {
				in.Processes[i].Outcome = "" // a look sees nobody's end
			}
			look.Instances = append(look.Instances, in)
		}
		s.Add(Ended{Report: r, Before: s.Memory, After: judge.Remember(s.Memory, look)})
	}
	return s
}

func TestALifeIsCountedOnceAndByItsEnd(t *testing.T) {
	there := lookedAt(superseded(10*time.Minute, nil))
	gone := lookedAt()
	gone.Boottime += time.Minute
	survived := lookedAt(superseded(10*time.Minute, after(judge.OutcomeSurvived, "SIGTERM")))
	blind := judge.Report{Time: passTime, Errors: []string{"list /proc"}}
	refusedPass := lookedAt(superseded(10*time.Minute, nil))
	refusedPass.Instances[0].Refusal = judge.ReasonTie
	left := func(how Departure, lived time.Duration) map[Departure]Lifetimes {
		return map[Departure]Lifetimes{how: Lifetimes{}.Add(lived)}
	}
	for _, tt := range []struct {
		name       string
		passes     []judge.Report
		want       map[Departure]Lifetimes
		terminated uint64
	}{
		{"one that is there has not ended", []judge.Report{there, there}, nil, 0},
		{"one that is gone left by itself", []judge.Report{there, gone, gone}, left(DepartureLeft, 11*time.Minute), 0},
		{"so did one that vanished before its signal", []judge.Report{lookedAt(superseded(10*time.Minute, after(judge.OutcomeVanished))), gone}, left(DepartureLeft, 10*time.Minute), 0},
		{"one that left after SIGTERM was terminated", []judge.Report{there, lookedAt(superseded(10*time.Minute, after(judge.OutcomeTerminated, "SIGTERM"))), gone}, left(DepartureTerminated, 10*time.Minute), 1},
		{"one that took SIGKILL was killed", []judge.Report{lookedAt(superseded(10*time.Minute, after(judge.OutcomeKilled, "SIGTERM", "SIGKILL"))), gone}, left(DepartureKilled, 10*time.Minute), 1},
		{"a survivor that leaves later was terminated all the same", []judge.Report{survived, there, gone}, left(DepartureTerminated, 11*time.Minute), 1},
		{"so was one that leaves while the next pass looks", []judge.Report{survived, lookedAt(superseded(10*time.Minute, after(judge.OutcomeVanished))), gone}, left(DepartureTerminated, 10*time.Minute), 1},
		{"nobody is gone for a pass that saw nothing", []judge.Report{there, blind}, nil, 0},
		{"and who left meanwhile is found gone by the next", []judge.Report{there, blind, gone}, left(DepartureLeft, 11*time.Minute), 0},
		{"one that only refused passes saw is not known to have been residual", []judge.Report{refusedPass, gone}, nil, 0},
		{"a refusal later changes nothing", []judge.Report{there, refusedPass, gone}, left(DepartureLeft, 11*time.Minute), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := passes(tt.passes...).Counters.Units["haproxy.service"]
			if diff := cmp.Diff(tt.want, got.Lifetimes); diff != "" {
				t.Errorf("lifetimes (-want +got):\n%s", diff)
			}
			if got.TerminatedProcesses != tt.terminated {
				t.Errorf("%d terminated, want %d", got.TerminatedProcesses, tt.terminated)
			}
		})
	}
}

// A dry run by hand beside the timer may have begun before what the timer
// found gone.
func TestNobodyIsBuriedByTwoRunsSideBySide(t *testing.T) {
	s := passes(lookedAt(superseded(time.Minute, nil)))
	gone := Ended{Report: lookedAt(), Before: s.Memory, After: judge.Memory{}}
	s.Add(gone)
	s.Add(gone)
	if got := s.Counters.Units["haproxy.service"].Lifetimes[DepartureLeft]; got.Buckets[0] != 1 {
		t.Errorf("one life is counted %d times", got.Buckets[0])
	}
}

func TestLifetimesOfOtherBoundsStartAgain(t *testing.T) {
	old := Lifetimes{Buckets: []uint64{7, 7}, SumSeconds: 90}
	want := Lifetimes{}.Add(time.Minute)
	if diff := cmp.Diff(want, old.Add(time.Minute)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want.Buckets[0] != 1 || want.SumSeconds != 60 {
		t.Errorf("a life of a minute is counted as %v", want)
	}
	if diff := cmp.Diff(want, old.Plus(want)); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, want.Plus(old)); diff != "" {
		t.Errorf("sum the other way (-want +got):\n%s", diff)
	}
}
