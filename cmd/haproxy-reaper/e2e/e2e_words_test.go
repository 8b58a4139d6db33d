package e2e

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// HAProxy pads the name of an abns@ socket with NULs to the whole of sun_path. That
// of an abnsz@ socket (3.2 and later) it does not.
func TestAnAbstractListenerIsShownByItsName(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		want, sections := []string{"unix @inner"}, "frontend inner\n    bind abns@inner\n    default_backend be\n"
		if b.since(3, 2) {
			want, sections = append(want, "unix @bare"), sections+"frontend bare\n    bind abnsz@bare\n    default_backend be\n"
		}
		s := b.startService("web", setup{sections: sections})
		got := b.agent("status").exits(0).process(s.active()).Listeners
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("the active listens on %q, want %q among them", got, name)
			}
		}
	})
}

// SIGUSR1 to the master makes the whole service finish: it takes no new client, and
// leaves when the last one does. It never comes back, and nothing is superseded.
func TestAServiceThatDrainsIsSaidToDrain(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(1, 1)[0]
		s.hold(1)
		active := s.active()
		before := b.processes()
		b.signal(s.master(), "USR1")
		b.until(func() error { return s.listens(active, false) })
		a := b.agent("reap", "--deadline", "0s").exits(agent.ExitRefused).refuses(active, judge.ReasonDraining)
		a.finds(active, judgement{judge.RoleDraining, judge.VerdictKeep, judge.ReasonDraining, ""})
		a.finds(old, judgement{judge.RoleResidual, judge.VerdictRefuse, judge.ReasonDraining, ""})
		b.advises("refused: the whole service drains: it takes no new clients")
		b.advises("takes no new clients, and leaves when its last client does")
		b.check(command{}).exits(0).finds(check.FindActiveConfirmed, check.Warning, "the whole service drains")
		b.stay(before...)
		s.release(old)
		s.release(active)
		b.until(func() error { return b.gone(active) })
	})
}

// Where no master CLI is asked nothing tells whether a worker without a listener
// finishes or is paused. It is not said to come back. A daemon without a listener is
// no service at all.
func TestAWorkerWithoutAListenerIsNotSaidToComeBack(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		s.hold(1)
		active := s.active()
		b.signal(active, "USR1")
		b.until(func() error { return s.listens(active, false) })
		a := b.agent("status", "--master-socket", "none").exits(0)
		if model == judge.ModelDaemon {
			a.finds(active, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""})
			b.advises("it holds no listener, and nothing ties it to a service: never signalled")
			return
		}
		a.refuses(active, judge.ReasonNotListening)
		a.finds(active, judgement{judge.RolePaused, judge.VerdictKeep, judge.ReasonPaused, ""})
	})
}

// Of each stranded process the table and check name the one thing that was found.
// None that listens is to be ended by hand.
func TestAStrandedProcessIsSaidToBeWhatItIs(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon, text: tcpOnly})
		serving := s.active()
		b.until(func() error { return b.age(serving, 1500*time.Millisecond) })
		s.launch() // told to finish nobody
		b.until(func() error {
			if serving.ProcID == s.active().ProcID {
				return errors.New("the second daemon is not there")
			}
			return cmp.Or(s.listens(serving, true), s.listens(s.active(), true))
		})
		if got := b.agent("status").process(serving); got.Role != judge.RoleStranded || got.StrandedReason != judge.StrandedListening {
			t.Errorf("it is %s for %q", got.Role, got.StrandedReason)
		}
		b.advises("listens on tcp 127.0.0.1:8000 superseded, and still listening: never signalled it serves an old configuration, so do not end it by hand; ")
		k := b.check(command{}).exits(0).finds(check.FindStranded, check.Warning, "superseded, and still listening", serving)
		for _, f := range k.report.Findings {
			if f.Name == check.FindStranded && (strings.Contains(f.Advice, "kill") || !strings.Contains(f.Advice, "do not end it by hand")) {
				t.Errorf("check advises %q", f.Advice)
			}
		}
	})
}
