package reaper

import (
	"context"
	"fmt"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// survivorAfter is how long a process may take to leave after its last signal
// before it is reported as a survivor.
const survivorAfter = 10 * time.Second

// wait waits until those that were signalled have left, at most so long, and
// gives each its outcome.
func (x *execution) wait(ctx context.Context, in Instance, limit time.Duration, outcome Outcome) Instance {
	deadline := x.Host.Kernel().Boottime() + limit
	for i := range in.Processes {
		p := &in.Processes[i]
		if len(p.Signals) == 0 {
			continue
		}
		left, err := x.waitFor(ctx, p.ProcID, deadline)
		log := x.Log.With("instance", in.Name, "pid", p.PID)
		switch {
		case err != nil:
			p.Error = fmt.Sprintf("wait: %v", err)
			p.Outcome = OutcomeSurvived
		case left:
			p.Outcome = outcome
			log.Info("residual process has left", append(attributes(p), "outcome", outcome)...)
		default:
			p.Outcome = OutcomeSurvived
			if ctx.Err() != nil {
				p.Error = "the run was interrupted while it waited for the process to leave"
			}
			log.Warn("residual process is still there after its signal", "limit", limit, "interrupted", ctx.Err() != nil)
		}
	}
	return in
}

// waitFor waits on a pidfd until the process has left, the deadline on
// CLOCK_BOOTTIME has passed, or the context is done.
func (x *execution) waitFor(ctx context.Context, id inspect.ProcID, deadline time.Duration) (bool, error) {
	handle := x.Host.Handle(id)
	if handle == nil {
		return true, nil
	}
	for {
		x.Step()
		left := deadline - x.Host.Kernel().Boottime()
		gone, err := handle.Wait(max(0, min(left, lookAgain)))
		if err != nil || gone || left <= 0 || ctx.Err() != nil {
			return gone, err
		}
	}
}
