package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestPassLeavesResidualProcessesAloneBeforeTheirDeadline(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(2, 1)
		before := b.processes()
		a := b.agent("reap", "--deadline", "1h").exits(0)
		a.finds(old[0], isWaited).finds(old[1], isWaited).finds(s.active(), isActive)
		a.summary(judge.Summary{Active: 1, Residual: 2})
		b.stay(before...)
	})
}

func TestPassTerminatesExactlyTheResidualProcessesPastTheirDeadline(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(2, 3)
		active := s.active()
		held := s.hold(2)
		before := b.processes()
		probe := s.probe()
		a := b.agent("reap", "--deadline", "0s").exits(0)
		probe.unbroken(b)
		a.finds(old[0], isTerminated).finds(old[1], isTerminated).finds(active, isActive)
		a.summary(judge.Summary{Active: 1, Terminated: 2})
		b.stay(without(before, old...)...) // the master and the active worker are the same as before
		if model == judge.ModelMasterWorker {
			a.finds(s.master(), isMaster)
		}
		for _, c := range held {
			if err := echo(c); err != nil {
				t.Errorf("a client of the active worker: %v", err)
			}
		}
		// A process is signalled on what two looks a second apart agree on, and
		// the second is not waited for any longer than that.
		if a.took < time.Second {
			t.Errorf("the pass took %v: it cannot have looked twice a second apart", a.took)
		}
		t.Logf("a live pass with two looks took %v", a.took)
	})
}

func TestPassCountsTheDeadlineFromTheReloadNotFromTheStart(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		s.hold(1)
		first := s.active()
		b.until(func() error { return b.age(first, 3*time.Second) })
		s.reload()
		a := b.agent("reap", "--deadline", "2h").exits(0).finds(first, isWaited)
		p := a.process(first)
		if p.Superseded == nil || p.ResidualSeconds == nil || *p.ResidualSeconds > p.AgeSeconds-2 {
			t.Errorf("superseded %v, for %v seconds, of an age of %v", p.Superseded, p.ResidualSeconds, p.AgeSeconds)
		}
	})
}

func TestDryRunPlansWhatTheLivePassDoesAndLeavesEverythingAlive(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(2, 1)
		before := b.processes()

		dry := b.agent("reap", "--dry-run", "--deadline", "0s").exits(0)
		dry.finds(old[0], wouldTerminate).finds(old[1], wouldTerminate).finds(s.active(), isActive)
		b.stay(before...)
		if !dry.report.DryRun {
			t.Error("the report of the dry run does not say that it is one")
		}
		env := b.answer(b.startAgent(command{args: []string{"reap", "--deadline", "0s"}, env: []string{"DRYRUN=yes"}})).exits(0)
		env.finds(old[0], wouldTerminate)
		b.stay(before...)

		live := b.agent("reap", "--deadline", "0s").exits(0)
		if diff := cmp.Diff(dry.planned(), live.planned()); diff != "" {
			t.Errorf("plan of the live pass (-dry run +live):\n%s", diff)
		}
		b.stay(without(before, old...)...)
	})
}

func TestMaxTerminationsTakesTheLongestSupersededFirst(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(3, 1)
		left := b.processes()
		for i, next := range old {
			a := b.agent("reap", "--deadline", "0s", "--max-terminations", "1").exits(0)
			a.finds(next, isTerminated)
			for _, other := range old[i+1:] {
				a.finds(other, judgement{judge.RoleResidual, judge.VerdictWait, judge.ReasonMaxTerminations, ""})
			}
			left = without(left, next)
			b.stay(left...)
		}
	})
}

// As shipped the cap is 5. Five old workers that are frozen use it up no more.
func TestStoppedResidualsUseUpNoCap(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(6, 1)
		frozen, healthy := old[:5], old[5]
		before := b.processes()
		for _, p := range frozen {
			b.signal(p, "STOP")
		}
		a := b.agent("reap", "--deadline", "0s", "--max-terminations", "5").exits(agent.ExitSurvivor).finds(healthy, isTerminated)
		for _, p := range frozen {
			a.finds(p, isSurvivor).sent(p, "SIGTERM")
		}
		b.stay(without(before, healthy)...)
		s.answers()
	})
}

// A frozen worker frees nothing. It is the dearest, and each pass takes another one
// as long as there is one.
func TestAStoppedResidualIsNotChosenForItsMemory(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		dearest, second := s.residualBy("127.0.0.1:8000", 1), s.residualBy("127.0.0.1:8000", 2)
		third := s.residualBy("127.0.0.1:8000", 9)
		before := b.processes()
		low := []string{"reap", "--deadline", "1h", "--min-available-memory", "100"}
		frozen := judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonLowMemory, judge.OutcomeSurvived}

		b.signal(dearest, "STOP")
		b.agent(low...).exits(agent.ExitOK).finds(second, terminatedFor(judge.ReasonLowMemory)).finds(dearest, isWaited).finds(third, isWaited)
		b.agent(low...).exits(agent.ExitOK).finds(third, terminatedFor(judge.ReasonLowMemory)).finds(dearest, isWaited)
		// No other is left to choose.
		a := b.agent(low...).exits(agent.ExitSurvivor).finds(dearest, frozen).sent(dearest, "SIGTERM")
		if a.process(dearest).SignalledBefore {
			t.Error("it is said to have been signalled before it was")
		}
		if !b.agent("status").process(dearest).SignalledBefore {
			t.Error("it is not said to have been signalled by an earlier pass")
		}
		fourth := s.residualBy("127.0.0.1:8000", 9)
		b.agent(low...).exits(agent.ExitOK).finds(fourth, terminatedFor(judge.ReasonLowMemory)).finds(dearest, isWaited)
		b.stay(append(without(before, second, third, fourth), s.active())...)
	})
}

func TestPassOnAHostWithoutHAProxySaysSo(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, args := range [][]string{{"reap"}, {"reap", "--dry-run"}, {"status"}} {
		j := b.start(command{args: append([]string{bedAgent}, args...)})
		if code := j.wait(t); code != 0 {
			t.Errorf("%q: exit status %d, want 0: %s", args, code, j.stderr.String())
		}
		if text := j.stdout.String() + j.stderr.String(); !strings.Contains(strings.ToLower(text), "no haproxy") {
			t.Errorf("%q does not say that there is no HAProxy:\n%s", args, text)
		}
		if a := b.agent(args...).exits(0); len(a.report.Instances) != 0 {
			t.Errorf("%q reports %+v", args, a.report.Instances)
		}
	}
}

// An operator reads the table, not the JSON.
func TestDryRunInWordsTellsWhatWouldBeTerminatedAndWhatThatCuts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 3)
	before := b.processes()
	j := b.start(command{args: []string{bedAgent, "reap", "--dry-run", "--deadline", "0s"}})
	if code := j.wait(t); code != 0 {
		t.Errorf("exit status %d, want 0: %s", code, j.stderr.String())
	}
	for _, want := range []string{"would terminate", "3 client connections", s.config} {
		if !strings.Contains(j.stdout.String(), want) {
			t.Errorf("nothing of %q in\n%s", want, j.stdout.String())
		}
	}
	b.stay(before...)
}

func TestConfigurationFileIsReadByAPassByHand(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)
	before := b.processes()
	b.write(bedDir+"/reaper.conf", "HAPROXY_REAPER_DRY_RUN=true\nHAPROXY_REAPER_DEADLINE=0s\n")
	b.agent("reap", "--config", bedDir+"/reaper.conf").exits(0).finds(old[0], wouldTerminate)
	b.stay(before...)
	b.agent("reap", "--config", bedDir+"/reaper.conf", "--dry-run=false").exits(0).finds(old[0], isTerminated)
	b.stay(without(before, old...)...)
}
