package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Two clients hold the old worker, one of them twice and on another port too.
func TestStatusTellsWhoHoldsAResidualProcess(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, sections: `
frontend other
    bind 127.0.0.1:8001
    default_backend be
`})
		worker := s.active().ProcID
		for _, c := range []struct{ from, to string }{
			{"127.0.0.2", "127.0.0.1:8000"}, {"127.0.0.2", "127.0.0.1:8000"}, {"127.0.0.2", "127.0.0.1:8001"}, {"127.0.0.3", "127.0.0.1:8000"},
		} {
			s.clients[worker] = append(s.clients[worker], b.dialFrom(c.from, c.to))
		}
		s.reload()
		old := s.residual()[0]
		b.until(func() error { return b.age(s.active(), 1500*time.Millisecond) })

		if got := b.agent("status").exits(0).process(old).Clients; got != nil {
			t.Errorf("clients without --clients: %+v", got)
		}
		got := b.agent("status", "--clients").exits(0).process(old).Clients
		want := []judge.Client{
			{Peer: "127.0.0.2", Port: 8000, Connections: 2}, {Peer: "127.0.0.2", Port: 8001, Connections: 1}, {Peer: "127.0.0.3", Port: 8000, Connections: 1},
		}
		if len(got) != len(want) {
			t.Fatalf("clients %+v, want %+v", got, want)
		}
		for i, c := range got {
			if c.Peer != want[i].Peer || c.Port != want[i].Port || c.Connections != want[i].Connections {
				t.Errorf("client %+v, want %+v", c, want[i])
			}
			if c.MinIdleSeconds == nil || *c.MinIdleSeconds < 1 || *c.MaxIdleSeconds < *c.MinIdleSeconds {
				t.Errorf("%s has been idle from %v to %v seconds", c.Peer, c.MinIdleSeconds, c.MaxIdleSeconds)
			}
			// A line there and back on each connection.
			if lines := uint64(2 * len("is anybody there?\n") * c.Connections); c.Bytes == nil || *c.Bytes < lines || *c.Bytes > lines+10 {
				t.Errorf("%s moved %v bytes, want %d", c.Peer, c.Bytes, lines)
			}
			// Only a master can be asked for an old worker's streams.
			if known := c.OldestSeconds != nil; known != (model == judge.ModelMasterWorker) || known && (*c.OldestSeconds < 1 || *c.OldestSeconds > 60) {
				t.Errorf("the oldest connection of %s: %v", c.Peer, c.OldestSeconds)
			}
		}

		text := b.run(command{args: []string{bedAgent, "status", "--clients"}})
		for _, want := range []string{"PEER AND LOCAL PORT", "127.0.0.2 to port 8000", "127.0.0.3 to port 8000"} {
			if !strings.Contains(text, want) {
				t.Errorf("nothing of %q in\n%s", want, text)
			}
		}
	})
}

// dialFrom connects to an address in the bed from one of the loopback's, and has
// its line sent back.
func (b *bed) dialFrom(from, to string) (c net.Conn) {
	b.t.Helper()
	err := b.amongClients(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
		c, err = d.Dial("tcp4", to)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := echo(c); err != nil {
		b.t.Fatal(err)
	}
	return c
}
