package e2e

import (
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// refusedFor is the judgement on a residual process of a refused instance.
func refusedFor(reason judge.Reason) judgement {
	return judgement{judge.RoleResidual, judge.VerdictRefuse, reason, ""}
}

func TestYoungestThatDoesNotListenRefusesUntilItDoes(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, text: tcpOnly})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		paused := s.pause()

		a := b.agent("reap", "--deadline", "0s", "--settle", "300ms").exits(3)
		a.refuses(old, judge.ReasonNotListening, judge.ReasonPaused).finds(old, refusedFor(a.instance(old).Refusal))
		a.finds(paused, judgement{judge.RolePaused, judge.VerdictKeep, judge.ReasonPaused, ""})
		a.summary(judge.Summary{Residual: 1, Due: 1, Refused: 1})
		b.stay(before...)

		// A refusal that withholds nothing is no failure, and neither is looking.
		b.agent("reap", "--deadline", "1h").exits(0)
		b.agent("status", "--deadline", "0s").exits(0)
		b.stay(before...)

		s.resume()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(paused, isActive)
		b.stay(without(before, old)...)
	})
}

// The listener comes back while the pass waits for the picture to clear.
func TestPauseThatEndsWithinTheSettleTimeIsWaitedFor(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{text: tcpOnly})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		s.pause()
		job := b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--settle", "30s"}})
		b.until(func() error { return b.lockHeld(job) })
		s.resume()
		b.answer(job).exits(0).finds(old, isTerminated)
		b.stay(without(before, old)...)
	})
}

// A stopped worker accepts connections, by its kernel, and serves none of them.
func TestActiveThatIsStoppedRefuses(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		b.signal(s.active(), "STOP")
		a := b.agent("reap", "--deadline", "0s", "--settle", "300ms").exits(3)
		a.refuses(old, judge.ReasonActiveStopped).finds(old, refusedFor(judge.ReasonActiveStopped))
		b.stay(before...)
		b.signal(s.active(), "CONT")
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated)
		b.stay(without(before, old)...)
	})
}

// The last that serves may be an old one: then it is all there is.
func TestOldWorkerThatOutlivedTheActiveIsNeverSignalled(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(1, 1)[0]
		active := s.active()
		b.signal(active, "TERM")
		b.until(func() error { return b.gone(active) })
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--settle", "300ms")
		if got := a.process(old); got.Verdict == judge.VerdictTerminate {
			t.Errorf("verdict on the last worker: %q", got.Verdict)
		}
		b.stay(before...)
		if err := echo(s.clients[old.ProcID][0]); err != nil {
			t.Error("its client:", err)
		}
	})
}

// Up to 3.0 the master itself loads the configuration, and is deaf meanwhile.
// From 3.1 on a new worker does: the youngest, which does not listen, and which
// names the active one in its list of those to finish.
func TestReloadInProgressRefuses(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{
			files: map[string]string{bedDir + "/list": ""},
			sections: `
frontend slow
    bind 127.0.0.1:8002
    acl known src -f ` + bedDir + `/list
    default_backend be
`})
		old := s.makeResidual(1, 1)[0]
		active := s.active()
		s.hold(1)
		unblock := b.fifo(bedDir + "/list") // to read it takes as long as nobody writes it
		former := ids(s.workers())
		s.startReload()
		b.until(func() error { return s.loading() })
		during := b.processes()
		probe := s.probe()

		a := b.agent("reap", "--deadline", "0s", "--settle", "300ms").exits(3)
		a.refuses(old, judge.ReasonReloading, judge.ReasonStarting).finds(old, refusedFor(a.instance(old).Refusal))
		if got := a.process(active); got.Role == judge.RoleResidual {
			t.Errorf("the active %v is taken for residual", active.ProcID)
		}
		b.stay(during...)
		probe.unbroken(b)

		unblock()
		b.until(func() error { return s.restored(former) })
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(active, isTerminated).finds(s.active(), isActive)
	})
}

// By hand, beside the service and as root: it is of no instance.
func TestConfigurationCheckInAShellDisturbsNobody(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		b.fifo(bedDir + "/draft.cfg")
		b.start(command{args: b.haproxy("-c", "-f", bedDir+"/draft.cfg")})
		b.until(func() error { return b.count(len(before) + 1) })
		all := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		check := without(all, before...)[0]
		if got := a.process(check); got.Verdict != judge.VerdictKeep {
			t.Errorf("verdict on the check: %q", got.Verdict)
		}
		b.stay(without(all, old)...)
	})
}
