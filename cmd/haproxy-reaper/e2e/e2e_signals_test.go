package e2e

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

var isSurvivor = judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonPastDeadline, judge.OutcomeSurvived}

func TestWedgedResidualIsReportedAsASurvivor(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(2, 1)
		wedged, sound := old[0], old[1]
		before := b.processes()
		b.signal(wedged, "STOP")
		probe := s.probe()
		a := b.agent("reap", "--deadline", "0s").exits(5)
		a.finds(wedged, isSurvivor).finds(sound, isTerminated).finds(s.active(), isActive)
		a.sent(wedged, "SIGTERM").sent(sound, "SIGTERM")
		b.stay(without(before, sound)...)
		probe.unbroken(b)
		if a.took < 10*time.Second {
			t.Errorf("given up after %v", a.took)
		}
		if got := a.process(wedged).Wedge; got != judge.WedgeStopped {
			t.Errorf("the wedged process is %q, want stopped", got)
		}
		b.advises("it is frozen (state T), and hears nothing but SIGKILL (--kill-after). To let it go on: kill -CONT " + strconv.Itoa(wedged.PID))

		// What it advises helps: the SIGTERM has waited.
		b.signal(wedged, "CONT")
		b.until(func() error { return b.gone(wedged) })
	})
}

func TestWedgedResidualIsKilledAfterTheTimeForThat(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		wedged := s.makeResidual(1, 1)[0]
		before := b.processes()
		b.signal(wedged, "STOP")
		probe := s.probe()
		a := b.agent("reap", "--deadline", "0s", "--kill-after", "1s").exits(0)
		a.finds(wedged, judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonPastDeadline, judge.OutcomeKilled})
		a.sent(wedged, "SIGTERM", "SIGKILL").finds(s.active(), isActive)
		b.stay(without(before, wedged)...)
		probe.unbroken(b)
	})
}

// Nothing is signalled before the second look, a second after the first.
func TestSIGTERMToTheAgentBetweenItsLooksSignalsNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	before := b.processes()
	// The first look has no sign that could be waited for from outside: ever
	// later moments are tried until one is after it.
	for delay := time.Duration(0); ; delay += 100 * time.Millisecond {
		job := b.startAgent(command{args: []string{"reap", "--deadline", "0s"}})
		b.until(func() error { return b.lockHeld(job) })
		time.Sleep(delay)
		if err := job.cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		a := b.answer(job)
		b.stay(before...)
		if a.report.Version != 1 {
			t.Fatal("no report")
		}
		if len(a.report.Instances) > 0 {
			a.sent(old).finds(old, judgement{judge.RoleResidual, judge.VerdictWait, judge.ReasonInterrupted, ""})
			return
		}
	}
}

func TestSIGTERMToTheAgentWhileItAsksSignalsNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 1)
	before := b.processes()
	_, terminal := fixture.Terminal(t)
	job := b.startAgent(command{args: []string{"reap", "--deadline", "0s"}, stdin: terminal})
	b.until(func() error {
		if job.stderr.String() == "" {
			return errors.New("nothing is asked")
		}
		return nil
	})
	if err := job.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	a := b.answer(job)
	if a.took > 20*time.Second {
		t.Errorf("the agent took %v to end", a.took)
	}
	b.stay(before...)
}

func TestSIGTERMToTheAgentInItsWaitEndsThePassWithAReportAndNoFurtherSignal(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	wedged := s.makeResidual(1, 1)[0]
	before := b.processes()
	b.signal(wedged, "STOP")
	job := b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--kill-after", "20s"}})
	b.until(func() error { return b.pending(wedged, unix.SIGTERM) })
	if err := job.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	a := b.answer(job).exits(5)
	a.sent(wedged, "SIGTERM").finds(wedged, isSurvivor).finds(s.active(), isActive)
	b.stay(before...) // and no SIGKILL
	if a.took > 10*time.Second {
		t.Errorf("the agent took %v to end", a.took)
	}
}

func TestSecondLiveRunLeavesTheFirstAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	wedged := s.makeResidual(1, 1)[0]
	before := b.processes()
	b.signal(wedged, "STOP")
	first := b.startAgent(command{args: []string{"reap", "--deadline", "0s"}})
	b.until(func() error { return b.pending(wedged, unix.SIGTERM) })

	second := b.agent("reap", "--deadline", "0s").exits(75)
	if second.stdout.String() != "" {
		t.Errorf("the second run reports %q", second.stdout.String())
	}
	b.agent("reap", "--dry-run", "--deadline", "0s").exits(0)
	b.agent("status").exits(0)

	if err := first.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.answer(first)
	b.agent("reap", "--deadline", "1h").exits(0) // the lock went with its holder
	b.stay(before...)
}
