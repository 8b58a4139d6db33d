package reaper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// execution acts on one instance. Instances are acted on side by side, each by
// an execution of its own, and none waits for another.
type execution struct {
	*Pass
	approved  map[inspect.ProcID]bool
	host      Report // what the first look measured of the host
	firstLook Instance
	budget    time.Duration // for looking, deciding and signalling; 0 is no bound
}

func (p *Pass) newExecution(first Report, in Instance, approved map[inspect.ProcID]bool, budget time.Duration) *execution {
	return &execution{Pass: p, approved: approved, host: first, firstLook: in, budget: budget}
}

// run brings an instance from its first look to its outcomes.
func (x *execution) run(ctx context.Context) Instance {
	in, ok := x.begin(ctx)
	if !ok {
		return in
	}
	if x.Timing.KillAfter == 0 {
		return x.wait(ctx, in, survivorAfter, OutcomeTerminated)
	}
	in = x.wait(ctx, in, x.Timing.KillAfter, OutcomeTerminated)
	if !slices.ContainsFunc(in.Processes, isSurvivor) || ctx.Err() != nil {
		return in
	}
	return x.escalate(ctx, in)
}

// signalPhase looks, decides and signals within the budget; what is left then
// goes to the next pass. False when nothing was signalled.
func (x *execution) signalPhase(ctx context.Context, first Instance, budget time.Duration, signal syscall.Signal) (Instance, bool) {
	ctx, cancel := bounded(ctx, budget)
	defer cancel()
	in, ok := x.agree(ctx, first)
	if !ok {
		x.logRefusal(in)
		return in, false
	}
	return x.signalAll(ctx, in, signal), true
}

// escalate sends SIGKILL to those that a SIGTERM of this run did not end, after
// every check once more.
func (x *execution) escalate(ctx context.Context, in Instance) Instance {
	survivors := map[inspect.ProcID]bool{}
	for _, p := range in.Processes {
		if isSurvivor(p) {
			survivors[p.ProcID] = true
		}
	}
	x.approved = survivors
	fresh, err := x.lookWithin(ctx, x.Timing.PassTimeout)
	if err != nil {
		return in
	}
	killed, ok := x.signalPhase(ctx, fresh, x.Timing.PassTimeout, syscall.SIGKILL)
	if !ok {
		return in
	}
	killed = x.wait(ctx, killed, survivorAfter, OutcomeKilled)
	// What the first half of the run did stays in the report.
	for i := range in.Processes {
		p := &in.Processes[i]
		j := slices.IndexFunc(killed.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		switch {
		case !survivors[p.ProcID]:
		case j < 0 && x.left(p.ProcID):
			p.Outcome = OutcomeTerminated // left late, by the SIGTERM
		case j < 0: // nothing ties it to the instance any more
		case killed.Processes[j].Outcome != "":
			p.Outcome, p.Error = killed.Processes[j].Outcome, killed.Processes[j].Error
			p.Signals = append(p.Signals, killed.Processes[j].Signals...)
		}
	}
	return in
}

func isSurvivor(p Process) bool { return p.Outcome == OutcomeSurvived }

// isTarget tells a process that is to be signalled, and has not been dealt with.
func isTarget(p Process) bool { return p.Verdict == VerdictTerminate && p.Outcome == "" }

// stopReason says why a context ended: our own time limit, or somebody's signal.
func (x *execution) stopReason(ctx context.Context) Reason {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ReasonPassTimeout
	}
	return ReasonInterrupted
}

// refuse turns an instance's verdicts to terminate into refusals.
func refuse(in Instance, why Reason, detail string) Instance {
	in.Refusal, in.RefusalDetail = why, detail
	in.Processes = slices.Clone(in.Processes)
	for i := range in.Processes {
		if p := &in.Processes[i]; p.Verdict == VerdictTerminate {
			p.Verdict, p.Reason = VerdictRefuse, why
		}
	}
	return in
}

// signalAll signals the targets one after another, in the order of firstToGo,
// with the active confirmed again before each.
func (x *execution) signalAll(ctx context.Context, in Instance, signal syscall.Signal) Instance {
	targets := []*Process{}
	for i := range in.Processes {
		if isTarget(in.Processes[i]) {
			targets = append(targets, &in.Processes[i])
		}
	}
	slices.SortStableFunc(targets, firstToGo)
	for _, p := range targets {
		if ctx.Err() != nil {
			return leave(in, x.stopReason(ctx))
		}
		if err := x.confirmSettled(ctx, in); err != nil {
			if ctx.Err() != nil {
				return leave(in, x.stopReason(ctx))
			}
			in = refuse(in, ReasonChanged, err.Error())
			x.logRefusal(in)
			return in
		}
		x.signal(in, p, signal)
	}
	return in
}

// signal sends one signal and notes what came of it.
func (x *execution) signal(in Instance, p *Process, signal syscall.Signal) {
	name := unix.SignalName(signal)
	log := x.Log.With("instance", in.Name, "pid", p.PID, "signal", name)
	sent, err := x.Terminator.Signal(p.ProcID, signal)
	switch {
	case errors.Is(err, inspect.ErrGone):
		p.Outcome = OutcomeVanished
		log.Info("residual process left before it was signalled")
	case err != nil:
		p.Outcome, p.Error = OutcomeFailed, fmt.Sprintf("send %s: %v", name, err)
		log.Error("cannot signal residual process", "error", err)
	case !sent:
		p.Outcome = OutcomeDryRun
		log.Info("would signal residual process", attributes(p)...)
	default:
		p.Signals = append(p.Signals, name)
		x.Signalled(x.Memory, in.Name, p.ProcID, name)
		log.Info("signalled residual process", attributes(p)...)
	}
}

func (p *Pass) logRefusal(in Instance) {
	if in.Refusal != "" {
		p.Log.Warn("refused", "instance", in.Name, "reason", in.Refusal, "detail", in.RefusalDetail)
	}
}

// attributes are what a log line says of a process.
func attributes(p *Process) []any {
	list := []any{slog.Duration("age", Seconds(p.AgeSeconds).Round(time.Second))}
	if p.ResidualSeconds != nil {
		list = append(list, slog.Duration("residual", Seconds(*p.ResidualSeconds).Round(time.Second)))
	}
	if p.Connections.Client != nil {
		list = append(list, slog.Int("clients", *p.Connections.Client))
	}
	return list
}
