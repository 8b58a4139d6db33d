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
		if first.Refusal == "" && second.Refusal == "" && SameActive(first, second) {
			both := Agreed(first, second, x.approved, x.left)
			return both, slices.ContainsFunc(both.Processes, IsTarget)
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
	r.Instances[0] = CarryOver(r.Instances[0], x.firstLook)
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

var errInstanceGone = errors.New("the instance is gone, or its identity has changed")

// left tells whether a process that this run has seen has exited.
func (x *execution) left(id inspect.ProcID) bool {
	return x.Host.Handle(id) == nil || x.Host.Exited(id)
}
