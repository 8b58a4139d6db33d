package reaper_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// The master CLI is a witness where it answers. Where there is none that is no
// error; where there is one that does not answer, the report says so.
func TestTheMasterCLIIsAWitnessWhereItAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		host  func() *fakehost.World
		want  []string
		error string // a part of it
	}{
		{"it answers", func() *fakehost.World {
			w, s := reloaded()
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
			return w
		}, []string{"sockets", "arguments", "cli"}, ""},
		{"nobody answers at its socket", func() *fakehost.World {
			w, _ := reloaded()
			return w
		}, []string{"sockets", "arguments"}, "refused"},
		{"a daemon has none", func() *fakehost.World {
			w := fakehost.New()
			ordinary(w)
			fakehost.Daemon(w, "/etc/d.cfg", 201, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0))
			fakehost.Daemon(w, "/etc/d.cfg", 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
			return w
		}, []string{"sockets", "arguments"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := look(t, tt.host()).Instances[0]
			if diff := cmp.Diff(tt.want, in.Witnesses); diff != "" {
				t.Errorf("witnesses (-want +got):\n%s", diff)
			}
			if (in.CLIError == "") != (tt.error == "") || !strings.Contains(in.CLIError, tt.error) {
				t.Errorf("error is %q, want %q", in.CLIError, tt.error)
			}
		})
	}
}

// Each question to a worker that does not answer may cost its master a connection
// for ever: it is asked once in its life, by whichever look of whichever pass.
func TestAWorkerThatDoesNotAnswerIsRemembered(t *testing.T) {
	w, s := reloaded()
	s.Answer(map[int]bool{101: true, 102: true, 103: false})
	silence := func(pid int) {
		w.Change(func() { s.Master.CLI[fmt.Sprintf("@!%d show info", pid)] = fakehost.Silence })
	}
	silence(102)
	dials := 0
	w.Before = func(_ int, call, _ string) error {
		if call == "Dial" {
			dials++
		}
		return nil
	}
	one := func(memory judge.Memory, deadline time.Duration) (judge.Report, judge.Memory) {
		t.Helper()
		p := pass(t, w)
		p.Terminator, p.Policy.Deadline, p.Memory = reaper.DryRun{}, deadline, memory
		dials = 0
		r := run(t, p)
		return r, p.Memory
	}
	silent := func(m judge.Memory) (pids []int) {
		for id, seen := range m {
			if seen.Silent {
				pids = append(pids, id.PID)
			}
		}
		slices.Sort(pids)
		return pids
	}

	r, memory := one(nil, 0)
	if want := "master CLI: no answer of 102 (none within 1s), 101 (not asked after that)"; r.Instances[0].CLIError != want {
		t.Errorf("the error is %q, want %q", r.Instances[0].CLIError, want)
	}
	if got := silent(memory); !slices.Equal(got, []int{102}) || dials != 2 {
		t.Errorf("silent are %v, after %d connections of two looks", got, dials)
	}
	if _, after := one(memory, 24*time.Hour); !slices.Equal(silent(after), []int{102}) || dials != 1 {
		t.Errorf("silent are %v, after %d connections of one look", silent(after), dials)
	}

	// The second look of a pass finds another one.
	w.Before = func(_ int, call, _ string) error {
		if call == "Dial" {
			if dials++; dials == 2 {
				silence(101)
			}
		}
		return nil
	}
	r, memory = one(memory, 0)
	if want := "master CLI: no answer of 102 (not asked: it did not answer before)"; r.Instances[0].CLIError != want {
		t.Errorf("the error is %q, want %q", r.Instances[0].CLIError, want)
	}
	if got := silent(memory); !slices.Equal(got, []int{101, 102}) {
		t.Errorf("silent are %v", got)
	}
	for pid, outcome := range map[int]judge.Outcome{101: judge.OutcomeDryRun, 102: judge.OutcomeDryRun} {
		if got := process(t, r, pid).Outcome; got != outcome {
			t.Errorf("%d, which does not answer, is %q", pid, got)
		}
	}

	// It is kept by the state, and forgotten with the process.
	dir := t.TempDir()
	if _, err := state.Update(dir, "boot", w.Now(), w.Boottime(), func(s *state.State) { s.Memory = memory }); err != nil {
		t.Fatal(err)
	}
	state, err := state.Load(dir, "boot", w.Now(), w.Boottime())
	if err != nil || !slices.Equal(silent(state.Memory), []int{101, 102}) {
		t.Errorf("the state has %v, %v", silent(state.Memory), err)
	}
	w.Exit(102)
	if _, memory = one(state.Memory, 0); !slices.Equal(silent(memory), []int{101}) {
		t.Errorf("silent are %v", silent(memory))
	}
}

// Of two that started in one tick neither superseded the other: the deadline of
// both counts from the next one.
func TestWhoStartedInTheSameTickSupersedesNobody(t *testing.T) {
	w, s := reloaded()
	s.Worker(101, ticks(30*time.Minute), nil, fakehost.Client(443, 1, 0))
	r := look(t, w)
	for _, pid := range []int{101, 102} {
		p := process(t, r, pid)
		if p.Role != judge.RoleResidual && p.Role != judge.RoleStranded {
			t.Errorf("%d is %s", pid, p.Role)
		}
	}
	if got := *process(t, r, 102).ResidualSeconds; got != 600 {
		t.Errorf("102 is residual for %v s, want 600", got)
	}
}
