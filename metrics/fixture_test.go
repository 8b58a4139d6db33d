package metrics

import (
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// passTime is when the passes of these tests ended.
var passTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { t := passTime.Add(-d); return &t }

func some[T any](v T) *T { return &v }

// residual is an old worker, due after a deadline of half an hour.
func residual(started, superseded time.Duration, clients int, outcome judge.Outcome) judge.Process {
	return judge.Process{
		Role: judge.RoleResidual, Started: ago(started), Superseded: ago(superseded), Due: ago(superseded - 30*time.Minute),
		Connections:  judge.Connections{Client: some(clients), Server: some(2 * clients), Other: some(1), Former: some(0), Unknown: some(2)},
		PrivateBytes: some(uint64(8 << 20)), Outcome: outcome,
	}
}

func lived(lives ...time.Duration) (l state.Lifetimes) {
	for _, d := range lives {
		l = l.Add(d)
	}
	return l
}

// busyPass is a host after a pass that did some of everything: haproxy.service
// was reaped, and one of its workers survived; edge.service was refused;
// gone.service was there last week.
func busyPass() Input {
	main := judge.Instance{Name: "haproxy.service", Confirmed: true, Processes: []judge.Process{
		{Role: judge.RoleMaster, Started: ago(72 * time.Hour)},
		{Role: judge.RoleActive, Started: ago(10 * time.Minute), Connections: judge.Connections{Client: some(120)}},
		residual(50*time.Hour, 20*time.Hour, 7, judge.OutcomeTerminated),
		residual(20*time.Hour, 3*time.Hour, 3, judge.OutcomeSurvived),
		residual(3*time.Hour, 10*time.Minute, 40, ""),
	}}
	unread := residual(2*time.Hour, time.Hour, 0, "")
	unread.Connections.Client, unread.PrivateBytes = nil, nil
	edge := judge.Instance{Name: "edge.service", Refusal: judge.ReasonPaused, Processes: []judge.Process{
		{Role: judge.RoleMaster, Started: ago(72 * time.Hour)},
		{Role: judge.RolePaused, Started: ago(time.Minute)},
		unread,
		residual(time.Hour, 10*time.Minute, 5, ""),
	}}
	return Input{
		Report: judge.Report{
			Version: 1, Time: passTime, DeadlineSeconds: 1800, CanSignal: true,
			Instances: []judge.Instance{main, edge},
		},
		Counters: state.Counters{
			Runs: 1440, RunFailures: 2,
			InspectionErrors: map[state.Stage]uint64{state.StageConnections: 1},
			Units: map[string]state.UnitCounters{
				"haproxy.service": {
					Signals:             map[string]uint64{"SIGTERM": 17, "SIGKILL": 1},
					SignalFailures:      map[string]uint64{"SIGKILL": 1},
					TerminatedProcesses: 16, TerminatedConnections: 341,
					Lifetimes: map[state.Departure]state.Lifetimes{
						state.DepartureLeft:       lived(20*time.Second, time.Minute, 61*time.Second, 3*time.Hour, 30*24*time.Hour),
						state.DepartureTerminated: lived(1801 * time.Second),
					},
				},
				"edge.service": {Refusals: map[judge.Reason]uint64{judge.ReasonPaused: 3}},
				"gone.service": {TerminatedProcesses: 1},
			},
		},
		Run: passTime.Add(1500 * time.Millisecond), Success: passTime.Add(-time.Minute), Duration: 1500 * time.Millisecond,
	}
}

// emptyPass is the first pass on a host without HAProxy.
func emptyPass() Input {
	return Input{
		Report:   judge.Report{Version: 1, Time: passTime, DryRun: true, DeadlineSeconds: 1800, CanSignal: true, Instances: []judge.Instance{}},
		Counters: state.Counters{Runs: 1},
		Run:      passTime, Success: passTime, Duration: 4 * time.Millisecond,
	}
}

// blindPass is a pass that could not look, on a host that had an instance.
func blindPass() Input {
	return Input{
		Report: judge.Report{Version: 1, Time: passTime, DeadlineSeconds: 1800, Errors: []string{"list /proc: input/output error"}},
		Counters: state.Counters{
			Runs: 2, RunFailures: 1, InspectionErrors: map[state.Stage]uint64{state.StageProcesses: 1},
			Units: map[string]state.UnitCounters{"haproxy.service": {}},
		},
		Run: passTime, Success: passTime.Add(-time.Minute), Duration: 4 * time.Millisecond,
	}
}

// hostileNames are instances named after configuration paths that a user of the
// host may choose.
func hostileNames() Input {
	in := emptyPass()
	for _, name := range []string{"/tmp/a\"b.cfg", "/tmp/a\\b.cfg", "/tmp/a\nb.cfg", "/tmp/a\xffb.cfg", "/tmp/a\xfeb.cfg", "", "/tmp/ünïcode {unit=\"x\"} 1\n# HELP"} {
		in.Report.Instances = append(in.Report.Instances, judge.Instance{Name: name})
	}
	in.Counters.Add(in.Report, false)
	return in
}
