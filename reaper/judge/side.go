package judge

import (
	"net/netip"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// side is whose connection one is.
type side int

const (
	// sideNone is HAProxy's own: a pair between its processes, a session of its
	// CLI, a question to a resolver.
	sideNone side = iota
	// sideClient came by an address on which the active listens.
	sideClient
	// sideFormer came by a listener that the active no longer has.
	sideFormer
	// sideServer leads to a backend.
	sideServer
	// sideUnknown is a client's or leads to a backend.
	sideUnknown
)

// Places are the addresses that some processes listen on. HAProxy's CLI has places
// of its own, without which nothing tells its sessions from clients of a frontend.
type Places struct {
	stream, datagram map[netip.AddrPort]inspect.Listener
	paths            map[string]bool
}

func newPlaces() *Places {
	return &Places{map[netip.AddrPort]inspect.Listener{}, map[netip.AddrPort]inspect.Listener{}, map[string]bool{}}
}

// Served are the places of a generation: those that it listens on, and those that
// it has paused.
func Served(generation []*inspect.Process) *Places {
	p := open(generation)
	for _, g := range generation {
		if g.Sockets != nil {
			p.add(g.Sockets.Paused...)
		}
	}
	return p
}

// open are the places of a generation that it listens on now.
func open(generation []*inspect.Process) *Places {
	p := newPlaces()
	for _, g := range generation {
		if g.Sockets != nil {
			p.add(g.Sockets.Listening...)
			p.add(g.Sockets.Bound...)
		}
	}
	return p
}

func (p *Places) add(list ...inspect.Listener) {
	for _, l := range list {
		if l.Network == "unix" {
			p.paths[unixName(l.Address)] = true
			continue
		}
		address, err := netip.ParseAddrPort(l.Address)
		switch {
		case err != nil:
		case l.Network == "udp":
			p.datagram[unmapped(address)] = l
		default:
			p.stream[unmapped(address)] = l
		}
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// cliPlaces are those of a worker's own CLI, as the master CLI told them.
func cliPlaces(p *inspect.Process) *Places {
	all := newPlaces()
	if p.CLI == nil {
		return all
	}
	for _, text := range p.CLI.Sockets {
		switch family, address, _ := strings.Cut(text, "@"); family {
		case "unix":
			all.paths[unixName(address)] = true
		case "abns":
			// It writes no NULs, with which HAProxy pads the name of abns@ to the whole
			// of sun_path, and that of abnsz@ (3.2) not.
			all.paths["@"+address] = true
			all.paths["@"+address+strings.Repeat("\x00", max(0, 107-len(address)))] = true
		case "ipv4", "ipv6":
			all.add(inspect.Listener{Network: "tcp", Address: address})
		}
	}
	return all
}

// none tells whether nothing is known of where connections come in.
func (p *Places) none() bool { return len(p.stream)+len(p.datagram)+len(p.paths) == 0 }

// listener finds the listener that a local address belongs to: that of the very
// address, else that of every address of its family, else that of every address
// of IPv6, which takes IPv4 too unless it says otherwise (ipv6(7), IPV6_V6ONLY).
func listener(at map[netip.AddrPort]inspect.Listener, local netip.AddrPort) (inspect.Listener, bool) {
	if l, ok := at[local]; ok {
		return l, true
	}
	if local.Addr().Is4() {
		if l, ok := at[netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())]; ok {
			return l, true
		}
	}
	l, ok := at[netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())]
	return l, ok && !(l.V6Only && local.Addr().Is4())
}

// Holds tells whether a connection came by one of the places, as far as its
// address tells.
func (p *Places) Holds(end inspect.End) bool {
	if end.Network == inspect.NetworkUnix {
		return p.paths[unixName(end.Path)]
	}
	_, ok := listener(p.of(end.Network), end.Local)
	return ok
}

// of are the places of one network, by address.
func (p *Places) of(network inspect.Network) map[netip.AddrPort]inspect.Listener {
	if network == inspect.NetworkDatagram {
		return p.datagram
	}
	return p.stream
}

// Ports are the ports of the places of one network.
func (p *Places) Ports(network inspect.Network) map[uint16]bool {
	ports := map[uint16]bool{}
	for address := range p.of(network) {
		ports[address.Port()] = true
	}
	return ports
}

// Multipath tells whether one of the places is a listener of MPTCP (mptcp@).
func (p *Places) Multipath() bool {
	for _, l := range p.stream {
		if l.Network == "mptcp" {
			return true
		}
	}
	return false
}

// Clients is how many of the connections of a network came by the places, given
// their number by local address, and the stream listeners of the host. A connection
// to an address that another listener has for itself came by that listener.
func (p *Places) Clients(network inspect.Network, connections map[netip.AddrPort]int, listeners []inspect.Listener) int {
	others := map[netip.AddrPort]bool{}
	for _, l := range listeners {
		if address, err := netip.ParseAddrPort(l.Address); err == nil && network == inspect.NetworkStream {
			others[unmapped(address)] = true
		}
	}
	n, ours := 0, p.of(network)
	for local, number := range connections {
		_, own := ours[local]
		if _, wide := listener(ours, local); own || wide && !others[local] {
			n += number
		}
	}
	return n
}

// teller says on which side each connection of one process is.
type teller struct {
	active, cli *Places
	// source tells that of the connections with SO_REUSEADDR alone each was made of
	// which TCP tells: then the others were, too.
	source bool
}

// side says on which side a connection is. An address of the active's comes first:
// what lies there counts as a client whatever its options are, for an inherited
// listener may have none of them.
func (t *teller) side(end inspect.End) side {
	switch {
	case end.Network == inspect.NetworkUnix && end.Path == "", end.Network == inspect.NetworkDatagram && end.Origin == inspect.OriginMade:
		return sideNone
	case t.cli.Holds(end):
		return sideNone
	case t.active.Holds(end):
		return sideClient
	case end.Network == inspect.NetworkUnix:
		return sideFormer
	case end.Network == inspect.NetworkDatagram:
		return sideUnknown
	}
	switch {
	case end.Origin.Accepted():
		return sideFormer
	case end.Origin.Made(), end.Origin == inspect.OriginEither && t.source:
		return sideServer
	}
	return sideUnknown
}

// Client tells whether a socket of one of the instance's processes is a client's: it
// came by an address on which the active listens. False for a process whose
// connections were not counted.
func (in *Instance) Client(id inspect.ProcID, end inspect.End) bool {
	t := in.sides[id]
	return t != nil && t.side(end) == sideClient
}

// teller is that of one process.
func (c *classifier) teller(p *inspect.Process) *teller {
	t := &teller{active: c.served, cli: cliPlaces(p)}
	made, passed := false, false
	for end := range p.Sockets.Ends {
		made, passed = made || end.Origin == inspect.OriginSource, passed || end.Origin == inspect.OriginPassed
	}
	t.source = made && !passed
	return t
}

// tally is the connections of a process, by their sides.
type tally struct {
	client, former, server, none int
	// open are those of TCP, and of UDP, that may be on either side.
	open, openDatagrams int
	unread              bool // of some of them not even the options could be read
	gone                int  // clients, of either kind, that have gone and whose sockets are still there
}

func (t *teller) tally(ends map[inspect.End]inspect.Use) tally {
	var sum tally
	for end, use := range ends {
		n, s := use.Connections, t.side(end)
		switch {
		case end.Gone && (s == sideClient || s == sideFormer):
			sum.gone += n
		case end.Gone:
		case s == sideClient:
			sum.client += n
		case s == sideFormer:
			sum.former += n
		case s == sideServer:
			sum.server += n
		case s == sideNone:
			sum.none += n
		case end.Network == inspect.NetworkDatagram:
			sum.openDatagrams += n
		default:
			sum.open += n
		}
		sum.unread = sum.unread || !end.Gone && s == sideUnknown && end.Origin == inspect.OriginUnread
	}
	return sum
}

// connections are these numbers for the report. What may be on either side counts
// as unknown clients, unless the master CLI says how many there are. Then those
// are unknown that were not counted, as they come by reverse HTTP, or share the
// socket of a QUIC listener. A client that has gone counts for HAProxy for as long
// as its socket is there. The CLI was asked after the sockets, and an old worker
// gets no new clients: it never says too many.
func (sum tally) connections(cli *inspect.CLIAnswer) Connections {
	server, unknown := sum.server, sum.open+sum.openDatagrams
	if cli != nil {
		unknown = max(0, cli.CurrConns-sum.client-sum.former-sum.gone)
		server += max(0, sum.open-unknown)
	}
	c := Connections{Client: &sum.client, Server: &server, Other: &sum.none, Former: &sum.former, Unknown: &unknown}
	if sum.unread && cli == nil {
		c.Server, c.Unknown = nil, nil // any part of them
	}
	return c
}
