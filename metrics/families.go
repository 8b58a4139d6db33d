package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// family is one metric with all its samples.
type family struct {
	name    string // without the prefix
	kind    prometheus.ValueType
	labels  []string
	help    string
	collect func(p *pass, out sink)
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
	// histogram has samples of its own kind, see sink.lifetimes.
	histogram = prometheus.UntypedValue
)

// families is every metric but build_info. Names, labels and their values are a
// contract: what stands here is added to, never changed.
var families = []family{
	{"instances", gauge, nil,
		"HAProxy instances found by the last pass.",
		one((*pass).instances)},
	{"stranger_instances", gauge, nil,
		"HAProxy instances found by the last pass that strangers own: users other than root whose processes the agent may not signal.",
		one((*pass).strangers)},
	{"processes", gauge, []string{"unit", "state"},
		"Processes of the instance at the end of the last pass, by state.",
		ofUnits(processes)},
	{"connections", gauge, []string{"unit", "state", "side"},
		"Connections of the instance's processes at the end of the last pass, by side. Absent where they could not be counted.",
		ofUnits(connections)},
	{"overdue_processes", gauge, []string{"unit"},
		"Residual processes past their deadline, or due by another rule, and still there at the end of the last pass; in a dry run, those that would have been terminated or were refused.",
		ofUnits(overdue)},
	{"surviving_processes", gauge, []string{"unit"},
		"Residual processes that the last pass signalled and that were still there at the end of its wait.",
		ofUnits(surviving)},
	{"wedged_processes", gauge, []string{"unit"},
		"Residual and stranded processes that cannot act on a signal, at the end of the last pass: stopped, held by a debugger, or waiting in the kernel.",
		ofUnits(wedged)},
	{"oldest_residual_since_timestamp_seconds", gauge, []string{"unit"},
		"When the residual process that was superseded first was superseded. Absent without one.",
		ofUnits(oldestSince)},
	{"oldest_residual_start_timestamp_seconds", gauge, []string{"unit"},
		"When the oldest residual process was started. Absent without one.",
		ofUnits(oldestStart)},
	{"active_start_timestamp_seconds", gauge, []string{"unit"},
		"When the active process was started, by the last reload or restart. Absent when there is none.",
		ofUnits(activeStart)},
	{"active_confirmed", gauge, []string{"unit"},
		"1 when the youngest process was confirmed as the one that serves; while 0, nothing of the instance is terminated.",
		ofUnits(writeConfirmed)},
	{"stranger", gauge, []string{"unit"},
		"1 when a stranger owns the instance: a user other than root whose processes the agent may not signal. No alert pages for it.",
		ofUnits(stranger)},
	{"residual_memory_bytes", gauge, []string{"unit"},
		"Private memory of the residual processes, which ends with them. Absent where it could not be read.",
		ofUnits(residualMemory)},
	{"deadline_seconds", gauge, nil,
		"Time since superseded at which a residual process is terminated, unless another rule says otherwise.",
		one((*pass).deadline)},
	{"dry_run", gauge, nil,
		"1 when nothing is signalled.",
		one((*pass).dryRun)},
	{"can_signal", gauge, nil,
		"1 when kernel and privileges allow signalling through pidfds.",
		one((*pass).canSignal)},

	{"signals_sent_total", counter, []string{"unit", "signal"},
		"Signals sent to residual processes.",
		countersOf(func(u *unit, out sink) {
			for _, name := range state.SignalNames {
				out.value(float64(u.counters.Signals[name]), u.name, name)
			}
		})},
	{"signal_failures_total", counter, []string{"unit", "signal"},
		"Signals that could not be sent, other than because the process had left.",
		countersOf(func(u *unit, out sink) {
			for _, name := range state.SignalNames {
				out.value(float64(u.counters.SignalFailures[name]), u.name, name)
			}
		})},
	{"terminated_processes_total", counter, []string{"unit"},
		"Residual processes that left after they were signalled or drained.",
		countersOf(func(u *unit, out sink) {
			out.value(float64(u.counters.TerminatedProcesses), u.name)
		})},
	{"terminated_connections_total", counter, []string{"unit"},
		"Established connections still open on residual processes when they were terminated.",
		countersOf(func(u *unit, out sink) {
			out.value(float64(u.counters.TerminatedConnections), u.name)
		})},
	{"refusals_total", counter, []string{"unit", "reason"},
		"Passes in which the instance was refused and a termination that was due was withheld.",
		countersOf(func(u *unit, out sink) {
			for _, reason := range judge.Refusals {
				out.value(float64(u.counters.Refusals[reason]), u.name, string(reason))
			}
		})},
	{"residual_lifetime_seconds", histogram, []string{"unit", "outcome"},
		"How long residual processes were there after they were superseded, by how they left: left by themselves, terminated by a SIGTERM or killed by a SIGKILL of the agent. Of those that a pass saw, and as exact as passes are frequent.",
		countersOf(func(u *unit, out sink) {
			for _, how := range state.Departures {
				out.lifetimes(u.counters.Lifetimes[how], u.name, string(how))
			}
		})},
	{"runs_total", counter, nil,
		"Passes, whatever became of them.",
		func(p *pass, out sink) { out.value(float64(p.Counters.Runs)) }},
	{"run_failures_total", counter, nil,
		"Passes that failed.",
		func(p *pass, out sink) { out.value(float64(p.Counters.RunFailures)) }},
	{"inspection_errors_total", counter, []string{"stage"},
		"What could not be read of the host and its processes, by stage.",
		func(p *pass, out sink) {
			for _, stage := range state.Stages {
				out.value(float64(p.Counters.InspectionErrors[stage]), string(stage))
			}
		}},

	{"last_run_timestamp_seconds", gauge, nil,
		"End of the last pass, whatever became of it.",
		one((*pass).lastRun)},
	{"last_success_timestamp_seconds", gauge, nil,
		"End of the last pass that did not fail.",
		one((*pass).lastSuccess)},
	{"last_run_duration_seconds", gauge, nil,
		"Duration of the last pass.",
		one((*pass).lastDuration)},
}

// one is a metric of the host; without ok it is absent.
func one(value func(*pass) (v float64, ok bool)) func(*pass, sink) {
	return func(p *pass, out sink) {
		if v, ok := value(p); ok {
			out.value(v)
		}
	}
}

// ofUnits is a gauge of every instance about which the pass can tell.
func ofUnits(collect func(p *pass, u *unit, out sink)) func(*pass, sink) {
	return func(p *pass, out sink) {
		for _, u := range p.units {
			if u.known {
				collect(p, u, out)
			}
		}
	}
}

// countersOf is a counter of every instance ever seen.
func countersOf(collect func(u *unit, out sink)) func(*pass, sink) {
	return func(p *pass, out sink) {
		for _, u := range p.units {
			collect(u, out)
		}
	}
}
