package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// passTime is when the reports of these tests were made.
var passTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// oldWorker is a residual process that came due so long before passTime, with
// so many connections; change makes it the process of the test.
func oldWorker(due time.Duration, client, server int, change func(*judge.Process)) judge.Process {
	at := passTime.Add(-due)
	p := judge.Process{
		Role: judge.RoleResidual, Due: &at, Listeners: []string{},
		Connections: judge.Connections{Client: &client, Server: &server},
	}
	if change != nil {
		change(&p)
	}
	return p
}

func after(outcome judge.Outcome, signals ...string) func(*judge.Process) {
	return func(p *judge.Process) { p.Verdict, p.Outcome, p.Signals = judge.VerdictTerminate, outcome, signals }
}

func refused(reason judge.Reason) func(*judge.Process) {
	return func(p *judge.Process) { p.Verdict, p.Reason = judge.VerdictRefuse, reason }
}

func onePass(processes ...judge.Process) judge.Report {
	return judge.Report{Time: passTime, Instances: []judge.Instance{{Name: "haproxy.service", Processes: processes}}}
}

// ofAnyOwner leaves out whose instances they are.
var ofAnyOwner = cmpopts.IgnoreFields(UnitCounters{}, "Owner")

func TestCountersAdd(t *testing.T) {
	tests := []struct {
		name   string
		report judge.Report
		failed bool
		want   Counters
	}{
		{
			"a pass on a host without HAProxy is a run",
			judge.Report{Time: passTime}, false,
			Counters{Runs: 1, Units: map[string]UnitCounters{}},
		},
		{
			"a pass that failed is a run and a failure",
			judge.Report{Time: passTime}, true,
			Counters{Runs: 1, RunFailures: 1, Units: map[string]UnitCounters{}},
		},
		{
			"an instance that nothing happened to has its entry",
			onePass(oldWorker(-time.Minute, 3, 3, nil)), false,
			unitCounts(UnitCounters{}),
		},
		{
			"a worker that left after SIGTERM took its connections with it",
			onePass(oldWorker(time.Minute, 3, 2, after(judge.OutcomeTerminated, "SIGTERM"))), false,
			unitCounts(UnitCounters{
				Signals:             map[string]uint64{"SIGTERM": 1},
				TerminatedProcesses: 1, TerminatedConnections: 5,
			}),
		},
		{
			"one that needed SIGKILL was sent both signals",
			onePass(oldWorker(time.Minute, 1, 0, after(judge.OutcomeKilled, "SIGTERM", "SIGKILL"))), false,
			unitCounts(UnitCounters{
				Signals:             map[string]uint64{"SIGTERM": 1, "SIGKILL": 1},
				TerminatedProcesses: 1, TerminatedConnections: 1,
			}),
		},
		{
			"one that left by itself after draining was terminated without a signal",
			onePass(oldWorker(time.Minute, 1, 1, after(judge.OutcomeDrained))), false,
			unitCounts(UnitCounters{TerminatedProcesses: 1, TerminatedConnections: 2}),
		},
		{
			"connections that could not be counted add nothing",
			onePass(oldWorker(time.Minute, 1, 4, func(p *judge.Process) {
				after(judge.OutcomeTerminated, "SIGTERM")(p)
				p.Connections = judge.Connections{Server: p.Connections.Server}
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
			onePass(oldWorker(time.Minute, 3, 3, after(judge.OutcomeSurvived, "SIGTERM"))), false,
			unitCounts(UnitCounters{Signals: map[string]uint64{"SIGTERM": 1}}),
		},
		{
			"one that left before we acted is not our doing",
			onePass(oldWorker(time.Minute, 3, 3, after(judge.OutcomeVanished))), false,
			unitCounts(UnitCounters{}),
		},
		{
			"a first signal that could not be sent was SIGTERM",
			onePass(oldWorker(time.Minute, 3, 3, after(judge.OutcomeFailed))), true,
			func() Counters {
				c := unitCounts(UnitCounters{SignalFailures: map[string]uint64{"SIGTERM": 1}})
				c.RunFailures = 1
				return c
			}(),
		},
		{
			"a second signal that could not be sent was SIGKILL",
			onePass(oldWorker(time.Minute, 3, 3, after(judge.OutcomeFailed, "SIGTERM"))), false,
			unitCounts(UnitCounters{
				Signals:        map[string]uint64{"SIGTERM": 1},
				SignalFailures: map[string]uint64{"SIGKILL": 1},
			}),
		},
		{
			"a dry run counts neither signals nor terminations",
			func() judge.Report {
				r := onePass(
					oldWorker(time.Minute, 3, 3, after(judge.OutcomeDryRun, "SIGTERM")),
					oldWorker(time.Minute, 3, 3, after(judge.OutcomeTerminated, "SIGTERM")))
				r.DryRun = true
				return r
			}(), false,
			unitCounts(UnitCounters{}),
		},
		{
			"a dry run counts the refusal that would have withheld a termination",
			func() judge.Report {
				r := onePass(oldWorker(time.Minute, 3, 3, refused(judge.ReasonPaused)))
				r.DryRun = true
				return r
			}(), false,
			unitCounts(UnitCounters{Refusals: map[judge.Reason]uint64{judge.ReasonPaused: 1}}),
		},
		{
			"a refusal counts once however many processes were due",
			onePass(
				oldWorker(time.Hour, 3, 3, refused(judge.ReasonNotListening)),
				oldWorker(time.Minute, 3, 3, refused(judge.ReasonNotListening))), false,
			unitCounts(UnitCounters{Refusals: map[judge.Reason]uint64{judge.ReasonNotListening: 1}}),
		},
		{
			"a refusal counts from the very moment of the deadline",
			onePass(oldWorker(0, 3, 3, refused(judge.ReasonNotListening))), false,
			unitCounts(UnitCounters{Refusals: map[judge.Reason]uint64{judge.ReasonNotListening: 1}}),
		},
		{
			"a refusal with nobody due withheld nothing",
			onePass(oldWorker(-time.Second, 3, 3, refused(judge.ReasonNotListening))), false,
			unitCounts(UnitCounters{}),
		},
		{
			"what the cap left for the next pass is no refusal",
			onePass(oldWorker(time.Minute, 3, 3, func(p *judge.Process) { p.Verdict, p.Reason = judge.VerdictWait, judge.ReasonMaxTerminations })), false,
			unitCounts(UnitCounters{}),
		},
		{
			"the reason is the instance's where it has one",
			func() judge.Report {
				r := onePass(oldWorker(time.Minute, 3, 3, refused(judge.ReasonChanged)))
				r.Instances[0].Refusal = judge.ReasonReloading
				return r
			}(), false,
			unitCounts(UnitCounters{Refusals: map[judge.Reason]uint64{judge.ReasonReloading: 1}}),
		},
		{
			"what could not be read is counted by stage",
			func() judge.Report {
				r := onePass(
					judge.Process{Role: judge.RoleStray, Error: "descriptors: permission denied"},
					oldWorker(-time.Hour, 3, 3, func(p *judge.Process) { p.Connections.Client = nil }))
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
			onePass(oldWorker(time.Minute, 3, 3, func(p *judge.Process) {
				after(judge.OutcomeFailed)(p)
				p.Error = "send SIGTERM: operation not permitted"
			})), false,
			unitCounts(UnitCounters{SignalFailures: map[string]uint64{"SIGTERM": 1}}),
		},
		{
			"a name that is no text is counted under the name its JSON has",
			judge.Report{Time: passTime, Instances: []judge.Instance{{Name: "\xff.cfg"}}}, false,
			Counters{Runs: 1, Units: map[string]UnitCounters{"\uFFFD.cfg": {}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got Counters
			got.Add(tt.report, tt.failed)
			if diff := cmp.Diff(tt.want, got, ofAnyOwner); diff != "" {
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
	terminated := oldWorker(time.Minute, 3, 3, after(judge.OutcomeTerminated, "SIGTERM"))
	got.Add(onePass(terminated, terminated), false)
	got.Add(judge.Report{Time: passTime, Instances: []judge.Instance{{Name: "edge.service"}}}, true)
	got.Add(onePass(terminated, oldWorker(time.Minute, 1, 1, refused(judge.ReasonStray))), false)
	want := Counters{Runs: 3, RunFailures: 1, Units: map[string]UnitCounters{
		"edge.service": {},
		"haproxy.service": {
			Signals:             map[string]uint64{"SIGTERM": 3},
			TerminatedProcesses: 3, TerminatedConnections: 18,
			Refusals: map[judge.Reason]uint64{judge.ReasonStray: 1},
		},
	}}
	if diff := cmp.Diff(want, got, ofAnyOwner); diff != "" {
		t.Errorf("after three passes (-want +got):\n%s", diff)
	}
}

// Where there are too many instances, a stranger's are forgotten before any other,
// and of one user those that are gone, and that nothing was counted of.
func TestCountersForgetStrangersFirstAndThenWhatIsGone(t *testing.T) {
	stranger := judge.Owner{UID: 1000, Stranger: true}
	instances := func(owner judge.Owner, what string, n int) (list []judge.Instance) {
		for i := range n {
			list = append(list, judge.Instance{Name: fmt.Sprintf("/%s/%d.cfg", what, i), Owner: owner})
		}
		return list
	}
	var c Counters
	due := oldWorker(time.Minute, 1, 1, after(judge.OutcomeTerminated, "SIGTERM"))
	service := judge.Instance{Name: "haproxy.service", Processes: []judge.Process{due}}
	of := func(what string) (n int) {
		for name := range c.Units {
			if strings.HasPrefix(name, what) {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		why    string
		report []judge.Instance
		want   map[string]int
	}{
		{"all that there is room for", append(instances(stranger, "a", maxUnits-1), service), map[string]int{"/a": maxUnits - 1, "haproxy.service": 1}},
		{"strangers that are there before strangers that are gone, and the service that is gone before both", instances(stranger, "b", 100),
			map[string]int{"/b": 100, "/a": maxUnits - 101, "haproxy.service": 1}},
		{"root's, however many strangers there are", append(instances(judge.Owner{}, "root", 500), instances(stranger, "c", 2000)...),
			map[string]int{"/root": 500, "/c": maxUnits - 501, "haproxy.service": 1}},
		{"an instance that was counted before others of its user, where all are gone", append(instances(judge.Owner{}, "new", maxUnits-1), instances(stranger, "c", 5000)...),
			map[string]int{"/new": maxUnits - 1, "haproxy.service": 1}},
	} {
		c.Add(judge.Report{Time: passTime, Instances: step.report}, false)
		for what, want := range step.want {
			if got := of(what); got != want {
				t.Errorf("%s: %d of %s, want %d", step.why, got, what, want)
			}
		}
	}
	if got := c.Units["haproxy.service"].Signals["SIGTERM"]; got != 1 {
		t.Errorf("the service was sent %d signals, want 1", got)
	}
}

// A user takes no place from another by number.
func TestEachUserHasPlacesOfItsOwn(t *testing.T) {
	type entry struct {
		name  string
		owner *judge.Owner
	}
	var list []entry
	for i := range 100 {
		list = append(list, entry{fmt.Sprintf("many %02d", i), &judge.Owner{UID: 33}})
	}
	for i := range 3 {
		list = append(list, entry{fmt.Sprintf("few %d", i), &judge.Owner{UID: 102}}, entry{fmt.Sprintf("root %d", i), &judge.Owner{}},
			entry{fmt.Sprintf("stranger %d", i), &judge.Owner{UID: 1, Stranger: true}}, entry{fmt.Sprintf("unknown %d", i), nil})
	}
	var got []string
	for _, e := range judge.ByOwner(list, 2, func(e entry) *judge.Owner { return e.owner }, func(a, b entry) int { return strings.Compare(a.name, b.name) }) {
		got = append(got, e.name)
	}
	want := []string{"root 0", "root 1", "root 2", "many 00", "many 01", "few 0", "few 1", "many 02", "many 03", "few 2", "many 04"}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"stranger 0", "stranger 1", "stranger 2", "unknown 0", "unknown 1", "unknown 2"}, got[len(got)-6:]); diff != "" {
		t.Errorf("the last (-want +got):\n%s", diff)
	}
}
