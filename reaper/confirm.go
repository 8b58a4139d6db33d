package reaper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// confirmAgain is the time between attempts to confirm the active.
const confirmAgain = 10 * time.Millisecond

// confirmSettled confirms the active, and gives a picture that is unclear the
// time to settle: HAProxy holds all signals back while it handles one, so a
// master that has just lost a worker, or a worker a check, looks for a moment
// as if it were reloading.
func (x *execution) confirmSettled(ctx context.Context, in Instance) error {
	clock := x.Host.Kernel()
	deadline := clock.Boottime() + x.Timing.Settle
	for {
		_, err := within(ctx, func() (struct{}, error) { return struct{}{}, x.confirmActive(ctx, in) })
		if err == nil || errors.Is(err, inspect.ErrGone) || clock.Boottime() >= deadline {
			return err
		}
		if clock.Sleep(ctx, confirmAgain) != nil {
			return err
		}
	}
}

// confirmActive looks at the active generation, and at the master, once more
// through their pidfds: ready, listening, no reload begun.
func (x *execution) confirmActive(ctx context.Context, in Instance) error {
	tables := x.Host.Tables()
	tables.Brief, tables.OneListener = true, true
	listening := false
	for i := range in.Processes {
		p := &in.Processes[i]
		if !p.InCharge() {
			continue
		}
		again, err := x.Host.Again(ctx, p.ProcID)
		if err != nil {
			return fmt.Errorf("%s %d: %w", p.Role, p.PID, err)
		}
		if p.Role == RoleMaster {
			if again.Signals.Reloading() || !again.Signals.Master() {
				return fmt.Errorf("master %d has begun a reload", p.PID)
			}
			continue
		}
		if !IsReady(again) {
			return fmt.Errorf("active %d is no longer ready", p.PID)
		}
		x.Host.LookGently(tables, again)
		if again.Sockets == nil || len(again.Sockets.Listening) == 0 {
			again.Err = nil
			x.Host.LookThoroughly(context.Background(), tables, again)
		}
		listening = listening || again.Sockets != nil && len(again.Sockets.Listening) > 0
	}
	if !listening {
		return errors.New("the active no longer listens")
	}
	return nil
}
