package metrics

import (
	"cmp"
	"maps"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

const (
	// maxUnits bounds the series of one host: well over a hundred for each instance, whose
	// names any user may choose who may start an HAProxy.
	maxUnits = 64
	// unitsPerUser is how many names a user has before others have none.
	unitsPerUser = 16
	// others is the name that the rest is summed under, which no unit and no
	// absolute path can have.
	others = "(others)"
)

// foldOthers keeps so many instances, and makes one of the rest: strangers are of it
// first, see judge.ByOwner. Of one user those that are there are kept before those
// that are gone, then those of which something was counted, then by name.
func foldOthers(units []*unit) []*unit {
	if len(units) <= maxUnits {
		return units
	}
	units = judge.ByOwner(units, unitsPerUser, func(u *unit) *judge.Owner { return u.owner }, func(a, b *unit) int {
		return cmp.Or(
			trueFirst(a.instance != nil, b.instance != nil),
			trueFirst(a.counters.Any(), b.counters.Any()),
			cmp.Compare(a.name, b.name))
	})
	rest := &unit{name: others}
	for _, u := range units[maxUnits-1:] {
		rest.add(u)
	}
	return append(units[:maxUnits-1:maxUnits-1], rest)
}

// trueFirst compares two facts: what is true comes first.
func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// add sums an instance up with others: what is not confirmed of one is not of
// all, and what is not known of one is not of all either. Of strangers beside
// other instances it sums up the counters alone: alerts are about the others.
func (u *unit) add(v *unit) {
	u.known = u.known || v.known
	confirmed := v.instance != nil && (v.instance.Confirmed || v.name == "") // of no instance nothing is to confirm
	switch {
	case v.instance == nil:
	case u.instance == nil:
		u.instance = &judge.Instance{Name: others, Confirmed: confirmed, Owner: v.instance.Owner}
		u.here = slices.Clone(v.here)
	case u.instance.Stranger == v.instance.Stranger:
		u.instance.Confirmed = u.instance.Confirmed && confirmed
		u.here = append(u.here, v.here...)
	}

	c, d := &u.counters, v.counters
	c.Signals = state.Plus(c.Signals, d.Signals)
	c.SignalFailures = state.Plus(c.SignalFailures, d.SignalFailures)
	c.Refusals = state.Plus(c.Refusals, d.Refusals)
	lifetimes := maps.Clone(c.Lifetimes)
	for how, l := range d.Lifetimes {
		if lifetimes == nil {
			lifetimes = map[state.Departure]state.Lifetimes{}
		}
		lifetimes[how] = lifetimes[how].Plus(l)
	}
	c.Lifetimes = lifetimes
	c.TerminatedProcesses += d.TerminatedProcesses
	c.TerminatedConnections += d.TerminatedConnections
}
