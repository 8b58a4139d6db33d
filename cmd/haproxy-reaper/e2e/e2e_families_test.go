package e2e

import (
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A listener of IPv6 takes clients of IPv4 as well, and a log may be sent over
// IPv6.
func TestClientsOfBothFamiliesOnOneListenerAreCounted(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{
			model: model, env: []string{"PORT=8001"},
			global:   "    log ::1:514 local0\n",
			defaults: "    log global\n    option tcplog\n    option logasap\n",
			sections: "\nfrontend both\n    bind \":::${PORT}\" v4v6\n    default_backend be\n",
		})
		hold := func() {
			worker := s.active().ProcID
			for _, address := range []string{"127.0.0.1:8001", "127.0.0.1:8001", "[::1]:8001"} {
				c := b.connect(address)
				if err := echo(c); err != nil {
					t.Fatal(err)
				}
				s.clients[worker] = append(s.clients[worker], c)
			}
		}
		hold()
		old := s.active()
		s.reload()
		hold()
		if udp := b.sockets("udp6", 9, func(row []string) bool { return row[2] == strings.Repeat("0", 32)+":0000" }); !s.residual()[0].holds(udp) {
			t.Fatal("the old worker has no log socket of IPv6: this shows nothing")
		}
		a := b.agent("status").exits(0).counts(old, "client", 3).counts(old, "server", 3).counts(old, "former", 0).counts(s.active(), "client", 3)
		if rows := a.told(old).rows("ports"); len(rows) != 1 || rows[0]["clients"] != float64(3) {
			t.Errorf("ports of %v: %v, want 3 clients on one", old.ProcID, rows)
		}
		s.reapsExactly(old)
	})
}

// Two services may share a port, each with a family of its own.
func TestClientsOfTwoServicesOfTwoFamiliesAreToldApart(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		four := b.startService("four", setup{model: model, address: "0.0.0.0:8000"})
		six := b.startService("six", setup{model: model, address: "[::]:8000 v6only"})
		six.address = "[::1]:8000"
		oldFour, oldSix := four.makeResidual(1, 2)[0], six.makeResidual(1, 5)[0]
		four.hold(2)
		six.hold(5)
		a := b.agent("status").exits(0)
		for p, want := range map[*process]int{&oldFour: 2, &oldSix: 5} {
			a.counts(*p, "client", want).counts(*p, "former", 0)
		}
		a.counts(four.active(), "client", 2).counts(six.active(), "client", 5)
	})
}

// With noreuseport HAProxy's listeners have other options, and so have the
// connections that they accept.
func TestFormerClientOfAListenerWithoutReusePortKeepsAProcess(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "    noreuseport\n", sections: `
frontend other
    bind 127.0.0.1:40000
    default_backend be
`})
		c := b.dialFrom("127.0.0.1", "127.0.0.1:40000")
		s.edit("bind 127.0.0.1:40000", "bind 127.0.0.1:8002")
		if model == judge.ModelDaemon {
			s.flags = []string{"-x", bedDir + "/web-stats.sock"} // else the new one could not bind
		}
		old := s.makeOld(c)
		before := b.processes()
		a := b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).counts(old, "client", 0)
		former, unknown := a.side(old, "former"), a.side(old, "unknown")
		if former != float64(1) && unknown == float64(0) {
			t.Errorf("former %v, unknown %v: the client is neither", former, unknown)
		}
		b.stay(before...)
	})
}

// Connections between peers are HAProxy's own business, of which the master CLI
// tells: they are not among CurrConns.
func TestConnectionOfAPeerIsNoClient(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{
			flags:    []string{"-L", "here"},
			sections: "    stick-table type ip size 1k expire 1h store gpc0 peers others\n    stick on src\npeers others\n    peer here 127.0.0.1:10000\n    peer there 127.0.0.2:10000\n",
		})
		s.hold(2)
		old := s.active()
		c := b.connect("127.0.0.1:10000") // says which peer it is, and stays
		if _, err := c.Write([]byte("HAProxyS 2.1\nhere\nthere 1 1\n")); err != nil {
			t.Fatal(err)
		}
		b.until(func() error { return b.inState(old, "01", 10000, 1) })
		a := b.agent("status").exits(0)
		if got := a.side(old, "client"); got != float64(2) {
			t.Errorf("clients of the active: %v, want 2", got)
		}
		s.reload()
		// The old worker closes it, and gives the other end two seconds to do the same.
		b.until(func() error {
			for _, state := range []string{"01", "04", "05", "08"} {
				if err := b.inState(old, state, 10000, 0); err != nil {
					return err
				}
			}
			return nil
		})
		b.agent("status").exits(0).counts(old, "client", 2).counts(old, "server", 2).counts(old, "former", 0)
	})
}
