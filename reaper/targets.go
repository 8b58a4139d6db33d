package reaper

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// stage is how far a pass has come with a target. The picture of the allowed steps is
// in doc.go.
type stage string

const (
	proposed  stage = "proposed"  // one look found it due
	proven    stage = "proven"    // two looks agree that it is due
	draining  stage = "draining"  // its client connections are being closed
	signalled stage = "signalled" // a signal of this pass was sent to it
	survived  stage = "survived"  // it is still there after that signal
	left      stage = "left"      // it is gone
	withheld  stage = "withheld"  // it gets no signal in this pass; its verdict or outcome says why
)

// steps are the stages that may follow each stage. A survivor is proposed anew, for
// SIGKILL; if that does not come about it is a survivor still.
var steps = map[stage][]stage{
	proposed:  {proven, left, survived, withheld},
	proven:    {draining, signalled, left, survived, withheld},
	draining:  {proposed, left, withheld},
	signalled: {survived, left},
	survived:  {proposed},
}

// target is a process that a pass is to signal, in the report of the pass. What comes
// of it is written by the methods of this file alone.
type target struct {
	*judge.Process
	stage stage
	log   *slog.Logger
}

// table is the targets of an instance, in the order in which they are signalled.
type table []*target

// targetsOf are the processes of an instance that are to be terminated.
func targetsOf(in *judge.Instance, log *slog.Logger) table {
	list := table{}
	for i := range in.Processes {
		if p := &in.Processes[i]; p.Verdict == judge.VerdictTerminate {
			list = append(list, &target{p, proposed, log.With("instance", in.Name, "pid", p.PID)})
		}
	}
	slices.SortStableFunc(list, func(a, b *target) int { return judge.FirstToGo(a.Process, b.Process) })
	return list
}

// at are the targets at a stage.
func (all table) at(s stage) table {
	return slices.DeleteFunc(slices.Clone(all), func(t *target) bool { return t.stage != s })
}

// step takes a target to its next stage. A step that is not allowed is a fault of this
// package, and nothing may be signalled after it.
func (t *target) step(next stage) {
	if !slices.Contains(steps[t.stage], next) {
		panic("a target went from " + string(t.stage) + " to " + string(next))
	}
	t.stage = next
}

// signal notes that a signal was sent to the target.
func (t *target) signal(name string) {
	t.step(signalled)
	t.Signals = append(t.Signals, name)
	t.log.Info("signalled residual process", append([]any{"signal", name}, t.attributes()...)...)
}

// leave notes that the target is gone. Its outcome is what it left by.
func (t *target) leave() {
	t.step(left)
	switch {
	case len(t.Signals) > 1:
		t.Outcome = judge.OutcomeKilled
	case len(t.Signals) == 1:
		t.Outcome = judge.OutcomeTerminated
	case t.DrainedConnections > 0:
		t.Outcome = judge.OutcomeDrained
	default:
		t.Outcome = judge.OutcomeVanished
	}
	t.log.Info("residual process has left", append(t.attributes(), "outcome", t.Outcome)...)
}

// survive notes that the target is still there after its signal, and what kept the pass
// from waiting for it, if anything.
func (t *target) survive(limit time.Duration, why string) {
	t.step(survived)
	t.Outcome, t.Error = judge.OutcomeSurvived, why
	t.log.Warn("residual process is still there after its signal", "limit", limit, "interrupted", why == interrupted)
}

// withhold notes that the target gets no signal, by a verdict. A survivor stays one.
func (t *target) withhold(verdict judge.Verdict, why judge.Reason) {
	if len(t.Signals) > 0 {
		t.step(survived)
		return
	}
	t.step(withheld)
	t.Verdict, t.Reason = verdict, why
}

// unsent notes that a signal was not sent: it could not be, or this is a dry run.
func (t *target) unsent(signal string, why error) {
	t.step(withheld)
	if why == nil {
		t.Outcome = judge.OutcomeDryRun
		t.log.Info("would signal residual process", append([]any{"signal", signal}, t.attributes()...)...)
		return
	}
	t.Outcome, t.Error = judge.OutcomeFailed, fmt.Sprintf("send %s: %v", signal, why)
	t.log.Error("cannot signal residual process", "signal", signal, "error", why)
}

// attributes are what a log line says of a target.
func (t *target) attributes() []any {
	list := []any{slog.Duration("age", judge.Seconds(t.AgeSeconds).Round(time.Second))}
	if t.ResidualSeconds != nil {
		list = append(list, slog.Duration("residual", judge.Seconds(*t.ResidualSeconds).Round(time.Second)))
	}
	if t.Connections.Client != nil {
		list = append(list, slog.Int("clients", *t.Connections.Client))
	}
	return list
}
