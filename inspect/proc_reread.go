package inspect

import (
	"context"
	"slices"
	"time"
)

// How long a look waits, in all, for processes that are caught in an instant
// that tells nothing of them. On a busy machine a fork was seen to take 32 ms,
// and a worker that runs many checks begins the next at once. Any user can have
// processes that look so for ever, so there is one bound for all of them.
const (
	momentLimit = 250 * time.Millisecond
	momentWait  = time.Millisecond
)

// momentary says that a process was caught in an instant: amid its signals, or
// in the middle of execve(2), when it has no arguments (a master re-executes
// itself at each reload).
func (p *Process) momentary() bool {
	return p.Err == nil && p.HAProxy && (p.Signals.Momentary() || len(p.Command.Args) == 0 && p.State != 'Z')
}

// outlastMoments reads the processes that were caught in an instant again until
// it is over, and returns the list without those that have gone. An instant that
// does not end is reported as it is: such a process is not ready.
func (h *Host) outlastMoments(ctx context.Context, list []*Process) []*Process {
	for end := h.kernel.Boottime() + momentLimit; ; {
		list = slices.DeleteFunc(list, func(p *Process) bool { return p == nil })
		if !slices.ContainsFunc(list, (*Process).momentary) || h.kernel.Boottime() >= end || h.kernel.Sleep(ctx, momentWait) != nil {
			return list
		}
		for i, p := range list {
			if p.momentary() {
				list[i] = h.read(p.PID, true)
			}
		}
	}
}
