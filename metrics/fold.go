package metrics

import (
	"maps"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

const (
	// maxUnits bounds the series of one host: well over a hundred for each instance, whose
	// names anybody may choose who may start a HAProxy.
	maxUnits = 64
	// others is the name that the rest is summed under, which no unit and no
	// absolute path can have.
	others = "(others)"
)

// foldOthers keeps so many instances, those that are there before those that are
// gone, each sort by name, and makes one of the rest.
func foldOthers(units []*unit) []*unit {
	if len(units) <= maxUnits {
		return units
	}
	units = slices.Clone(units)
	slices.SortStableFunc(units, func(a, b *unit) int {
		switch {
		case (a.instance != nil) == (b.instance != nil):
			return 0
		case a.instance != nil:
			return -1
		}
		return 1
	})
	rest := &unit{name: others}
	for _, u := range units[maxUnits-1:] {
		rest.add(u)
	}
	return append(units[:maxUnits-1:maxUnits-1], rest)
}

// add sums an instance up with others: what is not confirmed of one is not of
// all, and what is not known of one is not of all either.
func (u *unit) add(v *unit) {
	if u.instance == nil && v.instance != nil {
		u.instance = &reaper.Instance{Name: others, Confirmed: true}
		u.known = true
	}
	if v.instance != nil && !v.instance.Confirmed {
		u.instance.Confirmed = false
	}
	u.known = u.known || v.known
	u.here = append(u.here, v.here...)

	c, d := &u.counters, v.counters
	c.Signals = plus(c.Signals, d.Signals)
	c.SignalFailures = plus(c.SignalFailures, d.SignalFailures)
	c.Refusals = plus(c.Refusals, d.Refusals)
	lifetimes := maps.Clone(c.Lifetimes)
	for how, l := range d.Lifetimes {
		if lifetimes == nil {
			lifetimes = map[reaper.Departure]reaper.Lifetimes{}
		}
		lifetimes[how] = lifetimes[how].Plus(l)
	}
	c.Lifetimes = lifetimes
	c.TerminatedProcesses += d.TerminatedProcesses
	c.TerminatedConnections += d.TerminatedConnections
}

// plus is the sum of two sets of counters, neither of them changed.
func plus[K comparable](a, b map[K]uint64) map[K]uint64 {
	sum := maps.Clone(a)
	if sum == nil {
		sum = map[K]uint64{}
	}
	for key, n := range b {
		sum[key] += n
	}
	return sum
}
