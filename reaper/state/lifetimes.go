package state

import (
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Departure is how a residual process left: a metric label value.
type Departure string

const (
	DepartureLeft       Departure = "left"       // by itself, or by somebody else's hand
	DepartureTerminated Departure = "terminated" // after a SIGTERM of ours
	DepartureKilled     Departure = "killed"     // after a SIGKILL of ours
)

// Departures is every departure, the kindest first.
var Departures = []Departure{DepartureLeft, DepartureTerminated, DepartureKilled}

// LifetimeBounds are the upper bounds of the buckets of Lifetimes: the
// deadlines that somebody may think of.
var LifetimeBounds = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
	24 * time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour,
}

// Lifetimes is a histogram of how long residual processes lived, from when they
// were superseded. The zero value is empty.
type Lifetimes struct {
	// Buckets counts those up to each of LifetimeBounds and above the one before;
	// the last is of those above all.
	Buckets    []uint64 `json:"buckets"`
	SumSeconds float64  `json:"sum_seconds"`
}

// Add counts one life. What was counted under other bounds starts again.
func (l Lifetimes) Add(lived time.Duration) Lifetimes {
	if len(l.Buckets) != len(LifetimeBounds)+1 {
		l = Lifetimes{Buckets: make([]uint64, len(LifetimeBounds)+1)}
	}
	n, _ := slices.BinarySearch(LifetimeBounds, lived)
	l.Buckets = slices.Clone(l.Buckets)
	l.Buckets[n]++
	l.SumSeconds += lived.Seconds()
	return l
}

// Plus is the sum of two histograms.
func (l Lifetimes) Plus(m Lifetimes) Lifetimes {
	switch {
	case len(m.Buckets) != len(LifetimeBounds)+1:
		return l
	case len(l.Buckets) != len(m.Buckets):
		return m
	}
	l.Buckets = slices.Clone(l.Buckets)
	for i, n := range m.Buckets {
		l.Buckets[i] += n
	}
	l.SumSeconds += m.SumSeconds
	return l
}

// life is one that has ended.
type life struct {
	unit  string
	how   Departure
	lived time.Duration
	// earlier tells that the signal was of an earlier pass, whose report could
	// not tell that it worked.
	earlier bool
}

// lives are the residual processes that left since the passes before: those that
// are remembered and gone, and those that this pass ended. The first are known
// to have left only now, so a life is measured in passes. After a pass that
// could not see everything nobody is taken for gone, see Remember.
func lives(before, after judge.Memory, r judge.Report) []life {
	var ended []life
	reported := map[inspect.ProcID]bool{}
	for i := range r.Instances {
		in := &r.Instances[i]
		for j := range in.Processes {
			p := &in.Processes[j]
			reported[p.ProcID] = true
			if p.Role == judge.RoleResidual && p.Left() && p.ResidualSeconds != nil {
				// One that leaves while a pass looks at it may do so by the signal of
				// a pass before.
				how := departure(slices.Concat(before[p.ProcID].Signals, p.Signals))
				ended = append(ended, life{
					unit: in.Name, how: how, lived: time.Duration(*p.ResidualSeconds * float64(time.Second)),
					earlier: p.Outcome == judge.OutcomeVanished && how != DepartureLeft,
				})
			}
		}
	}
	for id, seen := range before {
		_, still := after[id]
		if still || reported[id] || seen.Superseded == 0 || r.Boottime < seen.Superseded {
			continue
		}
		how := departure(seen.Signals)
		ended = append(ended, life{unit: seen.Unit, how: how, lived: r.Boottime - seen.Superseded, earlier: how != DepartureLeft})
	}
	return ended
}

func departure(signals []string) Departure {
	switch {
	case slices.Contains(signals, "SIGKILL"):
		return DepartureKilled
	case slices.Contains(signals, "SIGTERM"):
		return DepartureTerminated
	}
	return DepartureLeft
}
