package reaper

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// newTarget is a target at a stage.
func newTarget(s stage, signals ...string) *target {
	return &target{&judge.Process{Verdict: judge.VerdictTerminate, Reason: judge.ReasonPastDeadline, Signals: signals}, s, slog.New(slog.DiscardHandler)}
}

// A pass that took another step would have lost count of what it does. It ends there
// and then, before anything else is signalled.
func TestATargetTakesNoStepButThoseOfThePicture(t *testing.T) {
	allowed := map[string]bool{
		"proposed proven": true, "proposed left": true, "proposed withheld": true, "proposed survived": true,
		"proven draining": true, "proven signalled": true, "proven left": true, "proven withheld": true, "proven survived": true,
		"draining proposed": true, "draining left": true, "draining withheld": true,
		"signalled left": true, "signalled survived": true,
		"survived proposed": true,
	}
	stages := []stage{proposed, proven, draining, signalled, survived, left, withheld}
	for _, from := range stages {
		for _, to := range stages {
			step := fmt.Sprintf("%s %s", from, to)
			if got := stepped(from, to); got != allowed[step] {
				t.Errorf("%s: taken %t, want %t", step, got, allowed[step])
			}
		}
	}
}

// stepped tells whether a target may go from one stage to another.
func stepped(from, to stage) (taken bool) {
	defer func() { taken = recover() == nil }()
	newTarget(from).step(to)
	return
}

func TestWhatATargetLeftByIsItsOutcome(t *testing.T) {
	for _, row := range []struct {
		name    string
		from    stage
		signals []string
		drained int
		want    judge.Outcome
	}{
		{"before anything was done to it", proposed, nil, 0, judge.OutcomeVanished},
		{"right before its signal", proven, nil, 0, judge.OutcomeVanished},
		{"while its clients were disconnected", draining, nil, 3, judge.OutcomeDrained},
		{"while none of its clients was yet", draining, nil, 0, judge.OutcomeVanished},
		{"after SIGTERM", signalled, []string{"SIGTERM"}, 3, judge.OutcomeTerminated},
		{"late, before SIGKILL was sent", proposed, []string{"SIGTERM"}, 0, judge.OutcomeTerminated},
		{"after SIGKILL", signalled, []string{"SIGTERM", "SIGKILL"}, 0, judge.OutcomeKilled},
	} {
		t.Run(row.name, func(t *testing.T) {
			target := newTarget(row.from, row.signals...)
			target.DrainedConnections = row.drained
			if target.leave(); target.Outcome != row.want || target.stage != left {
				t.Errorf("%s, at stage %s; want %s", target.Outcome, target.stage, row.want)
			}
		})
	}
}

func TestATargetThatIsWithheldSaysWhy(t *testing.T) {
	first := newTarget(proven)
	if first.withhold(judge.VerdictRefuse, judge.ReasonChanged); first.stage != withheld || first.Verdict != judge.VerdictRefuse || first.Reason != judge.ReasonChanged {
		t.Errorf("%s: %s, %s", first.stage, first.Verdict, first.Reason)
	}
	dry := newTarget(proven)
	if dry.unsent("SIGTERM", nil); dry.stage != withheld || dry.Outcome != judge.OutcomeDryRun || dry.Error != "" {
		t.Errorf("%s: %s, %q", dry.stage, dry.Outcome, dry.Error)
	}
	failed := newTarget(proven)
	if failed.unsent("SIGTERM", errors.New("no")); failed.stage != withheld || failed.Outcome != judge.OutcomeFailed || failed.Error != "send SIGTERM: no" {
		t.Errorf("%s: %s, %q", failed.stage, failed.Outcome, failed.Error)
	}
}

// What SIGTERM did not end is a survivor, whatever becomes of SIGKILL.
func TestASurvivorThatGetsNoSIGKILLIsASurvivorStill(t *testing.T) {
	target := newTarget(signalled, "SIGTERM")
	target.survive(10*time.Second, "")
	target.step(proposed)
	target.withhold(judge.VerdictRefuse, judge.ReasonReloading)
	if target.stage != survived || target.Outcome != judge.OutcomeSurvived || target.Verdict != judge.VerdictTerminate || target.Reason != judge.ReasonPastDeadline {
		t.Errorf("%s: %s, %s, %s", target.stage, target.Outcome, target.Verdict, target.Reason)
	}
}
