package judge

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// aPlace are the places of an active on one address, on every IPv4 address, on every
// address, on every IPv6 address, for datagrams, and on a path.
func aPlace() *Places {
	at := newPlaces()
	at.add(
		inspect.Listener{Network: "tcp", Address: "10.0.0.1:80"},
		inspect.Listener{Network: "tcp", Address: "0.0.0.0:443"},
		inspect.Listener{Network: "mptcp", Address: "[::]:81"},
		inspect.Listener{Network: "tcp", Address: "[::]:82", V6Only: true},
		inspect.Listener{Network: "tcp", Address: "[::ffff:10.0.0.1]:83"},
		inspect.Listener{Network: "udp", Address: "0.0.0.0:443"},
		inspect.Listener{Network: "unix", Address: "/run/f.sock.12.tmp"},
		inspect.Listener{Network: "tcp", Address: "of no kind"},
	)
	return at
}

func TestWhereAConnectionComesIn(t *testing.T) {
	for _, c := range []struct {
		name string
		end  inspect.End
		want bool
	}{
		{"the very address", client(80), true},
		{"another address of that port", at("10.0.0.2:80", inspect.OriginAccepted), false},
		{"another port of that address", client(8080), false},
		{"any address of the family", at("10.0.0.9:443", inspect.OriginAccepted), true},
		{"an address of the other family", at("[fd00::1]:443", inspect.OriginAccepted), false},
		{"IPv4 on every address", client(81), true},
		{"IPv6 on every address", at("[fd00::1]:81", inspect.OriginAccepted), true},
		{"IPv4 on every IPv6 address alone", client(82), false},
		{"IPv6 on every IPv6 address alone", at("[fd00::1]:82", inspect.OriginAccepted), true},
		{"IPv4 on its address as one of IPv6", client(83), true},
		{"datagrams on their own listener", datagram(client(443)), true},
		{"datagrams on a port of streams", datagram(client(80)), false},
		{"the path, whatever name it was bound by", byPath("/run/f.sock"), true},
		{"a temporary name of the path", byPath("/run/f.sock.77.tmp"), true},
		{"another path", byPath("/run/g.sock"), false},
	} {
		if got := aPlace().Holds(c.end); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if newPlaces().none() != true || aPlace().none() {
		t.Error("whether there is any place")
	}
}

func TestOnWhichSideAConnectionIs(t *testing.T) {
	cli := cliPlaces(&inspect.Process{CLI: &inspect.CLIAnswer{Sockets: []string{
		"unix@/run/s.sock", "abns@st", "ipv4@127.0.0.1:9999", "ipv6@[::1]:9999", "ipv4@10.0.0.1:80", "sockpair@4", "unknown",
	}}})
	padded := "@st" + string(make([]byte, 105))
	for _, c := range []struct {
		name string
		end  inspect.End
		want side
	}{
		{"accepted where the active listens", client(443), sideClient},
		{"accepted there without SO_REUSEPORT", at("10.0.0.1:443", inspect.OriginPassed), sideClient},
		{"made there, it seems: a listener may have no option", server(443), sideClient},
		{"accepted elsewhere", client(8443), sideFormer},
		{"accepted elsewhere without SO_REUSEPORT", at("10.0.0.1:8443", inspect.OriginPassed), sideFormer},
		{"made", server(40000), sideServer},
		{"made with source", at("10.0.0.1:10000", inspect.OriginSource), sideServer},
		{"one of which TCP tells neither", at("10.0.0.1:10000", inspect.OriginEither), sideUnknown},
		{"one whose options are not known", at("10.0.0.1:40000", inspect.OriginUnread), sideUnknown},
		{"one whose options are not known, where the active listens", at("10.0.0.1:443", inspect.OriginUnread), sideClient},
		{"QUIC", datagram(client(443)), sideClient},
		{"QUIC elsewhere", datagram(client(8443)), sideUnknown},
		{"a resolver", datagram(server(40000)), sideNone},
		{"a resolver on the port of a datagram listener", datagram(server(443)), sideNone},
		{"a unix socket of the active's", byPath("/run/f.sock"), sideClient},
		{"one of a former listener", byPath("/run/gone.sock"), sideFormer},
		{"one without a name", byPath(""), sideNone},
		{"a session of the CLI", byPath("/run/s.sock"), sideNone},
		{"one of an abstract name", byPath(padded), sideNone},
		{"one by TCP", at("127.0.0.1:9999", inspect.OriginAccepted), sideNone},
		{"one by IPv6", at("[::1]:9999", inspect.OriginAccepted), sideNone},
		{"one on an address where the active listens", client(80), sideNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			tell := teller{active: aPlace(), cli: cli}
			if got := tell.side(c.end); got != c.want {
				t.Errorf("side %d, want %d", got, c.want)
			}
		})
	}
}

// One that TCP tells of speaks for those of which it does not.
func TestConnectionsWithSourceAreToServersWhereOneIs(t *testing.T) {
	source, passed, either := at("10.0.0.1:10001", inspect.OriginSource), at("10.0.0.1:444", inspect.OriginPassed), at("10.0.0.1:10000", inspect.OriginEither)
	one := inspect.Use{Connections: 1}
	for _, c := range []struct {
		ends ends
		want side
	}{
		{ends{either: one}, sideUnknown},
		{ends{either: one, source: one}, sideServer},
		{ends{either: one, source: one, passed: one}, sideUnknown},
		{ends{either: one, client(443): one, server(40000): one}, sideUnknown},
	} {
		classify := classifier{served: aPlace()}
		if got := classify.teller(&inspect.Process{Sockets: &inspect.Sockets{Ends: c.ends}}).side(either); got != c.want {
			t.Errorf("beside %v: side %d, want %d", c.ends, got, c.want)
		}
	}
}

func TestConnectionsOfTheReport(t *testing.T) {
	n := func(n int) *int { return &n }
	says := func(clients int) *inspect.CLIAnswer { return &inspect.CLIAnswer{Stopping: true, CurrConns: clients} }
	four := inspect.Use{Connections: 4}
	for _, c := range []struct {
		name string
		ends ends
		cli  *inspect.CLIAnswer
		want Connections
	}{
		{"of each side", ends{client(443): four, client(8443): use(3, 0, 0), server(40000): use(2, 0, 0), byPath(""): use(1, 0, 0)}, nil,
			Connections{n(4), n(2), n(1), n(3), n(0)}},
		{"what may be on either side may be clients", ends{at("10.0.0.1:10000", inspect.OriginEither): four, datagram(client(8443)): use(1, 0, 0)}, nil,
			Connections{n(0), n(0), n(0), n(0), n(5)}},
		{"unless the CLI says that there are none", ends{at("10.0.0.1:10000", inspect.OriginEither): four}, says(0), Connections{n(0), n(4), n(0), n(0), n(0)}},
		{"or fewer", ends{at("10.0.0.1:10000", inspect.OriginEither): four, client(443): four}, says(5), Connections{n(4), n(3), n(0), n(0), n(1)}},
		{"what the CLI has more is unknown", ends{client(443): four, client(8443): use(1, 0, 0), server(40000): use(2, 0, 0)}, says(7), Connections{n(4), n(2), n(0), n(1), n(2)}},
		{"what it has less has left since", ends{client(443): four}, says(3), Connections{n(4), n(0), n(0), n(0), n(0)}},
		{"the CLI counts clients that have gone as long as their sockets are there",
			ends{gone(client(443)): four, gone(client(8443)): use(1, 0, 0), gone(server(40000)): use(1, 0, 0)}, says(6), Connections{n(0), n(0), n(0), n(0), n(1)}},
		{"where the options could not be read nothing else is known", ends{client(443): four, at("10.0.0.1:40000", inspect.OriginUnread): use(2, 0, 0)}, nil,
			Connections{n(4), nil, n(0), n(0), nil}},
		{"but by the CLI", ends{client(443): four, at("10.0.0.1:40000", inspect.OriginUnread): use(2, 0, 0)}, says(5), Connections{n(4), n(1), n(0), n(0), n(1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tell := teller{active: aPlace(), cli: newPlaces()}
			if diff := cmp.Diff(c.want, tell.tally(c.ends).connections(c.cli)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A connection that the process has made itself says nothing of what it was.
func TestWhoseConnectionTiesAProcessToAnActive(t *testing.T) {
	active := &inspect.Process{Sockets: &inspect.Sockets{
		Listening: []inspect.Listener{{Network: "tcp", Address: "10.0.0.1:80"}, {Network: "unix", Address: "/run/f.sock"}},
		Paused:    []inspect.Listener{{Network: "tcp", Address: "10.0.0.1:81"}},
		Bound:     []inspect.Listener{{Network: "udp", Address: "10.0.0.1:443"}},
	}}
	for _, c := range []struct {
		name string
		end  inspect.End
		want bool
	}{
		{"accepted there", client(80), true},
		{"accepted elsewhere", at("10.0.0.2:80", inspect.OriginAccepted), false},
		{"accepted where it has paused", client(81), false},
		{"made", server(80), false},
		{"made with source", at("10.0.0.1:80", inspect.OriginSource), false},
		{"one whose options could not be read", at("10.0.0.1:80", inspect.OriginUnread), false},
		{"one that has gone", gone(client(80)), false},
		{"QUIC", datagram(client(443)), true},
		{"a resolver on that port", datagram(server(443)), false},
		{"by its unix socket, whose path another service may have too", byPath("/run/f.sock"), false},
		{"one of which TCP does not tell at the moment", at("10.0.0.1:80", inspect.OriginEither), false},
	} {
		p := &inspect.Process{Sockets: &inspect.Sockets{Ends: ends{c.end: use(1, 0, 0)}}}
		if got := acceptedAt(p, open([]*inspect.Process{{}, active})); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	unread := &inspect.Process{Sockets: &inspect.Sockets{Ends: ends{at("10.0.0.1:80", inspect.OriginUnread): use(1, 0, 0)}}}
	if !mayBelong(unread, open([]*inspect.Process{active})) {
		t.Error("one whose options could not be read may be tied, and is not")
	}
}

// A paused listener is a place as well, behind one with a path, and beside a process
// that could not be looked at.
func TestWhatAGenerationHasPausedIsServed(t *testing.T) {
	paused := &inspect.Process{Sockets: &inspect.Sockets{Paused: []inspect.Listener{
		{Network: "unix", Address: "/run/f.sock"}, {Network: "tcp", Address: "10.0.0.1:80"},
	}}}
	at := Served([]*inspect.Process{{}, paused})
	if !at.Holds(client(80)) || !at.Holds(byPath("/run/f.sock")) {
		t.Error("a paused listener is no place")
	}
}

func TestOneListenerOfMPTCPMakesThePlacesThose(t *testing.T) {
	t.Parallel()
	generation := func(networks ...string) []*inspect.Process {
		p := &inspect.Process{Sockets: &inspect.Sockets{}}
		for i, network := range networks {
			p.Sockets.Listening = append(p.Sockets.Listening, inspect.Listener{Network: network, Address: fmt.Sprintf("127.0.0.1:%d", 80+i)})
		}
		return []*inspect.Process{p}
	}
	if Served(generation("tcp", "tcp")).Multipath() || !Served(generation("tcp", "mptcp")).Multipath() {
		t.Error("a listener of mptcp@ is not told from others")
	}
}
