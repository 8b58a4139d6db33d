package state

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Counters are what a oneshot has to carry from run to run, so that the _total
// metrics never go back. The zero value is a host that was never looked at.
type Counters struct {
	Runs        uint64 `json:"runs"`
	RunFailures uint64 `json:"run_failures"`
	// InspectionErrors counts what could not be read, by the stage of the look.
	InspectionErrors map[Stage]uint64 `json:"inspection_errors,omitempty"`
	// Units has an entry for every instance ever seen, by its name.
	Units map[string]UnitCounters `json:"units,omitempty"`
}

// UnitCounters are the counters of one instance.
type UnitCounters struct {
	Signals        map[string]uint64 `json:"signals,omitempty"`         // sent, by name
	SignalFailures map[string]uint64 `json:"signal_failures,omitempty"` // not sent, by name
	// TerminatedProcesses left after a signal or after draining,
	// TerminatedConnections are those they still had open, and those that were
	// drained from others.
	TerminatedProcesses   uint64 `json:"terminated_processes"`
	TerminatedConnections uint64 `json:"terminated_connections"`
	// Refusals counts the passes in which a refusal withheld a termination that
	// was due, by reason.
	Refusals map[judge.Reason]uint64 `json:"refusals,omitempty"`
	// Lifetimes are those of the residual processes that have left, by how they
	// left.
	Lifetimes map[Departure]Lifetimes `json:"lifetimes,omitempty"`
	// Owner is the instance's, as it was last seen; nil is not known.
	Owner *judge.Owner `json:"owner,omitempty"`
}

// Any tells whether anything was ever counted.
func (u *UnitCounters) Any() bool {
	return len(u.Signals)+len(u.SignalFailures)+len(u.Refusals)+len(u.Lifetimes) > 0 || u.TerminatedProcesses > 0
}

// Stage is the part of a look in which something could not be read.
type Stage string

const (
	StageProcesses   Stage = "processes"   // the host as a whole: one for each of Report.Errors
	StageListeners   Stage = "listeners"   // a process with an error, and no list of listeners
	StageConnections Stage = "connections" // a residual process whose clients could not be counted
)

// Stages is every stage, in the order of a look.
var Stages = []Stage{StageProcesses, StageListeners, StageConnections}

// SignalNames are the signals that are ever sent, in that order.
var SignalNames = []string{"SIGTERM", "SIGKILL"}

const (
	// maxUnits bounds the instances remembered: names come from the host, where
	// any user may start an HAProxy under a new name every minute.
	maxUnits = 1000
	// unitsPerUser is how many of them a user has before others have none.
	unitsPerUser = 64
)

// Add counts one pass. A dry run counts no signals and no terminations.
func (c *Counters) Add(r judge.Report, failed bool) {
	c.Runs++
	if failed {
		c.RunFailures++
	}
	c.addErrors(r)
	if c.Units == nil {
		c.Units = make(map[string]UnitCounters)
	}
	present := make(map[string]bool, len(r.Instances))
	for i := range r.Instances {
		instance := &r.Instances[i]
		name := strings.ToValidUTF8(instance.Name, "\uFFFD") // as JSON would write it
		present[name] = true
		unit := c.Units[name]
		unit.Owner = &instance.Owner
		if reason := instance.Withheld(r.Time); reason != "" {
			unit.Refusals = Plus(unit.Refusals, map[judge.Reason]uint64{reason: 1})
		}
		if !r.DryRun {
			for j := range instance.Processes {
				unit.addOutcome(&instance.Processes[j])
			}
		}
		c.Units[name] = unit
	}
	c.forget(present)
}

// bury counts the lives that have ended, of instances that are counted.
func (c *Counters) bury(ended []life) {
	for _, l := range ended {
		unit, known := c.Units[l.unit]
		if !known {
			continue
		}
		if unit.Lifetimes == nil {
			unit.Lifetimes = make(map[Departure]Lifetimes)
		}
		unit.Lifetimes[l.how] = unit.Lifetimes[l.how].Add(l.lived)
		if l.earlier {
			unit.TerminatedProcesses++
		}
		c.Units[l.unit] = unit
	}
}

// forget drops instances when there are too many: those of strangers first, and of
// one user those that are gone, and those that nothing was counted of. Their counters
// start again if they return, which rate() allows for.
func (c *Counters) forget(present map[string]bool) {
	if len(c.Units) <= maxUnits {
		return
	}
	names := judge.ByOwner(slices.Collect(maps.Keys(c.Units)), unitsPerUser,
		func(name string) *judge.Owner { return c.Units[name].Owner },
		func(a, b string) int { return cmp.Or(first(present[a], present[b]), c.compare(a, b)) })
	for _, name := range names[maxUnits:] {
		delete(c.Units, name)
	}
}

// compare orders two instances of one user: those that something was counted of come
// first.
func (c *Counters) compare(a, b string) int {
	x, y := c.Units[a], c.Units[b]
	return cmp.Or(first(x.Any(), y.Any()), strings.Compare(a, b))
}

// first compares two facts: what is true comes first.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (c *Counters) addErrors(r judge.Report) {
	count := func(stage Stage, n int) {
		if n > 0 {
			c.InspectionErrors = Plus(c.InspectionErrors, map[Stage]uint64{stage: uint64(n)})
		}
	}
	count(StageProcesses, len(r.Errors))
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			p := &r.Instances[i].Processes[j]
			if p.Error != "" && p.Listeners == nil {
				count(StageListeners, 1)
			}
			if p.Role == judge.RoleResidual && p.Connections.Client == nil {
				count(StageConnections, 1)
			}
		}
	}
}

// addOutcome counts what was done to one process.
func (u *UnitCounters) addOutcome(p *judge.Process) {
	for _, name := range p.Signals {
		u.Signals = Plus(u.Signals, map[string]uint64{name: 1})
	}
	switch p.Outcome {
	case judge.OutcomeFailed:
		u.SignalFailures = Plus(u.SignalFailures, map[string]uint64{failedSignal(p): 1})
	case judge.OutcomeTerminated, judge.OutcomeKilled, judge.OutcomeDrained:
		u.TerminatedProcesses++
		u.TerminatedConnections += connections(p.Connections.Client) + connections(p.Connections.Server) + connections(p.Connections.Former)
	default: // it is still there, less these
		u.TerminatedConnections += uint64(p.DrainedConnections)
	}
}

// failedSignal is the one that could not be sent: SIGKILL follows a SIGTERM
// that could.
func failedSignal(p *judge.Process) string {
	if len(p.Signals) == 0 {
		return "SIGTERM"
	}
	return "SIGKILL"
}

// connections is 0 for a number that could not be read: a counter cannot say
// "not known", and must not go back.
func connections(n *int) uint64 {
	if n == nil || *n < 0 {
		return 0
	}
	return uint64(*n)
}

// Plus returns the sum of two sets of counters, neither of them changed.
func Plus[K comparable](a, b map[K]uint64) map[K]uint64 {
	sum := maps.Clone(a)
	for key, n := range b {
		if sum == nil {
			sum = map[K]uint64{}
		}
		sum[key] += n
	}
	return sum
}
