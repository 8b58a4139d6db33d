package reaper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

const (
	// lookApart is the time between the two looks that must agree.
	lookApart = time.Second
	// lookAgain is the time between looks at an unclear picture.
	lookAgain = 100 * time.Millisecond
)

// agree looks until two clear looks, a second apart, agree on what is to be
// signalled, or until the time to settle is over. What it returns is the first
// of the two, with only those verdicts to terminate that the second confirmed;
// or, with false, the last look, which signals nobody.
func (x *execution) agree(ctx context.Context, first Instance) (Instance, bool) {
	clock := x.Host.Kernel()
	deadline := clock.Boottime() + x.Timing.Settle
	for {
		pause := lookAgain
		if first.Refusal == "" {
			pause = lookApart
		}
		if clock.Sleep(ctx, pause) != nil {
			return leave(first, x.stopReason(ctx)), false
		}
		second, err := x.lookAt(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return leave(first, x.stopReason(ctx)), false
			}
			// A daemon amid a storm of checks blocks its signals for moments, and
			// is then as unready as one that starts.
			first = refuse(first, ReasonChanged, err.Error())
			if clock.Boottime() >= deadline {
				return first, false
			}
			continue
		}
		if first.Refusal == "" && second.Refusal == "" && sameActive(first, second) {
			both := confirmed(first, second, x.approved, x.left)
			return both, slices.ContainsFunc(both.Processes, isTarget)
		}
		if clock.Boottime() >= deadline {
			if second.Refusal == "" {
				second = refuse(second, ReasonChanged, "the active worker changed between two looks")
			}
			return second, false
		}
		first = second
	}
}

// agreeWithin agrees within a limit; 0 is none.
func (x *execution) agreeWithin(ctx context.Context, first Instance, limit time.Duration) (Instance, bool) {
	ctx, cancel := bounded(ctx, limit)
	defer cancel()
	return x.agree(ctx, first)
}

// lookAt looks again at this instance alone.
func (x *execution) lookAt(ctx context.Context) (Instance, error) {
	r, err := x.observe(ctx, &x.firstLook)
	if err != nil {
		return Instance{}, err
	}
	if len(r.Instances) == 0 {
		return Instance{}, fmt.Errorf("look again: %w", errInstanceGone)
	}
	r.MemoryAvailableBytes, r.MemoryTotalBytes, r.HostShare = x.host.MemoryAvailableBytes, x.host.MemoryTotalBytes, x.host.HostShare
	r.Instances[0] = carryOver(r.Instances[0], x.firstLook)
	return Decide(r, x.Policy).Instances[0], nil
}

// lookWithin looks again within a limit; 0 is none.
func (x *execution) lookWithin(ctx context.Context, limit time.Duration) (Instance, error) {
	ctx, cancel := bounded(ctx, limit)
	defer cancel()
	return x.lookAt(ctx)
}

// bounded is a context that ends after a limit; 0 is none.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// carryOver takes what only the first look measures over to a later one, so that
// every look decides on the same clients, idle times and memory.
func carryOver(in, first Instance) Instance {
	in.Name, in.sides = first.Name, first.sides
	in.MemoryLimitBytes, in.MemoryLimitAvailableBytes = first.MemoryLimitBytes, first.MemoryLimitAvailableBytes
	for i := range in.Processes {
		p := &in.Processes[i]
		j := slices.IndexFunc(first.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		if j < 0 {
			continue
		}
		before := first.Processes[j]
		p.PrivateBytes = before.PrivateBytes
		if p.Connections.Client == nil {
			p.Connections, p.Ports, p.IdleSeconds = before.Connections, before.Ports, before.IdleSeconds
		}
	}
	return in
}

var errInstanceGone = errors.New("the instance is gone, or its identity has changed")

// sameActive tells whether two looks saw the same active generation and master.
func sameActive(a, b Instance) bool { return slices.Equal(inCharge(a), inCharge(b)) }

func inCharge(in Instance) []inspect.ProcID {
	var ids []inspect.ProcID
	for i := range in.Processes {
		if p := &in.Processes[i]; p.InCharge() {
			ids = append(ids, p.ProcID)
		}
	}
	return ids
}

// confirmed is the first look, less what the second does not bear out. What was
// measured is the first look's; what is still there, the second's. left tells
// whether a process has exited.
func confirmed(first, second Instance, approved map[inspect.ProcID]bool, left func(inspect.ProcID) bool) Instance {
	first.Processes = slices.Clone(first.Processes)
	for i := range first.Processes {
		p := &first.Processes[i]
		if p.Verdict != VerdictTerminate {
			continue
		}
		j := slices.IndexFunc(second.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		switch {
		case j < 0 && left(p.ProcID):
			p.Outcome = OutcomeVanished
		case j < 0:
			p.Verdict, p.Reason = VerdictRefuse, ReasonChanged // nothing ties it to the instance any more
		case second.Processes[j].Verdict != VerdictTerminate:
			p.Verdict, p.Reason = second.Processes[j].Verdict, second.Processes[j].Reason
		case !approved[p.ProcID]:
			p.Verdict, p.Reason = VerdictWait, ReasonDeclined
		}
	}
	return first
}

// left tells whether a process that this run has seen has exited.
func (x *execution) left(id inspect.ProcID) bool {
	return x.Host.Handle(id) == nil || x.Host.Exited(id)
}
