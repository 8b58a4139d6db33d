package reaper

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// begin brings an instance to its first signal; before that its targets are
// drained, where that is asked for. False when nothing was signalled.
func (x *execution) begin(ctx context.Context) (Instance, bool) {
	if x.Timing.DrainRate == 0 {
		return x.signalPhase(ctx, x.firstLook, x.budget, syscall.SIGTERM)
	}
	in, ok := x.agreeWithin(ctx, x.firstLook, x.budget)
	if !ok {
		x.logRefusal(in)
		return in, false
	}
	in = x.drain(ctx, in)
	x.approved = map[inspect.ProcID]bool{}
	for _, p := range in.Processes {
		if IsTarget(p) {
			x.approved[p.ProcID] = true
		}
	}
	if len(x.approved) == 0 {
		return in, false
	}
	// Draining may have taken minutes: all is looked at anew, twice.
	fresh, err := x.lookWithin(ctx, x.Timing.PassTimeout)
	switch {
	case ctx.Err() != nil:
		return leave(in, x.stopReason(ctx)), false
	case err != nil:
		return x.withhold(in, ReasonChanged, err.Error()), false
	}
	signalled, ok := x.signalPhase(ctx, fresh, x.Timing.PassTimeout, syscall.SIGTERM)
	return x.takeOver(in, signalled), ok
}

// takeOver adds what became of the targets after they were drained.
func (x *execution) takeOver(in, after Instance) Instance {
	in.Processes = slices.Clone(in.Processes)
	in.Refusal, in.RefusalDetail = after.Refusal, after.RefusalDetail
	for i := range in.Processes {
		p := &in.Processes[i]
		if !x.approved[p.ProcID] {
			continue
		}
		j := slices.IndexFunc(after.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		switch {
		case j < 0 && !x.left(p.ProcID):
			p.Verdict, p.Reason = VerdictRefuse, ReasonChanged
			continue
		case j < 0, after.Processes[j].Outcome == OutcomeVanished:
			x.depart(in.Name, p)
			continue
		}
		q := after.Processes[j]
		p.Verdict, p.Reason, p.Outcome, p.Signals, p.Error = q.Verdict, q.Reason, q.Outcome, q.Signals, q.Error
	}
	return in
}

// stillTargets looks once more, with the eyes of the second look, and confirms
// the active as before a signal. Who is no longer a target then has lost its
// verdict. A picture that is unclear may take --settle to clear; false when it
// did not, and nobody may be touched any more.
func (x *execution) stillTargets(ctx context.Context, in Instance) (Instance, bool) {
	clock := x.Host.Kernel()
	deadline := clock.Boottime() + x.Timing.Settle
	for {
		again, err := x.lookWithin(ctx, x.Timing.PassTimeout)
		if err == nil && again.Refusal == "" && SameActive(in, again) {
			if err = x.confirmWithin(ctx, in, x.Timing.PassTimeout); err == nil {
				return x.bornOut(in, again), true
			}
		}
		switch {
		case ctx.Err() != nil:
			return leave(in, x.stopReason(ctx)), false
		case clock.Boottime() < deadline:
		case err != nil:
			return x.withhold(in, ReasonChanged, err.Error()), false
		case again.Refusal != "":
			return x.withhold(in, again.Refusal, again.RefusalDetail), false
		default:
			return x.withhold(in, ReasonChanged, "the active worker changed while clients were drained"), false
		}
		if clock.Sleep(ctx, lookAgain) != nil {
			return leave(in, x.stopReason(ctx)), false
		}
	}
}

// confirmWithin confirms the active within a limit; 0 is none.
func (x *execution) confirmWithin(ctx context.Context, in Instance, limit time.Duration) error {
	ctx, cancel := bounded(ctx, limit)
	defer cancel()
	return x.confirmSettled(ctx, in)
}

// bornOut is an instance less the targets that another look does not bear out.
func (x *execution) bornOut(in, again Instance) Instance {
	both := Agreed(in, again, x.approved, x.left)
	for i := range both.Processes {
		switch p := &both.Processes[i]; {
		case in.Processes[i].Outcome != "":
			*p = in.Processes[i]
		case p.Outcome == OutcomeVanished:
			x.depart(in.Name, p)
		}
	}
	return both
}

// withhold refuses what has not been dealt with yet.
func (x *execution) withhold(in Instance, why Reason, detail string) Instance {
	refused := refuse(in, why, detail)
	for i := range refused.Processes {
		if p := in.Processes[i]; !IsTarget(p) {
			refused.Processes[i] = p
		}
	}
	x.logRefusal(refused)
	return refused
}
