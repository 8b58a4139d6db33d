package reaper

import (
	"cmp"
	"context"
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// survivorAfter is how long a process may take to leave after its last signal
// before it is reported as a survivor.
const survivorAfter = 10 * time.Second

// interrupted is why a pass did not wait for a process that it has signalled.
const interrupted = "the run was interrupted while it waited for the process to leave"

// act is what a pass does to one instance. Instances are acted on side by side, and
// none waits for another.
type act struct {
	pass     *Pass
	host     judge.Report   // what the first look measured of the host
	measured judge.Instance // what the first look measured of the instance
	approved map[inspect.ProcID]bool

	in      judge.Instance // for the report: the first of the first two looks that agreed
	targets table          // of it; nil before
	agreed  judge.Instance // the first of the last two looks that agreed
}

// run takes the targets of an instance from the first look to their outcomes. The budget
// is for what comes before the first signal; 0 is none.
func (a *act) run(ctx context.Context, budget time.Duration) judge.Instance {
	if a.pass.Timing.DrainRate > 0 {
		if !a.proveWithin(ctx, budget) {
			return a.in
		}
		a.drain(ctx)
		budget = a.pass.Timing.PassTimeout // draining may have taken minutes
	}
	a.signalWithin(ctx, budget, syscall.SIGTERM)
	a.wait(ctx, cmp.Or(a.pass.Timing.KillAfter, survivorAfter))
	if a.pass.Timing.KillAfter == 0 || ctx.Err() != nil {
		return a.in
	}
	for _, t := range a.targets.at(survived) {
		t.step(proposed)
	}
	a.signalWithin(ctx, a.pass.Timing.PassTimeout, syscall.SIGKILL)
	a.wait(ctx, survivorAfter)
	return a.in
}

func (a *act) proveWithin(ctx context.Context, budget time.Duration) bool {
	ctx, cancel := bounded(ctx, budget)
	defer cancel()
	return a.prove(ctx)
}

// signalWithin proves the targets and signals them within the budget; what is left then
// goes to the next pass. The active is confirmed again before each signal.
func (a *act) signalWithin(ctx context.Context, budget time.Duration, signal syscall.Signal) {
	ctx, cancel := bounded(ctx, budget)
	defer cancel()
	if !a.prove(ctx) {
		return
	}
	for _, t := range a.targets.at(proven) {
		err := ctx.Err()
		if err == nil {
			err = a.confirm(ctx)
		}
		if err != nil {
			a.stop(a.pass.whyNot(ctx, err))
			return
		}
		a.signal(t, signal)
	}
}

// signal sends one signal.
func (a *act) signal(t *target, signal syscall.Signal) {
	name := unix.SignalName(signal)
	sent, err := a.pass.Terminator.Signal(t.ProcID, signal)
	switch {
	case errors.Is(err, inspect.ErrGone):
		t.leave()
	case err != nil, !sent:
		t.unsent(name, err)
	default:
		a.pass.signalled(a.in.Name, t.ProcID, name)
		t.signal(name)
	}
}

// wait waits until the signalled targets have left, at most so long.
func (a *act) wait(ctx context.Context, limit time.Duration) {
	deadline := a.pass.Host.Kernel().Boottime() + limit
	for _, t := range a.targets.at(signalled) {
		gone, err := a.pass.waitFor(ctx, t.ProcID, deadline)
		switch {
		case gone && err == nil:
			t.leave()
		case err != nil:
			t.survive(limit, "wait: "+err.Error())
		case ctx.Err() != nil:
			t.survive(limit, interrupted)
		default:
			t.survive(limit, "")
		}
	}
}

// waitFor waits on a pidfd until the process has left, the deadline on
// CLOCK_BOOTTIME has passed, or the context is done.
func (p *Pass) waitFor(ctx context.Context, id inspect.ProcID, deadline time.Duration) (bool, error) {
	handle := p.Host.Handle(id)
	if handle == nil {
		return true, nil
	}
	for {
		p.step()
		left := deadline - p.Host.Kernel().Boottime()
		gone, err := handle.Wait(max(0, min(left, lookAgain)))
		if err != nil || gone || left <= 0 || ctx.Err() != nil {
			return gone, err
		}
	}
}

// hasLeft tells whether a process that this pass has seen has exited.
func (p *Pass) hasLeft(id inspect.ProcID) bool {
	return p.Host.Handle(id) == nil || p.Host.Exited(id)
}

// bounded is a context that ends after a limit; 0 is none.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}
