package reaper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const (
	// lookApart is the time between the two looks that must agree.
	lookApart = time.Second
	// lookAgain is the time between looks at an unclear picture.
	lookAgain = 100 * time.Millisecond
	// confirmAgain is the time between attempts to confirm the active.
	confirmAgain = 10 * time.Millisecond
)

// obstacle is why targets may not be touched: a refusal, or the end of the pass.
type obstacle struct {
	verdict judge.Verdict
	reason  judge.Reason
	detail  string
}

func (o obstacle) Error() string { return fmt.Sprintf("%s: %s", o.reason, o.detail) }

// changed is the refusal of an instance that is not what it was.
func changed(detail string) obstacle {
	return obstacle{judge.VerdictRefuse, judge.ReasonChanged, detail}
}

// whyNot is an error as an obstacle. The end of the pass comes before all others: its
// own time limit, or a signal to this program.
func (p *Pass) whyNot(ctx context.Context, err error) obstacle {
	var o obstacle
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return obstacle{verdict: judge.VerdictWait, reason: judge.ReasonPassTimeout}
	case ctx.Err() != nil:
		return obstacle{verdict: judge.VerdictWait, reason: judge.ReasonInterrupted}
	case errors.As(err, &o):
		return o
	}
	return changed(err.Error())
}

// settle tries until it succeeds, until --settle is over, or until the pass ends, with
// a pause between two attempts. HAProxy holds all signals back while it handles one, so
// a process may look for an instant as if it were starting or reloading.
func (p *Pass) settle(ctx context.Context, pause time.Duration, try func() error) error {
	clock := p.Host.Kernel()
	deadline := clock.Boottime() + p.Timing.Settle
	for {
		err := try()
		if err == nil || ctx.Err() != nil || clock.Boottime() >= deadline {
			return err
		}
		if pause > 0 && clock.Sleep(ctx, pause) != nil {
			return err
		}
	}
}

// prove takes the proposed targets to proven: two clear looks, a second apart, agree
// that each is to be terminated, and it was approved. The first look of the pass counts
// as one, once. False when there is an obstacle, or nothing is proposed.
func (a *act) prove(ctx context.Context) bool {
	var err error
	first, second := a.measured, judge.Instance{}
	if a.targets != nil {
		if len(a.targets.at(proposed)) == 0 {
			return false
		}
		first, err = a.look(ctx)
	}
	if err == nil {
		first, second, err = a.agree(ctx, first)
	}
	if a.targets == nil {
		a.in = first
		a.in.Processes = slices.Clone(first.Processes)
		a.targets = targetsOf(&a.in, a.pass.Log)
	}
	if err != nil {
		a.stop(a.pass.whyNot(ctx, err))
		return false
	}
	a.agreed = first
	for _, t := range a.targets.at(proposed) {
		a.bearOut(t, &first, &second)
		if t.stage == proposed && !a.approved[t.ProcID] {
			t.withhold(judge.VerdictWait, judge.ReasonDeclined)
		}
		if t.stage == proposed {
			t.step(proven)
		}
	}
	return true
}

// agree looks until two clear looks agree on the active, and returns them. With an error
// the first of them is the last look.
func (a *act) agree(ctx context.Context, first judge.Instance) (_, second judge.Instance, err error) {
	clock := a.pass.Host.Kernel()
	err = a.pass.settle(ctx, 0, func() error {
		pause := lookAgain
		if first.Refusal == "" {
			pause = lookApart
		}
		if err := clock.Sleep(ctx, pause); err != nil {
			return err
		}
		next, err := a.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			// A daemon amid a storm of checks blocks its signals for moments, and is
			// then as unready as one that starts.
			first = first.Refuse(judge.ReasonChanged, err.Error())
			return err
		case first.Refusal == "" && next.Refusal == "" && judge.SameActive(first, next):
			second = next
			return nil
		}
		first = next
		if next.Refusal != "" {
			return obstacle{judge.VerdictRefuse, next.Refusal, next.RefusalDetail}
		}
		return changed("the active worker changed between two looks")
	})
	return first, second, err
}

// bearOut takes a target out of the pass unless each of some looks has the verdict to
// terminate it.
func (a *act) bearOut(t *target, looks ...*judge.Instance) {
	for _, look := range looks {
		verdict, why := look.VerdictOn(t.ProcID)
		switch {
		case verdict == judge.VerdictTerminate:
			continue
		case look.Find(t.ProcID) == nil && a.pass.hasLeft(t.ProcID):
			t.leave()
		default:
			t.withhold(verdict, why)
		}
		return
	}
}

// stop withholds every target that is not dealt with yet, and refuses the instance where
// the obstacle is a refusal.
func (a *act) stop(o obstacle) {
	for _, t := range slices.Concat(a.targets.at(proposed), a.targets.at(proven), a.targets.at(draining)) {
		t.withhold(o.verdict, o.reason)
	}
	if o.verdict == judge.VerdictRefuse {
		a.in.Refusal, a.in.RefusalDetail = o.reason, o.detail
	}
	a.pass.logRefusal(a.in)
}

var errInstanceGone = errors.New("the instance is gone, or its identity has changed")

// look looks again at this instance alone, within the time that a pass has for a look.
func (a *act) look(ctx context.Context) (judge.Instance, error) {
	ctx, cancel := bounded(ctx, a.pass.Timing.PassTimeout)
	defer cancel()
	r, err := a.pass.observe(ctx, &a.measured)
	if err != nil {
		return judge.Instance{}, err
	}
	if len(r.Instances) == 0 {
		return judge.Instance{}, fmt.Errorf("look again: %w", errInstanceGone)
	}
	r.MemoryAvailableBytes, r.MemoryTotalBytes, r.HostShare = a.host.MemoryAvailableBytes, a.host.MemoryTotalBytes, a.host.HostShare
	r.Instances[0] = r.Instances[0].Measured(a.measured)
	return judge.Decide(r, a.pass.Policy).Instances[0], nil
}

// confirm looks at the active generation, and at the master, once more through their
// pidfds: ready, listening, no reload begun. A picture that is unclear has --settle to
// clear, a process that has left does not.
func (a *act) confirm(ctx context.Context) error {
	ctx, cancel := bounded(ctx, a.pass.Timing.PassTimeout)
	defer cancel()
	var gone error
	err := a.pass.settle(ctx, confirmAgain, func() error {
		_, err := orAbandon(ctx, func() (struct{}, error) { return struct{}{}, a.confirmOnce(ctx) })
		if errors.Is(err, inspect.ErrGone) {
			gone = err
			return nil
		}
		return err
	})
	return errors.Join(gone, err)
}

func (a *act) confirmOnce(ctx context.Context) error {
	tables := a.pass.Host.Tables()
	tables.Brief, tables.OneListener = true, true
	listening := false
	for i := range a.agreed.Processes {
		p := &a.agreed.Processes[i]
		if !p.InCharge() {
			continue
		}
		again, err := a.pass.Host.Again(ctx, p.ProcID)
		if err != nil {
			return fmt.Errorf("%s %d: %w", p.Role, p.PID, err)
		}
		if p.Role == judge.RoleMaster {
			if again.Signals.Reloading() || !again.Signals.Master() {
				return fmt.Errorf("master %d has begun a reload", p.PID)
			}
			continue
		}
		if !judge.IsReady(again) {
			return fmt.Errorf("active %d is no longer ready", p.PID)
		}
		a.pass.Host.FindListener(tables, again)
		if again.Sockets == nil || len(again.Sockets.Listening) == 0 {
			again.Err = nil
			a.pass.Host.ExamineSockets(context.Background(), tables, again)
		}
		listening = listening || again.Sockets != nil && len(again.Sockets.Listening) > 0
	}
	if !listening {
		return errors.New("the active no longer listens")
	}
	return nil
}
