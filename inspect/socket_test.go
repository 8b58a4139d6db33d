package inspect

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

func ip(text string) SockAddr {
	return SockAddr{Family: unix.AF_INET, IP: netip.MustParseAddrPort(text)}
}

func named(path string) SockAddr { return SockAddr{Family: unix.AF_UNIX, Path: path} }

// Each kind of socket counts for one thing, and what fits no kind is named.
func TestWhatASocketIs(t *testing.T) {
	web, anywhere := ip("10.0.0.1:443"), ip("10.0.0.1:0")
	tcp := socket{family: unix.AF_INET, kind: unix.SOCK_STREAM, tcp: true, local: web, inode: 5}
	udp := socket{family: unix.AF_INET, kind: unix.SOCK_DGRAM, local: web, inode: 5}
	stream := socket{family: unix.AF_UNIX, kind: unix.SOCK_STREAM, local: named("/run/a.sock"), inode: 5}
	datagram := socket{family: unix.AF_UNIX, kind: unix.SOCK_DGRAM, inode: 5}
	of := func(k socket, change func(*socket)) socket { change(&k); return k }
	listener := func(network, address string, port uint16) []Listener {
		return []Listener{{network, address, port, 5}}
	}
	for _, c := range []struct {
		name string
		k    socket
		want Sockets
	}{
		{"a listener", of(tcp, func(k *socket) { k.listening = true }), Sockets{Listening: listener("tcp", "10.0.0.1:443", 443)}},
		{"a unix listener", of(stream, func(k *socket) { k.listening = true }), Sockets{Listening: listener("unix", "/run/a.sock", 0)}},
		{"a connection", of(tcp, func(k *socket) { k.state = unix.BPF_TCP_ESTABLISHED }), Sockets{Ports: map[uint16]PortUse{443: {Connections: 1}}}},
		{"a paused listener", of(tcp, func(k *socket) { k.state = unix.BPF_TCP_CLOSE }), Sockets{Paused: listener("tcp", "10.0.0.1:443", 443)}},
		{"a connection that was reset", of(tcp, func(k *socket) { k.state, k.carried = unix.BPF_TCP_CLOSE, true }), Sockets{}},
		{"one before its connect", of(tcp, func(k *socket) { k.state, k.local = unix.BPF_TCP_CLOSE, anywhere }), Sockets{}},
		{"a connection that ends", of(tcp, func(k *socket) { k.state = unix.BPF_TCP_CLOSE_WAIT }), Sockets{}},

		{"bound UDP", udp, Sockets{Bound: listener("udp", "10.0.0.1:443", 443)}},
		{"UDP that has sent nothing yet", of(udp, func(k *socket) { k.local = anywhere }), Sockets{}},
		{"connected UDP", of(udp, func(k *socket) { k.connected, k.peer = true, ip("10.0.0.2:53") }), Sockets{Ports: map[uint16]PortUse{443: {Connections: 1}}}},
		{"UDP that is connected to itself", of(udp, func(k *socket) { k.connected, k.peer = true, ip("[::ffff:10.0.0.1]:443") }), Sockets{Paused: listener("udp", "10.0.0.1:443", 443)}},
		{"UDP that is connected to its own port elsewhere", of(udp, func(k *socket) { k.connected, k.peer = true, ip("10.0.0.2:443") }), Sockets{Ports: map[uint16]PortUse{443: {Connections: 1}}}},
		{"UDP that is connected to another port of its host", of(udp, func(k *socket) { k.connected, k.peer = true, ip("10.0.0.1:53") }), Sockets{Ports: map[uint16]PortUse{443: {Connections: 1}}}},
		{"a raw socket", of(udp, func(k *socket) { k.kind = unix.SOCK_RAW }), Sockets{Unclassified: []string{"IP socket of type 3 on 10.0.0.1:443"}}},

		{"a unix connection", of(stream, func(k *socket) { k.connected = true }), Sockets{Unix: map[string]int{"/run/a.sock": 1}}},
		{"a unix connection without a name", of(stream, func(k *socket) { k.connected, k.local = true, named("") }), Sockets{Unix: map[string]int{"": 1}}},
		{"a paused unix listener", stream, Sockets{Paused: listener("unix", "/run/a.sock", 0)}},
		{"a unix socket before its connect", of(stream, func(k *socket) { k.local = named("") }), Sockets{}},
		{"a log client", datagram, Sockets{}},
		{"a log client that is connected", of(datagram, func(k *socket) { k.connected = true }), Sockets{}},
		{"a bound unix datagram socket", of(datagram, func(k *socket) { k.local = named("/run/log") }), Sockets{Unclassified: []string{"unix datagram socket bound to /run/log"}}},

		{"netlink", socket{family: unix.AF_NETLINK, kind: unix.SOCK_RAW}, Sockets{}},
		{"another family", socket{family: unix.AF_VSOCK, kind: unix.SOCK_STREAM}, Sockets{Unclassified: []string{"socket of address family 40"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Sockets{Inodes: map[uint64]bool{}, Ports: map[uint16]PortUse{}, Unix: map[string]int{}, detail: connectionCounts}
			got.judge(c.k)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Sockets{}), cmpopts.IgnoreFields(Sockets{}, "Inodes")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if noted := len(got.Listening)+len(got.Paused)+len(got.Bound) > 0; got.Inodes[5] != noted {
				t.Errorf("its inode is known: %v, want %v", !noted, noted)
			}
		})
	}
}

// Of the connections of a port the busiest and the idlest count.
func TestTheBusiestAndTheIdlestOfAPort(t *testing.T) {
	s := Sockets{Ports: map[uint16]PortUse{}, detail: connectionCounts}
	for _, idle := range []time.Duration{3, 1, 2, 5, 1, 4} {
		s.count(socket{tcp: true, local: ip("10.0.0.1:443"), peer: ip("10.0.0.2:30000"), idle: idle})
	}
	if got, want := s.Ports[443], (PortUse{Connections: 6, MinIdle: 1, MaxIdle: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
