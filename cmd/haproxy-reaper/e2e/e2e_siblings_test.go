package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// forksGenerations are the releases with nbproc.
func forksGenerations(r release) bool { return !r.since(2, 5) }

// startForking is a service of several processes, of which each takes so many
// milliseconds to fork.
func (b *bed) startForking(model judge.Model, n int, bind, each string) *service {
	b.t.Helper()
	s := &service{
		b: b, setup: setup{model: model, address: "127.0.0.1:8000", exe: "/usr/sbin/haproxy", env: b.preload("FORK_MS=" + each)},
		config: bedDir + "/web.cfg", cli: bedDir + "/web-master.sock", clients: map[inspect.ProcID][]net.Conn{},
	}
	text := strings.ReplaceAll(tcpOnly, "nbthread 2", fmt.Sprintf("nbproc %d", n))
	text = strings.ReplaceAll(text, "    bind 127.0.0.1:8000\n", bind)
	b.write(s.config, strings.ReplaceAll(text, "BACKEND", b.startBackend()))
	s.launch()
	b.until(func() error {
		workers := s.workers()
		for _, p := range workers {
			if !p.ready() || p.uid == 0 {
				return fmt.Errorf("%v is not ready", p.ProcID)
			}
		}
		if len(workers) != n {
			return fmt.Errorf("%d workers, not %d", len(workers), n)
		}
		return nil
	})
	return s
}

// The first of three siblings has no frontend, and the last was forked more than
// a second after it. All three are the generation that serves.
func TestSiblingsThatTookLongToForkAreOneGeneration(t *testing.T) {
	for _, model := range models {
		for _, each := range []string{"600", "1300"} {
			t.Run(string(model)+"/"+each+"ms each", func(t *testing.T) {
				inReleases(t, forksGenerations, func(t *testing.T, b *bed) {
					s := b.startForking(model, 3, "    bind 127.0.0.1:8000\n    bind-process 2-3\n", each)
					workers, listening := s.workers(), b.listening()
					eldest := workers[0]
					if span := inspect.TicksToBoottime(workers[2].StartTicks - eldest.StartTicks); span <= time.Second || eldest.holds(listening) {
						t.Fatalf("the eldest is %v older and listens: %v: this shows nothing", span, eldest.holds(listening))
					}
					before := b.processes()
					a := b.agent("reap", "--deadline", "0s").exits(0).raisesNoAlert().spares(eldest)
					a.finds(workers[2], isActive)
					if each == "600" { // each began within a second of the one before
						a.finds(eldest, isActive).finds(workers[1], isActive)
					}
					b.stay(before...)
				})
			})
		}
	}
}

// An old generation holds no listener that would say that its processes are siblings.
// The deadline of each counts from the reload, not from the fork of the next sibling.
func TestSiblingsThatTookLongToForkAreSupersededByTheReload(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, forksGenerations, func(t *testing.T, b *bed) {
				s := b.startForking(model, 2, `    bind 127.0.0.1:8000 process 1
    default_backend be
frontend second
    bind 127.0.0.1:8001 process 2
`, "1300")
				old := s.workers()
				if apart := old[1].StartTicks - old[0].StartTicks; apart <= 100 {
					t.Fatalf("they started %d ticks apart: this shows nothing", apart)
				}
				b.client("127.0.0.1:8000")
				b.client("127.0.0.1:8001")
				b.until(func() error { return b.age(old[1], 4*time.Second) })
				s.reloadNbproc(2)
				a := b.agent("status").exits(0)
				first := without(s.workers(), old...)[0]
				reload := a.process(first).Started
				for _, p := range old {
					a.finds(p, isWaited)
					if at := a.process(p).Superseded; at == nil || at.Sub(*reload).Abs() > time.Second {
						t.Errorf("%v is superseded at %v, and the next generation started at %v", p.ProcID, at, reload)
					}
				}
			})
		})
	}
}

// With a port of its own each is the only one that serves it.
func TestSiblingsThatTookLongToForkAndShareNoPortAreOneGeneration(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, forksGenerations, func(t *testing.T, b *bed) {
				s := b.startForking(model, 3, `    bind 127.0.0.1:8000 process 1
    default_backend be
frontend second
    bind 127.0.0.1:8001 process 2
    default_backend be
frontend third
    bind 127.0.0.1:8002 process 3
`, "")
				before := b.processes()
				a := b.agent("reap", "--deadline", "0s").exits(0).raisesNoAlert()
				for _, p := range s.workers() {
					a.finds(p, isActive)
				}
				b.stay(before...)

				// Stopped by its operator, the eldest is superseded by nothing.
				eldest := s.workers()[0]
				held := b.client("127.0.0.1:8000")
				b.signal(eldest, "USR1")
				b.until(func() error { return b.silent(eldest) })
				before = b.processes()
				b.agent("reap", "--deadline", "0s").spares(eldest)
				b.stay(before...)
				if err := echo(held); err != nil {
					t.Error("its client:", err)
				}
			})
		})
	}
}

// The generation before was told to finish by all of this one, and has left its
// log socket to each of its processes.
func TestSiblingsThatShareALogSocketAreReaped(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, forksGenerations, func(t *testing.T, b *bed) {
				s := b.startNbproc(model, 2, `    bind 127.0.0.1:8000 process 1
    log 127.0.0.1:514 local0
    default_backend be
frontend second
    bind 127.0.0.1:8001 process 2
    log 127.0.0.1:514 local0
`)
				old := s.workers()
				b.client("127.0.0.1:8000")
				b.client("127.0.0.1:8001")
				shared := slices.DeleteFunc(slices.Clone(old[0].inodes), func(i string) bool {
					udp := b.sockets("udp", 9, func([]string) bool { return true })
					return !udp[i] || !slices.Contains(old[1].inodes, i)
				})
				if len(shared) == 0 {
					t.Fatal("they share no UDP socket: this shows nothing")
				}
				s.reloadNbproc(2)
				before := b.processes()
				a := b.agent("reap", "--deadline", "0s").exits(0)
				for _, p := range old {
					a.finds(p, isTerminated)
				}
				b.stay(without(before, old...)...)
			})
		})
	}
}
