package reaper

import (
	"maps"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Ended is a pass as the state takes it up.
type Ended struct {
	Report Report
	// Before is the memory that the pass began with, After the one that it left.
	Before, After Memory
	Failed        bool
	Time          time.Time     // when it ended
	Duration      time.Duration // how long it took
}

// Add takes up a pass that has ended.
func (s *State) Add(e Ended) {
	s.Counters.Add(e.Report, e.Failed)
	// Nobody is buried twice: what is no longer in the state was, by another run.
	before := maps.Clone(e.Before)
	maps.DeleteFunc(before, func(id inspect.ProcID, _ Seen) bool { _, there := s.Memory[id]; return !there })
	s.Counters.bury(lives(before, e.After, e.Report))
	s.Memory = e.After.settle(e.Report)
	s.LastRun, s.LastDuration = e.Time, e.Duration
	if !e.Failed {
		s.LastSuccess = e.Time
	}
}
