package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// logging makes a service whose processes keep an unconnected UDP socket: their
// client of a syslog server.
func logging(with setup) setup {
	with.global += "    log 127.0.0.1:514 local0\n"
	with.defaults += "    log global\n    option tcplog\n    option logasap\n"
	return with
}

// bound is the usual configuration with another address after bind.
func (with setup) bound(bind string) string {
	with.address = bind
	return (&service{setup: with}).usual("web")
}

// unconnectedUDP are the inodes of the UDP sockets that have an address and no
// peer.
func (b *bed) unconnectedUDP() map[string]bool {
	b.t.Helper()
	return b.sockets("udp", 9, func(row []string) bool { return row[2] == "00000000:0000" })
}

// loggingResidual makes an old worker that keeps its log socket.
func (s *service) loggingResidual() process {
	s.b.t.Helper()
	old := s.makeResidual(1, 1)[0]
	s.hold(1) // the active logs too
	if udp := s.b.unconnectedUDP(); !old.holds(udp) || !s.active().holds(udp) {
		s.b.t.Fatal("no unconnected UDP socket in the old and the active worker: this shows nothing")
	}
	return old
}

// A log socket is no listener, whatever can be read of the configuration.
func TestLogSocketOfAnOldWorkerIsNoListener(t *testing.T) {
	for _, c := range []struct {
		name   string
		start  func(*bed, setup) *service
		before func(*service) // the old worker is looked at
	}{
		{name: "AddressFromTheEnvironment", start: func(b *bed, with setup) *service {
			with.env = []string{"IP=127.0.0.1", "PORT=8000"}
			with.text = with.bound(`"${IP}:${PORT}"`)
			return b.startService("web", with)
		}},
		{name: "SocketThatWasPassed", start: func(b *bed, with setup) *service {
			with.inherit = b.listeners("127.0.0.1:8000")
			with.text = with.bound("fd@3")
			return b.startService("web", with)
		}},
		{name: "RelativeConfiguration", start: func(b *bed, with setup) *service {
			with.path = strings.TrimPrefix(bedDir, "/") + "/web.cfg" // HAProxy starts in /
			return b.startService("web", with)
		}},
		{name: "DirectoryInTheArguments", start: func(b *bed, with setup) *service {
			with.flags, with.path = []string{"-C", bedDir}, "web.cfg"
			return b.startService("web", with)
		}},
		{name: "AnotherMountNamespace", start: func(b *bed, with setup) *service {
			with.wrap = b.ownMounts()
			return b.startService("web", with)
		}},
		{name: "ConfigurationRemoved", before: func(s *service) {
			s.b.run(command{args: []string{"rm", s.config}})
		}},
		{name: "AnotherPortRange", before: func(s *service) { s.b.portsOfTheKernel(20000, 21000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
				with := logging(setup{model: model})
				var s *service
				if c.start == nil {
					s = b.startService("web", with)
				} else {
					s = c.start(b, with)
				}
				old := s.loggingResidual()
				if c.before != nil {
					c.before(s)
				}
				s.reapsExactly(old)
			})
		})
	}
}

// ownMounts makes a mount namespace in the bed, and is what runs a program in it.
func (b *bed) ownMounts() []string {
	b.t.Helper()
	j := b.start(command{args: []string{"unshare", "--mount", "sh", "-c", "echo made; exec sleep 1d"}})
	b.until(func() error {
		if j.stdout.String() == "" {
			return errors.New("no mount namespace")
		}
		return nil
	})
	return []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", j.pid(b))}
}

// listeners are TCP sockets in LISTEN, to be passed to HAProxy as a service
// manager does.
func (b *bed) listeners(addresses ...string) (files []*os.File) {
	b.t.Helper()
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // which Go listens with otherwise
	err := b.inside(func() error {
		for _, address := range addresses {
			l, err := plain.Listen(b.t.Context(), "tcp4", address)
			if err != nil {
				return err
			}
			file, err := l.(*net.TCPListener).File()
			l.Close()
			if err != nil {
				return err
			}
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		for _, f := range files {
			f.Close()
		}
	})
	return files
}

// A datagram listener that the active no longer has looks like a log socket in
// everything but SO_REUSEADDR: its port may be one of the kernel's, nobody shares
// it, and the configuration does not name it any more. With grace the old worker
// was told to stop, holds no stream listener, and still receives.
func TestOldWorkerThatStillReceivesDatagramsIsNeverSignalled(t *testing.T) {
	receives := func(r release) bool { return r.since(2, 5) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, receives, func(t *testing.T, b *bed) {
				s := b.startDatagrams(model, `
ring sink
    size 32768
log-forward syslog
    dgram-bind 127.0.0.1:40514
    log ring@sink local0
`)
				s.leavesAlone(":9E42")
			})
		})
	}
}

// The same with QUIC: without a stream listener, and on a port of the kernel's.
func TestOldWorkerThatStillAcceptsQUICIsNeverSignalled(t *testing.T) {
	hasQUIC := func(r release) bool { return r.since(3, 0) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, hasQUIC, func(t *testing.T, b *bed) {
				b.write(bedDir+"/web.pem", certificate(t))
				s := b.startDatagrams(model, `
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend quic
    bind quic4@127.0.0.1:40514 ssl crt `+bedDir+`/web.pem alpn h3
    http-request return status 200
`)
				s.leavesAlone(":9E42")
			})
		})
	}
}

// startDatagrams starts a service that has only these sections, and no listener
// for streams in them.
func (b *bed) startDatagrams(model judge.Model, sections string) *service {
	b.t.Helper()
	s := &service{
		b: b, setup: setup{model: model, exe: "/usr/sbin/haproxy", address: "127.0.0.1:8000", backend: b.startBackend()},
		config: bedDir + "/web.cfg", cli: bedDir + "/web-master.sock",
	}
	b.write(s.config, "global\n    user haproxy\n    group haproxy\n    grace 1h\n    limited-quic\n"+sections)
	if !strings.Contains(sections, "quic4@") {
		b.write(s.config, strings.Replace(b.read(s.config), "    limited-quic\n", "", 1))
	}
	s.launch()
	b.until(func() error {
		if all := s.workers(); len(all) != 1 || !all[0].ready() || !all[0].holds(b.unconnectedUDP()) {
			return errors.New("it does not receive datagrams yet")
		}
		return s.settled()
	})
	return s
}

// leavesAlone gives a service a configuration with a listener for streams and
// none for datagrams, and wants the old worker left alone while it has its own.
func (s *service) leavesAlone(port string) {
	b := s.b
	b.t.Helper()
	old := s.active()
	b.write(s.config, strings.ReplaceAll(tcpOnly, "BACKEND", s.backend))
	s.startReload()
	b.until(func() error {
		if young := s.active(); young.ProcID == old.ProcID || !young.ready() || !young.holds(b.listening()) {
			return errors.New("the new worker does not listen")
		}
		return s.settled()
	})
	bound := b.sockets("udp", 9, func(row []string) bool { return strings.HasSuffix(row[1], port) })
	if now := s.residual(); len(now) != 1 || !now[0].holds(bound) || now[0].holds(b.listening()) {
		b.t.Fatal("the old worker does not receive datagrams, or listens for streams: this shows nothing")
	}
	before := b.processes()
	b.agent("reap", "--deadline", "0s").exits(0).
		finds(old, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""}).finds(s.active(), isActive)
	b.stay(before...)
}

// What tells a datagram listener from a client is measured on each release: HAProxy
// sets SO_REUSEADDR on the one and not on the other.
func TestDatagramListenersOfHAProxyReuseTheirAddressAndItsClientsDoNot(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		with := logging(setup{model: model, sections: `    server s2 localhost.example:8002 check resolvers names init-addr none
resolvers names
    nameserver n1 127.0.0.1:5300
    hold valid 1s
`})
		listeners := map[int]bool{}
		if b.since(2, 3) {
			with.sections += strings.ReplaceAll(syslog, "    log ring@sink local0\n", "    log ring@sink local0\n    log 127.0.0.1:515 local0\n")
			listeners[1514] = true
		}
		if b.since(2, 9) {
			with.sections += `
backend syslogs
    mode log
    server s1 udp@127.0.0.1:516
`
			with.global += "    log backend@syslogs local0\n"
		}
		if b.since(3, 0) {
			b.write(bedDir+"/web.pem", certificate(t))
			with.global += "    limited-quic\n"
			with.sections += `
frontend quic
    mode http
    bind quic4@127.0.0.1:8443 ssl crt ` + bedDir + `/web.pem alpn h3
    http-request return status 200
`
			listeners[8443] = true
		}
		s := b.startService("web", with)
		old := s.makeResidual(1, 1)[0]
		s.hold(1)
		if b.since(2, 3) { // what comes in is passed on
			c, err := b.dialUDP("127.0.0.1:1514")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, "<14>Nov 28 09:00:00 host program: something happened\n")
		}
		for _, p := range []process{old, s.active()} {
			seen, clients := map[int]bool{}, 0
			b.descriptors(p, func(fd int) {
				if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_DGRAM {
					return
				}
				local, err := unix.Getsockname(fd)
				v4, isIP := local.(*unix.SockaddrInet4)
				if err != nil || !isIP || v4.Port == 0 {
					return
				}
				if _, err := unix.Getpeername(fd); err == nil {
					return // connected: a resolver's
				}
				reuse, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
				if err != nil {
					t.Error(err)
				}
				if listens := listeners[v4.Port]; listens != (reuse != 0) {
					t.Errorf("UDP port %d of %v: a listener: %v, SO_REUSEADDR %d", v4.Port, p.ProcID, listens, reuse)
				}
				if listeners[v4.Port] {
					seen[v4.Port] = true
				} else {
					clients++
				}
			})
			if p.ProcID != old.ProcID && len(seen) != len(listeners) || clients == 0 {
				t.Errorf("%v has %d datagram listeners and %d clients: this shows nothing", p.ProcID, len(seen), clients)
			}
		}
	})
}

// dialUDP makes a UDP socket with a peer, in the network of the bed's clients.
func (b *bed) dialUDP(address string) (c net.Conn, err error) {
	err = b.amongClients(func() error { c, err = net.Dial("udp4", address); return err })
	return c, err
}
