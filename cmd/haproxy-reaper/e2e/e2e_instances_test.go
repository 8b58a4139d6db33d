package e2e

import (
	"cmp"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestInstancesSideBySideAreEachJudgedAlone(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		tcp := b.startService("tcp", setup{model: model})
		unix := b.startService("unix", setup{model: model, address: bedDir + "/frontend.sock"})
		oldTCP := tcp.makeResidual(1, 2)[0]
		oldUnix := unix.makeResidual(1, 1)[0] // all of it younger than all of the other
		before := b.processes()

		dry := b.agent("reap", "--dry-run", "--deadline", "0s").exits(0)
		one, other := dry.instance(oldTCP), dry.instance(oldUnix)
		if one.Name == other.Name || !one.Confirmed || !other.Confirmed {
			t.Fatalf("want two confirmed instances, got %q (%q) and %q (%q)", one.Name, one.Refusal, other.Name, other.Refusal)
		}
		dry.finds(oldTCP, wouldTerminate).finds(tcp.active(), isActive)
		dry.finds(oldUnix, wouldTerminate).finds(unix.active(), isActive)

		probeTCP, probeUnix := tcp.probe(), unix.probe()
		a := b.agent("reap", "--deadline", "0s", "--instance", other.Name).exits(0)
		a.finds(oldUnix, isTerminated)
		b.stay(without(before, oldUnix)...)

		a = b.agent("reap", "--deadline", "0s").exits(0)
		a.finds(oldTCP, isTerminated).finds(tcp.active(), isActive).finds(unix.active(), isActive)
		b.stay(without(before, oldUnix, oldTCP)...)
		probeTCP.unbroken(b)
		probeUnix.unbroken(b)
	})
}

func TestRefusalOfOneInstanceLeavesTheOtherAlone(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		paused := b.startService("paused", setup{model: judge.ModelDaemon, text: tcpOnly})
		sound := b.startService("sound", setup{address: "127.0.0.1:8001"})
		oldPaused := paused.makeResidual(1, 1)[0]
		oldSound := sound.makeResidual(1, 1)[0]
		paused.pause()
		before := b.processes()
		probe := sound.probe()
		a := b.agent("reap", "--deadline", "0s", "--settle", "200ms").exits(3)
		a.finds(oldSound, isTerminated)
		if got := a.process(oldPaused); got.Verdict != judge.VerdictRefuse {
			t.Errorf("verdict on %v: %q, want refuse", oldPaused.ProcID, got.Verdict)
		}
		b.stay(without(before, oldSound)...)
		probe.unbroken(b)
	})
}

// Two daemons that were started without telling the second to finish the first
// both serve: reuseport shares the port among them.
func TestStrandedDaemonThatWasNeverToldToStopIsReportedAndLeftAlone(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		first := s.active()
		s.hold(1)
		// Within a second of each other they would be one generation, as nbproc's.
		b.until(func() error { return b.age(first, 1500*time.Millisecond) })
		s.launch()
		b.until(func() error {
			if first.ProcID == s.active().ProcID {
				return errors.New("the second daemon is not there")
			}
			return cmp.Or(s.listens(first, true), s.listens(s.active(), true))
		})
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--settle", "200ms").exits(0)
		a.finds(first, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""}).finds(s.active(), isActive)
		b.stay(before...)
	})
}

// A process that was stopped when it was told to finish has not heard of it. It
// goes on listening, and the kernel goes on giving it its share of connections.
func TestProcessThatWasStoppedWhenItWasToldToFinishIsReportedAndLeftAlone(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon, text: tcpOnly})
		first := s.active()
		s.hold(1)
		b.signal(first, "STOP")
		s.launch("-sf", strconv.Itoa(first.PID))
		b.until(func() error {
			if young := s.active(); young.ProcID == first.ProcID || !young.ready() {
				return errors.New("the second daemon is not there")
			}
			return cmp.Or(s.listens(first, true), s.listens(s.active(), true))
		})
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--settle", "200ms").exits(0)
		a.finds(first, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""}).finds(s.active(), isActive)
		b.stay(before...)

		b.signal(first, "CONT") // now it hears
		b.until(func() error { return s.listens(first, false) })
		s.reapsExactly(first)
	})
}

func TestInstanceThatListensOnUnixSocketsOnlyHasItsResidualReaped(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, address: bedDir + "/frontend.sock"})
		old := s.makeResidual(1, 2)[0]
		before := b.processes()
		probe := s.probe()
		a := b.agent("reap", "--deadline", "0s").exits(0)
		a.finds(old, isTerminated).finds(s.active(), isActive)
		if c := a.process(old).Connections.Client; c == nil || *c != 2 {
			t.Errorf("clients of %v: %v, want 2", old.ProcID, c)
		}
		b.stay(without(before, old)...)
		probe.unbroken(b)
	})
}
