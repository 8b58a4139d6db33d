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

const (
	// lookApart is the time between the two looks that must agree.
	lookApart = time.Second
	// lookAgain is the time between looks at an unclear picture.
	lookAgain = 100 * time.Millisecond
	// confirmAgain is the time between attempts to confirm the active.
	confirmAgain = 10 * time.Millisecond
	// survivorAfter is how long a process may take to leave after its last signal
	// before it is reported as a survivor.
	survivorAfter = 10 * time.Second
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

// agreeWithin agrees within a limit; 0 is none.
func (x *execution) agreeWithin(ctx context.Context, first Instance, limit time.Duration) (Instance, bool) {
	ctx, cancel := bounded(ctx, limit)
	defer cancel()
	return x.agree(ctx, first)
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
		case j < 0:
			p.Outcome = OutcomeTerminated // left late, by the SIGTERM
		case killed.Processes[j].Outcome != "":
			p.Outcome, p.Error = killed.Processes[j].Outcome, killed.Processes[j].Error
			p.Signals = append(p.Signals, killed.Processes[j].Signals...)
		}
	}
	return in
}

func isSurvivor(p Process) bool { return p.Outcome == OutcomeSurvived }

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
			both := confirmed(first, second, x.approved)
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

// carryOver takes what only the first look measures over to a later one, so that
// every look decides on the same clients, idle times and memory.
func carryOver(in, first Instance) Instance {
	in.Name = first.Name
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

// stopReason says why a context ended: our own time limit, or somebody's signal.
func (x *execution) stopReason(ctx context.Context) Reason {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ReasonPassTimeout
	}
	return ReasonInterrupted
}

// isTarget tells a process that is to be signalled, and has not been dealt with.
func isTarget(p Process) bool { return p.Verdict == VerdictTerminate && p.Outcome == "" }

// sameActive tells whether two looks saw the same active generation.
func sameActive(a, b Instance) bool {
	return slices.Equal(idsOf(a, RoleActive), idsOf(b, RoleActive)) && slices.Equal(idsOf(a, RoleMaster), idsOf(b, RoleMaster))
}

func idsOf(in Instance, role Role) []inspect.ProcID {
	var ids []inspect.ProcID
	for _, p := range in.Processes {
		if p.Role == role {
			ids = append(ids, p.ProcID)
		}
	}
	return ids
}

// confirmed is the first look, less what the second does not bear out. What was
// measured is the first look's; who is still there, the second's.
func confirmed(first, second Instance, approved map[inspect.ProcID]bool) Instance {
	first.Processes = slices.Clone(first.Processes)
	for i := range first.Processes {
		p := &first.Processes[i]
		if p.Verdict != VerdictTerminate {
			continue
		}
		j := slices.IndexFunc(second.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		switch {
		case j < 0:
			p.Outcome = OutcomeVanished
		case second.Processes[j].Verdict != VerdictTerminate:
			p.Verdict, p.Reason = second.Processes[j].Verdict, second.Processes[j].Reason
		case !approved[p.ProcID]:
			p.Verdict, p.Reason = VerdictWait, ReasonDeclined
		}
	}
	return first
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
	listening := false
	for _, p := range in.Processes {
		if p.Role != RoleActive && p.Role != RoleMaster {
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
		if !isReady(again) {
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

// wait waits until those that were signalled have left, at most so long, and
// gives each its outcome.
func (x *execution) wait(ctx context.Context, in Instance, limit time.Duration, outcome Outcome) Instance {
	deadline := x.Host.Kernel().Boottime() + limit
	for i := range in.Processes {
		p := &in.Processes[i]
		if len(p.Signals) == 0 || p.Outcome != "" && p.Outcome != OutcomeSurvived {
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

func (x *execution) logRefusal(in Instance) {
	if in.Refusal != "" {
		x.Log.Warn("refused", "instance", in.Name, "reason", in.Refusal, "detail", in.RefusalDetail)
	}
}

// attributes are what a log line says of a process.
func attributes(p *Process) []any {
	list := []any{slog.Duration("age", seconds(p.AgeSeconds))}
	if p.ResidualSeconds != nil {
		list = append(list, slog.Duration("residual", seconds(*p.ResidualSeconds)))
	}
	if p.Connections.Client != nil {
		list = append(list, slog.Int("clients", *p.Connections.Client))
	}
	return list
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}
