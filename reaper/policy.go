package reaper

import "time"

// Policy says when a residual process is due, and what a pass may do about it.
// The zero value terminates every residual process at once and never kills.
type Policy struct {
	// Deadline is the time since a residual process was superseded at which it
	// is terminated. 0 is at once.
	Deadline time.Duration
	// MaxTerminations caps the processes terminated per instance and pass,
	// longest superseded first. 0 is no cap.
	MaxTerminations int
	// Instances are the names of those to act on; none is all.
	Instances []string
}

// Timing bounds a pass. The zero value neither waits nor kills.
type Timing struct {
	// Settle is how long an unclear picture may take to clear before the
	// instance is refused.
	Settle time.Duration
	// KillAfter is the time from SIGTERM to SIGKILL; 0 is never.
	KillAfter time.Duration
	// PassTimeout bounds looking, deciding and signalling.
	PassTimeout time.Duration
}
