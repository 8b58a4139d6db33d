package reaper

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// passTime is when the reports of these tests were made.
var passTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// oldWorker is a residual process that came due so long before passTime, with
// so many connections; change makes it the process of the test.
func oldWorker(due time.Duration, client, server int, change func(*Process)) Process {
	at := passTime.Add(-due)
	p := Process{
		Role: RoleResidual, Due: &at, Listeners: []string{},
		Connections: Connections{Client: &client, Server: &server},
	}
	if change != nil {
		change(&p)
	}
	return p
}

func after(outcome Outcome, signals ...string) func(*Process) {
	return func(p *Process) { p.Verdict, p.Outcome, p.Signals = VerdictTerminate, outcome, signals }
}

func refused(reason Reason) func(*Process) {
	return func(p *Process) { p.Verdict, p.Reason = VerdictRefuse, reason }
}

func onePass(processes ...Process) Report {
	return Report{Time: passTime, Instances: []Instance{{Name: "haproxy.service", Processes: processes}}}
}

func TestCountersAdd(t *testing.T) {
	tests := []struct {
		name   string
		report Report
		failed bool
		want   Counters
	}{
		{
			"a pass on a host without HAProxy is a run",
			Report{Time: passTime}, false,
			Counters{Runs: 1, Units: map[string]UnitCounters{}},
		},
		{
			"a pass that failed is a run and a failure",
			Report{Time: passTime}, true,
			Counters{Runs: 1, RunFailures: 1, Units: map[string]UnitCounters{}},
		},
		{
			"an instance that nothing happened to has its entry",
			onePass(oldWorker(-time.Minute, 3, 3, nil)), false,
			unitCounts(UnitCounters{}),
		},
		{
			"a worker that left after SIGTERM took its connections with it",
			onePass(oldWorker(time.Minute, 3, 2, after(OutcomeTerminated, "SIGTERM"))), false,
			unitCounts(UnitCounters{
				Signals:             map[string]uint64{"SIGTERM": 1},
				TerminatedProcesses: 1, TerminatedConnections: 5,
			}),
		},
		{
			"one that needed SIGKILL was sent both signals",
			onePass(oldWorker(time.Minute, 1, 0, after(OutcomeKilled, "SIGTERM", "SIGKILL"))), false,
			unitCounts(UnitCounters{
				Signals:             map[string]uint64{"SIGTERM": 1, "SIGKILL": 1},
				TerminatedProcesses: 1, TerminatedConnections: 1,
			}),
		},
		{
			"one that left by itself after draining was terminated without a signal",
			onePass(oldWorker(time.Minute, 1, 1, after(OutcomeDrained))), false,
			unitCounts(UnitCounters{TerminatedProcesses: 1, TerminatedConnections: 2}),
		},
		{
			"connections that could not be counted add nothing",
			onePass(oldWorker(time.Minute, 1, 4, func(p *Process) {
				after(OutcomeTerminated, "SIGTERM")(p)
				p.Connections = Connections{Server: p.Connections.Server}
			})), false,
			Counters{
				Runs: 1, InspectionErrors: map[Stage]uint64{StageConnections: 1},
				Units: map[string]UnitCounters{"haproxy.service": {
					Signals:             map[string]uint64{"SIGTERM": 1},
					TerminatedProcesses: 1, TerminatedConnections: 4,
				}},
			},
		},
		{
			"a survivor was signalled and not terminated",
			onePass(oldWorker(time.Minute, 3, 3, after(OutcomeSurvived, "SIGTERM"))), false,
			unitCounts(UnitCounters{Signals: map[string]uint64{"SIGTERM": 1}}),
		},
		{
			"one that left before we acted is not our doing",
			onePass(oldWorker(time.Minute, 3, 3, after(OutcomeVanished))), false,
			unitCounts(UnitCounters{}),
		},
		{
			"a first signal that could not be sent was SIGTERM",
			onePass(oldWorker(time.Minute, 3, 3, after(OutcomeFailed))), true,
			func() Counters {
				c := unitCounts(UnitCounters{SignalFailures: map[string]uint64{"SIGTERM": 1}})
				c.RunFailures = 1
				return c
			}(),
		},
		{
			"a second signal that could not be sent was SIGKILL",
			onePass(oldWorker(time.Minute, 3, 3, after(OutcomeFailed, "SIGTERM"))), false,
			unitCounts(UnitCounters{
				Signals:        map[string]uint64{"SIGTERM": 1},
				SignalFailures: map[string]uint64{"SIGKILL": 1},
			}),
		},
		{
			"a dry run counts neither signals nor terminations",
			func() Report {
				r := onePass(
					oldWorker(time.Minute, 3, 3, after(OutcomeDryRun, "SIGTERM")),
					oldWorker(time.Minute, 3, 3, after(OutcomeTerminated, "SIGTERM")))
				r.DryRun = true
				return r
			}(), false,
			unitCounts(UnitCounters{}),
		},
		{
			"a dry run counts the refusal that would have withheld a termination",
			func() Report {
				r := onePass(oldWorker(time.Minute, 3, 3, refused(ReasonPaused)))
				r.DryRun = true
				return r
			}(), false,
			unitCounts(UnitCounters{Refusals: map[Reason]uint64{ReasonPaused: 1}}),
		},
		{
			"a refusal counts once however many processes were due",
			onePass(
				oldWorker(time.Hour, 3, 3, refused(ReasonNotListening)),
				oldWorker(time.Minute, 3, 3, refused(ReasonNotListening))), false,
			unitCounts(UnitCounters{Refusals: map[Reason]uint64{ReasonNotListening: 1}}),
		},
		{
			"a refusal counts from the very moment of the deadline",
			onePass(oldWorker(0, 3, 3, refused(ReasonNotListening))), false,
			unitCounts(UnitCounters{Refusals: map[Reason]uint64{ReasonNotListening: 1}}),
		},
		{
			"a refusal with nobody due withheld nothing",
			onePass(oldWorker(-time.Second, 3, 3, refused(ReasonNotListening))), false,
			unitCounts(UnitCounters{}),
		},
		{
			"what the cap left for the next pass is no refusal",
			onePass(oldWorker(time.Minute, 3, 3, func(p *Process) { p.Verdict, p.Reason = VerdictWait, ReasonMaxTerminations })), false,
			unitCounts(UnitCounters{}),
		},
		{
			"the reason is the instance's where it has one",
			func() Report {
				r := onePass(oldWorker(time.Minute, 3, 3, refused(ReasonChanged)))
				r.Instances[0].Refusal = ReasonReloading
				return r
			}(), false,
			unitCounts(UnitCounters{Refusals: map[Reason]uint64{ReasonReloading: 1}}),
		},
		{
			"what could not be read is counted by stage",
			func() Report {
				r := onePass(
					Process{Role: RoleStray, Error: "descriptors: permission denied"},
					oldWorker(-time.Hour, 3, 3, func(p *Process) { p.Connections.Client = nil }))
				r.Errors = []string{"list /proc: input/output error"}
				return r
			}(), true,
			Counters{
				Runs: 1, RunFailures: 1,
				InspectionErrors: map[Stage]uint64{StageProcesses: 1, StageListeners: 1, StageConnections: 1},
				Units:            map[string]UnitCounters{"haproxy.service": {}},
			},
		},
		{
			"an error on a process whose sockets were read is not one of inspection",
			onePass(oldWorker(time.Minute, 3, 3, func(p *Process) {
				after(OutcomeFailed)(p)
				p.Error = "send SIGTERM: operation not permitted"
			})), false,
			unitCounts(UnitCounters{SignalFailures: map[string]uint64{"SIGTERM": 1}}),
		},
		{
			"a name that is no text is counted under the name its JSON has",
			Report{Time: passTime, Instances: []Instance{{Name: "\xff.cfg"}}}, false,
			Counters{Runs: 1, Units: map[string]UnitCounters{"\uFFFD.cfg": {}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Counters
			got.Add(tt.report, tt.failed)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// unitCounts is one successful pass over haproxy.service.
func unitCounts(u UnitCounters) Counters {
	return Counters{Runs: 1, Units: map[string]UnitCounters{"haproxy.service": u}}
}

func TestCountersAddUp(t *testing.T) {
	var got Counters
	terminated := oldWorker(time.Minute, 3, 3, after(OutcomeTerminated, "SIGTERM"))
	got.Add(onePass(terminated, terminated), false)
	got.Add(Report{Time: passTime, Instances: []Instance{{Name: "edge.service"}}}, true)
	got.Add(onePass(terminated, oldWorker(time.Minute, 1, 1, refused(ReasonStray))), false)
	want := Counters{Runs: 3, RunFailures: 1, Units: map[string]UnitCounters{
		"edge.service": {},
		"haproxy.service": {
			Signals:             map[string]uint64{"SIGTERM": 3},
			TerminatedProcesses: 3, TerminatedConnections: 18,
			Refusals: map[Reason]uint64{ReasonStray: 1},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after three passes (-want +got):\n%s", diff)
	}
}

func TestCountersForgetInstancesThatAreGoneWhenThereAreTooMany(t *testing.T) {
	var c Counters
	for n := range maxUnits {
		c.Add(Report{Instances: []Instance{{Name: fmt.Sprintf("%d.cfg", n)}}}, false)
	}
	if len(c.Units) != maxUnits {
		t.Fatalf("%d instances remembered, want all %d", len(c.Units), maxUnits)
	}
	c.Add(Report{Instances: []Instance{{Name: "0.cfg"}, {Name: "one too many.cfg"}}}, false)
	want := map[string]UnitCounters{"0.cfg": {}, "one too many.cfg": {}}
	if diff := cmp.Diff(want, c.Units); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
}
