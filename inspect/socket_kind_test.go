package inspect

import (
	"net/netip"
	"slices"
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
	in := func(state uint8) socket { return of(tcp, func(k *socket) { k.state = state }) }
	listener := func(network, address string, port uint16) []Listener {
		return []Listener{{Network: network, Address: address, Port: port, Inode: 5}}
	}
	one := func(end End) map[End]Use { return map[End]Use{end: {Connections: 1}} }
	onWeb := End{Local: web.IP}
	gone := End{Local: web.IP, Gone: true}
	quic := End{Network: NetworkDatagram, Local: web.IP}
	for _, c := range []struct {
		name string
		k    socket
		want Sockets
	}{
		{"a listener", of(tcp, func(k *socket) { k.listening = true }), Sockets{Listening: listener("tcp", "10.0.0.1:443", 443)}},
		{"a listener of MPTCP", of(tcp, func(k *socket) { k.listening, k.mptcp = true, true }), Sockets{Listening: listener("mptcp", "10.0.0.1:443", 443)}},
		{"a listener that nobody made non-blocking", of(tcp, func(k *socket) { k.listening, k.blocking = true, true }), Sockets{Unused: listener("tcp", "10.0.0.1:443", 443)}},
		{"a unix listener", of(stream, func(k *socket) { k.listening = true }), Sockets{Listening: listener("unix", "/run/a.sock", 0)}},
		{"a unix listener that nobody made non-blocking", of(stream, func(k *socket) { k.listening, k.blocking = true, true }), Sockets{Unused: listener("unix", "/run/a.sock", 0)}},
		{"a connection", in(unix.BPF_TCP_ESTABLISHED), Sockets{Ends: one(onWeb)}},
		{"one whose other side has finished sending", in(unix.BPF_TCP_CLOSE_WAIT), Sockets{Ends: one(onWeb)}},
		{"one whose own side has finished sending", in(unix.BPF_TCP_FIN_WAIT1), Sockets{Ends: one(onWeb)}},
		{"one whose own side has finished sending, which the other knows", in(unix.BPF_TCP_FIN_WAIT2), Sockets{Ends: one(onWeb)}},
		{"one that came by TCP Fast Open", in(unix.BPF_TCP_SYN_RECV), Sockets{Ends: one(onWeb)}},
		{"one before its answer", in(unix.BPF_TCP_SYN_SENT), Sockets{}},
		{"one of which both sides have finished", in(unix.BPF_TCP_LAST_ACK), Sockets{Ends: one(gone)}},
		{"one of which both sides have finished at once", in(unix.BPF_TCP_CLOSING), Sockets{Ends: one(gone)}},
		{"a connection of IPv4 on a socket of IPv6", of(in(unix.BPF_TCP_ESTABLISHED), func(k *socket) { k.local = ip("[::ffff:10.0.0.1]:443") }), Sockets{Ends: one(onWeb)}},
		{"a connection that was accepted", of(in(unix.BPF_TCP_ESTABLISHED), func(k *socket) { k.origin = OriginAccepted }), Sockets{Ends: one(End{Local: web.IP, Origin: OriginAccepted})}},
		{"a paused listener", in(unix.BPF_TCP_CLOSE), Sockets{Paused: listener("tcp", "10.0.0.1:443", 443)}},
		{"a connection that was reset", of(in(unix.BPF_TCP_CLOSE), func(k *socket) { k.carried = true }), Sockets{Ends: one(gone)}},
		{"one before its connect", of(in(unix.BPF_TCP_CLOSE), func(k *socket) { k.local = anywhere }), Sockets{}},

		{"bound UDP with SO_REUSEADDR", of(udp, func(k *socket) { k.origin = OriginAccepted }), Sockets{Bound: listener("udp", "10.0.0.1:443", 443)}},
		{"bound UDP with it that nobody made non-blocking", of(udp, func(k *socket) { k.origin, k.blocking = OriginAccepted, true }), Sockets{Unused: listener("udp", "10.0.0.1:443", 443)}},
		{"bound UDP without it", of(udp, func(k *socket) { k.origin = OriginMade }), Sockets{}},
		{"bound UDP whose options are not known", udp, Sockets{Bound: []Listener{{Network: "udp", Address: "10.0.0.1:443", Port: 443, Inode: 5, Unsure: true}}}},
		{"bound UDP whose options are not known, and which receives nothing", of(udp, func(k *socket) { k.deaf = true }), Sockets{}},
		{"bound UDP with SO_REUSEADDR, which receives nothing", of(udp, func(k *socket) { k.origin, k.deaf = OriginAccepted, true }), Sockets{Bound: listener("udp", "10.0.0.1:443", 443)}},
		{"UDP that has sent nothing yet", of(udp, func(k *socket) { k.local = anywhere }), Sockets{}},
		{"connected UDP", of(udp, func(k *socket) { k.connected, k.peer = true, ip("10.0.0.2:53") }), Sockets{Ends: one(quic)}},
		{"connected UDP of a resolver", of(udp, func(k *socket) { k.origin, k.connected, k.peer = OriginMade, true, ip("10.0.0.2:53") }), Sockets{Ends: one(End{Network: NetworkDatagram, Origin: OriginMade, Local: web.IP})}},
		{"UDP that is connected to itself", of(udp, func(k *socket) { k.connected, k.peer = true, ip("[::ffff:10.0.0.1]:443") }), Sockets{Paused: listener("udp", "10.0.0.1:443", 443)}},
		{"UDP that is connected to its own port elsewhere", of(udp, func(k *socket) { k.connected, k.peer = true, ip("10.0.0.2:443") }), Sockets{Ends: one(quic)}},
		{"UDP that is connected to another port of its host", of(udp, func(k *socket) { k.connected, k.peer = true, ip("10.0.0.1:53") }), Sockets{Ends: one(quic)}},
		{"a raw socket", of(udp, func(k *socket) { k.kind = unix.SOCK_RAW }), Sockets{Unclassified: []string{"IP socket of type 3 on 10.0.0.1:443"}}},

		{"a unix connection", of(stream, func(k *socket) { k.connected = true }), Sockets{Ends: one(End{Network: NetworkUnix, Path: "/run/a.sock"})}},
		{"a unix connection without a name", of(stream, func(k *socket) { k.connected, k.local = true, named("") }), Sockets{Ends: one(End{Network: NetworkUnix})}},
		{"a paused unix listener", stream, Sockets{Paused: listener("unix", "/run/a.sock", 0)}},
		{"a unix socket before its connect", of(stream, func(k *socket) { k.local = named("") }), Sockets{}},
		{"a log client", datagram, Sockets{}},
		{"a log client that is connected", of(datagram, func(k *socket) { k.connected = true }), Sockets{}},
		{"a bound unix datagram socket", of(datagram, func(k *socket) { k.local = named("/run/log") }), Sockets{Unclassified: []string{"unix datagram socket bound to /run/log"}}},

		{"netlink", socket{family: unix.AF_NETLINK, kind: unix.SOCK_RAW}, Sockets{}},
		{"another family", socket{family: unix.AF_VSOCK, kind: unix.SOCK_STREAM}, Sockets{Unclassified: []string{"socket of address family 40"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Sockets{Inodes: map[uint64]bool{}, Ends: map[End]Use{}, detail: connectionCounts}
			got.judge(c.k)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.IgnoreUnexported(Sockets{}), cmpopts.IgnoreFields(Sockets{}, "Inodes")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if noted := len(got.Listening)+len(got.Unused)+len(got.Paused)+len(got.Bound) > 0; got.Inodes[5] != noted {
				t.Errorf("its inode is known: %v, want %v", !noted, noted)
			}
		})
	}
}

// Of the connections of an end the busiest and the idlest count, of those of which
// that is known.
func TestTheBusiestAndTheIdlestOfAnEnd(t *testing.T) {
	s := Sockets{Ends: map[End]Use{}, detail: connectionCounts}
	for _, idle := range []time.Duration{-1, 3, 1, 2, -1, 5, 1, 4} {
		s.count(socket{tcp: true, state: unix.BPF_TCP_ESTABLISHED, local: ip("10.0.0.1:443"), peer: ip("10.0.0.2:30000"), timed: idle > 0, idle: max(0, idle)})
	}
	if got, want := s.Ends[End{Local: ip("10.0.0.1:443").IP}], (Use{Connections: 8, Timed: 6, MinIdle: 1, MaxIdle: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What was idle for the longest is closed first, and last what nobody knows that of.
func TestTheOrderOfConnectionsByTheirIdleTimes(t *testing.T) {
	known := func(idle time.Duration) Connection { return Connection{Timed: true, Idle: idle} }
	list := []Connection{{}, known(2), known(0), {}, known(5)}
	slices.SortStableFunc(list, CompareIdle)
	want := []Connection{known(5), known(2), known(0), {}, {}}
	if diff := cmp.Diff(want, list, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
