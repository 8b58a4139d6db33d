package e2e

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The active logs over UDP, and the kernel gave that socket the port that an old
// worker's connection to its server has. An address of datagrams has no streams.
func TestServerConnectionOnThePortOfTheActivesLogSocketIsNoClient(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		s.edit("server s1 "+s.backend, "server s1 "+s.backend+" source 127.0.0.1:40514")
		s.reload()
		old := s.oneOnPort40514()
		s.edit(" source 127.0.0.1:40514", "")
		s.edit("\ndefaults\n", "\n    log 127.0.0.1:514 local0\ndefaults\n    log global\n    option tcplog\n")
		b.portsOfTheKernel(40514, 40514)
		s.reload()
		// It has one when it has logged, from 2.6 on when it has served.
		for port := 41000; ; port++ {
			if s.active().holds(b.onPort40514("udp")) {
				break
			}
			if port == 41100 {
				t.Fatal("the active has no log socket on the port: this shows nothing")
			}
			b.visit(port, s.address)
		}
		b.portsOfTheKernel(32768, 60999)
		s.drainsItsClientAlone(old)
	})
}

// visit connects from a port, and waits until the other side has closed.
func (b *bed) visit(port int, address string) {
	b.t.Helper()
	err := b.amongClients(func() error {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}, Timeout: bedPatience}
		c, err := d.Dial("tcp4", address)
		if err != nil {
			return err
		}
		defer c.Close()
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(bedPatience))
		_, err = io.ReadAll(c)
		return err
	})
	if err != nil {
		b.t.Fatal("visit:", err)
	}
}

// The same with an address on which the active receives datagrams.
func TestServerConnectionOnThePortOfTheActivesDatagramListenerIsNoClient(t *testing.T) {
	receives := func(r release) bool { return r.since(2, 3) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, receives, func(t *testing.T, b *bed) {
				s := b.startService("web", setup{model: model})
				s.edit("server s1 "+s.backend, "server s1 "+s.backend+" source 127.0.0.1:40514")
				s.reload()
				old := s.oneOnPort40514()
				s.edit(" source 127.0.0.1:40514", "")
				s.edit("\ndefaults\n", strings.ReplaceAll(syslog, "1514", "40514")+"\ndefaults\n")
				s.reload()
				if !s.active().holds(b.onPort40514("udp")) {
					t.Fatal("the active receives no datagrams on the port: this shows nothing")
				}
				s.drainsItsClientAlone(old)
			})
		})
	}
}

// oneOnPort40514 has the active serve one client, and connect to its server from
// port 40514.
func (s *service) oneOnPort40514() process {
	s.b.t.Helper()
	s.hold(1)
	old := s.active()
	if !old.holds(s.b.onPort40514("tcp")) {
		s.b.t.Fatal("it does not connect to its server from port 40514: this shows nothing")
	}
	return old
}

func (b *bed) onPort40514(table string) map[string]bool {
	b.t.Helper()
	return b.sockets(table, 9, func(row []string) bool { return strings.HasSuffix(row[1], ":9E42") })
}

// drainsItsClientAlone wants the one client of an old worker to be counted and
// drained, and its connection to the server to be neither.
func (s *service) drainsItsClientAlone(old process) {
	s.b.t.Helper()
	s.b.agent("status").exits(0).counts(old, "client", 1).counts(old, "server", 1).counts(old, "former", 0)
	client := s.clients[old.ProcID][0].LocalAddr().String()
	before := s.b.processes()
	a := s.b.agent("reap", "--deadline", "0s", "--drain-rate", "20", "--log.level", "debug").exits(0).finds(old, isDrained(judge.ReasonPastDeadline))
	if n := a.process(old).DrainedConnections; n != 1 {
		s.b.t.Errorf("%d connections drained, want 1", n)
	}
	if got := closedInOrder(a.job); !slices.Equal(got, []string{client}) {
		s.b.t.Errorf("closed the connections of %q, want %q alone", got, client)
	}
	s.b.stay(without(before, old)...)
}

// Services that share a port and not an address have clients of their own.
func TestClientsOfTwoServicesOnOnePortAreToldApart(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		few := b.startService("few", setup{model: model, address: "127.0.0.1:8000"})
		many := b.startService("many", setup{model: model, address: "127.0.0.2:8000"})
		oldFew, oldMany := few.makeResidual(1, 3)[0], many.makeResidual(1, 50)[0]
		few.hold(3)
		many.hold(50)
		a := b.agent("status").exits(0)
		for _, c := range []struct {
			p    process
			want int
		}{{oldFew, 3}, {oldMany, 50}, {few.active(), 3}, {many.active(), 50}} {
			a.counts(c.p, "client", c.want)
		}
	})
}

// One of them may listen on every address: the kernel gives the clients of an
// address of its own to the other. A number is right, or it is not there.
func TestClientsOfAServiceOnEveryAddressAreNotThoseOfAnother(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		all := b.startService("all", setup{model: model, address: "0.0.0.0:8000"})
		many := b.startService("many", setup{model: model, address: "127.0.0.2:8000"})
		oldAll, oldMany := all.active(), many.active()
		connect := func() {
			for range 3 {
				all.clients[all.active().ProcID] = append(all.clients[all.active().ProcID], b.dialFrom("127.0.0.1", "127.0.0.1:8000"))
			}
			many.hold(50)
		}
		connect()
		all.reload()
		many.reload()
		connect()
		a := b.agent("status").exits(0).counts(oldAll, "client", 3).counts(oldMany, "client", 50).counts(many.active(), "client", 50)
		if got := a.side(all.active(), "client"); got != nil && got != float64(3) {
			t.Errorf("clients of %v: %v, want 3 or null", all.active().ProcID, got)
		}
	})
}

// A server is connected to from ports that the operator chose, outside those of
// the kernel. Such a connection was never accepted.
func TestConnectionsToServersFromChosenPortsAreNotOfFormerClients(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, backend: b.serve(func(net.Conn) { <-b.t.Context().Done() })})
		s.edit("server s1 "+s.backend, "server s1 "+s.backend+" source 127.0.0.1:10000-20000")
		s.reload()
		c := b.fill(s.address)
		old := s.makeOld(c)
		chosen := b.sockets("tcp", 9, func(row []string) bool {
			return row[1] >= "0100007F:2710" && row[1] <= "0100007F:4E20" && row[3] == "01"
		})
		if !old.holds(chosen) {
			t.Fatal("it does not connect to its server from such a port: this shows nothing")
		}
		b.agent("status").exits(0).counts(old, "client", 1).counts(old, "server", 1).counts(old, "former", 0)
		c.SetLinger(0)
		c.Close()
		b.until(func() error { return b.closed(old, 1) })
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, terminatedFor(judge.ReasonEmpty)).counts(old, "former", 0)
		b.stay(without(before, old)...)
	})
}

// A frontend that is gone from the configuration may have been on a port that the
// kernel also gives to connections which go out.
func TestClientsOfAFrontendThatIsGoneFromAPortOfTheKernelKeepAProcess(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, sections: `
frontend other
    bind 127.0.0.1:40000
    default_backend be
`})
		c := b.dialFrom("127.0.0.1", "127.0.0.1:40000")
		s.edit("bind 127.0.0.1:40000", "bind 127.0.0.1:8002")
		old := s.makeOld(c)
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).
			counts(old, "client", 0).counts(old, "former", 1)
		b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h").exits(0).finds(old, sparedFor(judge.ReasonActiveClients))
		b.agent("reap", "--deadline", "0s", "--deadline-for", "40000=1h").exits(0).finds(old, sparedFor(judge.ReasonWithinPortDeadline))
		b.stay(before...)
		if err := echo(c); err != nil {
			t.Errorf("the client: %v", err)
		}
	})
}

// A session on the statistics socket and the socket of a resolver are HAProxy's
// own business. Of a session only the master CLI tells: it is not among CurrConns.
func TestSessionOfTheCLIAndResolverAreNeitherClientNorServer(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{
			model:  model,
			global: "    stats timeout 1h\n    stats socket ipv4@127.0.0.1:9000 level admin\n",
			sections: `    server s2 localhost.example:8002 check resolvers names init-addr none
resolvers names
    nameserver n1 127.0.0.1:5300
    hold valid 1s
`})
		old := s.active()
		for _, socket := range []string{bedDir + "/web-stats.sock", "127.0.0.1:9000"} {
			s.clients[old.ProcID] = append(s.clients[old.ProcID], b.session(socket))
		}
		b.deafNameServer("127.0.0.1:5300")
		// From 3.2 on it has no peer.
		b.until(func() error {
			if !s.active().holds(b.sockets("udp", 9, func([]string) bool { return true })) {
				return errors.New("it asks no name server")
			}
			return nil
		})
		s.reload()
		a := b.agent("status").exits(0).counts(old, "server", 0).counts(old, "former", 0)
		if model == judge.ModelMasterWorker {
			a.counts(old, "client", 0).counts(old, "unknown", 0)
			before := b.processes()
			b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, terminatedFor(judge.ReasonEmpty))
			b.stay(without(before, old)...)
		}
	})
}

// The statistics socket that a session came by may be gone from the configuration.
func TestSessionOfACLIThatIsGoneFromTheConfigurationIsNoFormerClient(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{global: "    stats timeout 1h\n    stats socket " + bedDir + "/before.sock level admin\n    stats socket ipv4@127.0.0.1:40900 level admin\n"})
		s.hold(1)
		old := s.active()
		for _, socket := range []string{bedDir + "/before.sock", "127.0.0.1:40900"} {
			s.clients[old.ProcID] = append(s.clients[old.ProcID], b.session(socket))
		}
		s.edit("    stats socket "+bedDir+"/before.sock level admin\n    stats socket ipv4@127.0.0.1:40900 level admin\n", "")
		s.reload()
		b.agent("status").exits(0).counts(old, "client", 1).counts(old, "server", 1).counts(old, "former", 0).counts(old, "unknown", 0)
	})
}

// session opens a session of a CLI, which stays.
func (b *bed) session(socket string) net.Conn {
	b.t.Helper()
	c, err := b.dial(socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "prompt\n"); err != nil {
		b.t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(bedPatience))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		b.t.Fatal("the session was not answered:", err)
	}
	return c
}

// deafNameServer takes questions at an address and answers none.
func (b *bed) deafNameServer(address string) {
	b.t.Helper()
	err := b.amongClients(func() error {
		c, err := net.ListenPacket("udp4", address)
		if err == nil {
			b.t.Cleanup(func() { c.Close() })
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// Sessions of the CLI are not subtracted from clients: with both the clients are
// what CurrConns says.
func TestSessionOfTheCLIIsNotCountedWithTheClients(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{global: "    stats timeout 1h\n    stats socket ipv4@127.0.0.1:9000 level admin\n"})
		s.hold(3)
		old := s.active()
		for range 2 {
			s.clients[old.ProcID] = append(s.clients[old.ProcID], b.session("127.0.0.1:9000"))
		}
		s.reload()
		b.agent("status").exits(0).counts(old, "client", 3).counts(old, "server", 3).counts(old, "unknown", 0)
	})
}

// Where clients are all counted, none is unknown. Without a master CLI there is
// nothing to tell of others.
func TestClientsThatAreAllCountedLeaveNoneUnknown(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(1, 3)[0]
		a := b.agent("status").exits(0).counts(old, "client", 3).counts(old, "server", 3).counts(old, "former", 0)
		if model == judge.ModelMasterWorker {
			a.counts(old, "unknown", 0)
		} else if got := a.side(old, "unknown"); got != nil && got != float64(0) {
			t.Errorf("unknown connections of %v: %v, want 0 or null", old.ProcID, got)
		}
	})
}
