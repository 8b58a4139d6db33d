package e2e

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Each process that logs keeps an unconnected UDP socket, as a listener is.
func TestResidualWithLogSocketsIsStillReaped(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{
			model:    model,
			global:   "    log 127.0.0.1:514 local0\n",
			defaults: "    log global\n    option tcplog\n    option logasap\n",
		})
		old := s.makeResidual(1, 2)[0]
		s.hold(1) // the active logs too
		before := b.processes()
		udp := b.sockets("udp", 9, func(row []string) bool { return row[2] == "00000000:0000" })
		if !old.holds(udp) || !s.active().holds(udp) {
			t.Fatal("no unconnected UDP socket in the old and the active worker: this shows nothing")
		}
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		b.stay(without(before, old)...)
	})
}

// A connection that was reset is in CLOSE, as a paused listener is, for as long
// as HAProxy has something to wait for on the other side.
func TestResidualWithAResetClientIsStillReaped(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		never := make(chan struct{})
		defer close(never)
		s := b.startService("web", setup{
			model:   model,
			backend: b.serve(func(net.Conn) { <-never }), // reads nothing and closes nothing
		})
		c := b.fill(s.address)
		served := s.active()
		s.clients[served.ProcID] = []net.Conn{c}
		s.reload()
		old := s.residual()[0]
		c.SetLinger(0)
		c.Close()
		b.until(func() error { return b.closed(old, 1) })
		before := b.processes()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		b.stay(without(before, old)...)
	})
}

// An operator's session on the statistics socket holds a worker as a client
// does, and is none.
func TestResidualHeldByASessionOnItsStatisticsSocketIsStillReaped(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "    stats timeout 1h\n"})
		c, err := b.dial(bedDir + "/web-stats.sock")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "prompt\n"); err != nil {
			t.Fatal(err)
		}
		s.clients[s.active().ProcID] = []net.Conn{c}
		s.reload()
		old := s.residual()[0]
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated)
		if got := a.process(old).Connections.Client; got == nil {
			t.Error("clients: null")
		}
		b.stay(without(before, old)...)
	})
}

func TestReportCountsTheConnectionsThatAreThere(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(1, 3)[0]
		s.hold(2)
		b.until(func() error { return b.age(s.active(), time.Second) })
		a := b.agent("status").exits(0)
		p := a.process(old)
		if diff := cmp.Diff(connections{3, 3}, counted(t, p)); diff != "" {
			t.Errorf("connections of the residual process (-want +got):\n%s", diff)
		}
		if len(p.Ports) != 1 || p.Ports[0].Port != 8000 || p.Ports[0].Clients != 3 {
			t.Errorf("ports of the residual process: %+v, want 3 clients on 8000", p.Ports)
		}
		if p.IdleSeconds == nil || *p.IdleSeconds <= 0.1 || *p.IdleSeconds > p.AgeSeconds {
			t.Errorf("idle for %v seconds, at an age of %v", p.IdleSeconds, p.AgeSeconds)
		}
		if p.PrivateBytes == nil || *p.PrivateBytes < 1<<20 {
			t.Errorf("private memory: %v", p.PrivateBytes)
		}
		if got := a.process(s.active()).Connections.Client; got == nil || *got != 2 {
			t.Errorf("clients of the active: %v, want 2", got)
		}
	})
}

type connections struct{ Client, Server int }

func counted(t *testing.T, p judge.Process) connections {
	t.Helper()
	c := p.Connections
	if c.Client == nil || c.Server == nil || c.Other == nil {
		t.Fatalf("connections of %v: %+v, want numbers", p.ProcID, c)
	}
	return connections{*c.Client, *c.Server}
}
