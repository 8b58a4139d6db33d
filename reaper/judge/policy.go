package judge

import (
	"time"
)

// Policy says when a residual process is due, and what a pass may do about it.
// The zero value terminates every residual process at once and never kills.
//
// What decides a process is in the order of this table. Each rule looks at one
// instance, at what the first look measured, and at nothing that another rule
// made of it, so that taking one away, or putting it off, adds no target.
//
//	                   rule                    verdict, reason
//	1 refusal          see refusal.go          refuse, whatever a policy says
//	2 limits           --min-available-memory  terminate, low_memory: one a pass
//	                   --max-residual          terminate, max_residual: the oldest beyond it
//	3 deadline         --deadline              terminate, past_deadline
//	                   --deadline-for          terminate, past_port_deadline
//	  is put off by    --deadline-for          wait, within_port_deadline
//	                   --deadline-jitter       wait, jitter
//	                   --hard-deadline         wait, active_clients; then terminate, past_hard_deadline
//	4 early            --empty-after           terminate, empty
//	                   --idle-after            terminate, idle
//	5 otherwise                                wait, within_deadline
//	6 cap              --max-terminations      wait, max_terminations: low_memory goes first,
//	                                           then the longest superseded
//
// A stuck process is stopped, traced, or still there after the signal of an
// earlier pass. It is signalled when it is due, outside the cap. By low_memory it
// is due only where no other process of the instance is left.
//
// What puts the deadline off puts off nothing else. The limits are what the
// operator says the host can bear, which is no good to anybody once it is out of
// memory; and early rules end only what nobody would miss: an idle connection is
// no reason to wait for the day that its port was given. Of rules that have come
// the first of the table gives the reason.
//
// A value that could not be read counts for whoever would be cut off: it brings
// no limit and no early rule about, and it puts the deadline off for as long as
// it might.
type Policy struct {
	// Deadline is the time since a residual process was superseded at which it
	// is terminated. 0 is at once.
	Deadline time.Duration
	// DeadlineFor has deadlines that replace it for the client connections of a
	// local port. The longest of those of a process's connections is its own;
	// without any it is Deadline.
	DeadlineFor map[uint16]time.Duration
	// DeadlineJitter times the host's share is added to every deadline, so that
	// hosts that were reloaded together do not reap together.
	DeadlineJitter time.Duration
	// HardDeadline is the deadline of a process whose other one has come while
	// clients were active, that is moved a byte within ActiveWithin. It shortens
	// nothing: one that is no longer than the other changes nothing, nor does 0.
	HardDeadline, ActiveWithin time.Duration

	// EmptyAfter is the time since it was superseded at which a process that has
	// no client connection any more is terminated. Nil is never.
	EmptyAfter *time.Duration
	// IdleAfter is the time without a byte on any of its client connections after
	// which a process that has some is terminated. 0 is never.
	IdleAfter time.Duration

	// MaxResidual is the number of residual processes that an instance may have;
	// those that started first are terminated beyond it. 0 is no limit.
	MaxResidual int
	// MinAvailableMemory is the percentage of memory, the host's and that of the
	// cgroup which the active runs in, below which the process that frees most for
	// each client is terminated, one of an instance and pass. 0 is never.
	MinAvailableMemory int

	// MaxTerminations caps the processes terminated per instance and pass. Stuck
	// ones do not count. 0 is no cap.
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
	// DrainRate is how many client connections of an instance's targets are closed
	// in a second before any of them is signalled; 0 is none.
	DrainRate float64
	// DrainTimeout bounds that.
	DrainTimeout time.Duration
	// PassTimeout bounds looking, deciding and signalling.
	PassTimeout time.Duration
}
