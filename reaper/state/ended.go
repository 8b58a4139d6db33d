package state

import (
	"maps"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// OpenRun is what a run puts on record while it goes on, so that nothing of it
// is lost if it is killed.
type OpenRun struct {
	// Began is the CLOCK_BOOTTIME at which it began, which no other live run did.
	Began   time.Duration                `json:"began_nanoseconds"`
	Signals map[string]map[string]uint64 `json:"signals"` // sent so far, by instance and name
}

// Signalled puts on record that a run has sent a signal, and what it remembers
// of the process.
func (s *State) Signalled(began time.Duration, after judge.Memory, instance string, id inspect.ProcID, signal string) {
	if s.Open == nil || s.Open.Began != began {
		s.close()
		s.Open = &OpenRun{Began: began, Signals: map[string]map[string]uint64{}}
	}
	s.Open.Signals[instance] = Plus(s.Open.Signals[instance], map[string]uint64{signal: 1})
	for other, seen := range after {
		if _, known := s.Memory[other]; !known {
			s.Memory[other] = seen
		}
	}
	seen := s.Memory[id]
	if !slices.Contains(seen.Signals, signal) {
		seen.Signals = append(slices.Clone(seen.Signals), signal)
	}
	s.Memory[id] = seen
}

// close counts an open run that never ended as one that failed.
func (s *State) close() {
	if s.Open == nil {
		return
	}
	s.Counters.Runs++
	s.Counters.RunFailures++
	for instance, signals := range s.Open.Signals {
		if s.Counters.Units == nil {
			s.Counters.Units = make(map[string]UnitCounters)
		}
		unit := s.Counters.Units[instance]
		unit.Signals = Plus(unit.Signals, signals)
		s.Counters.Units[instance] = unit
	}
	s.Open = nil
}

// AddDied counts a run that ended without a report, as its parent sees it.
func (s *State) AddDied(at time.Time) {
	if s.Open != nil {
		s.close()
	} else {
		s.Counters.Runs++
		s.Counters.RunFailures++
	}
	s.LastRun = at
}

// Ended is a pass as the state takes it up.
type Ended struct {
	Report judge.Report
	Began  time.Duration // CLOCK_BOOTTIME
	// Before is the memory that the pass began with, After the one that it left.
	Before, After judge.Memory
	Failed        bool
	Alone         bool          // holds the lock of live runs: an open run of another is dead
	Time          time.Time     // when it ended
	Duration      time.Duration // how long it took
}

// Add takes up a pass that has ended.
func (s *State) Add(e Ended) {
	if s.Open != nil && s.Open.Began == e.Began {
		s.Open = nil // its report tells all of it
	} else if e.Alone {
		s.close()
	}
	s.Counters.Add(e.Report, e.Failed)
	// Nobody is buried twice: what is no longer in the state was, by another run.
	before := maps.Clone(e.Before)
	maps.DeleteFunc(before, func(id inspect.ProcID, _ judge.Seen) bool { _, there := s.Memory[id]; return !there })
	s.Counters.bury(lives(before, e.After, e.Report))
	s.Memory = e.After.WithOutcomes(e.Report)
	if e.Report.Qualified != nil {
		s.Qualified = e.Report.Qualified
	}
	s.LastRun, s.LastDuration = e.Time, e.Duration
	if !e.Failed {
		s.LastSuccess = e.Time
	}
}
