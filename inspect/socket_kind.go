package inspect

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// socket is what is known of one socket of a process, whichever way it was
// looked at.
type socket struct {
	family    int // AF_INET, AF_INET6, AF_UNIX, or whatever the kernel said
	kind      int // SOCK_STREAM, SOCK_DGRAM, ...; 0 when nobody had to ask
	tcp       bool
	mptcp     bool // as far as anybody had to ask
	listening bool
	local     SockAddr
	peer      SockAddr
	connected bool // has a peer; of a TCP socket the state tells
	inode     uint64
	// origin is that of a UDP socket, and of a connection that is counted.
	origin Origin
	// blocking says that the descriptor lacks O_NONBLOCK; asked of listeners.
	blocking bool
	// v6only says that one of IPv6 takes no IPv4; asked of listeners.
	v6only bool
	// deaf says that the reading side is shut down, as sock_diag tells.
	deaf bool

	// Of TCP sockets, from struct tcp_info (linux/tcp.h).
	state   uint8
	carried bool // a segment, in either direction
	timed   bool // idle and bytes are known
	idle    time.Duration
	bytes   uint64 // received, and sent and acknowledged
	opened  Origin // of one with SO_REUSEADDR alone
}

// judge adds a socket to what is known of its process.
func (s *Sockets) judge(k socket) {
	switch {
	case k.listening && k.blocking:
		s.note(&s.Unused, k)
	case k.listening:
		s.note(&s.Listening, k)
	case k.tcp:
		s.judgeTCP(k)
	case k.family == unix.AF_INET || k.family == unix.AF_INET6:
		s.judgeDatagram(k)
	case k.family == unix.AF_UNIX:
		s.judgeUnix(k)
	case k.family == unix.AF_NETLINK:
		// Asks the kernel things, takes no connections.
	default:
		s.unclassified("socket of address family %d", k.family)
	}
}

// judgeTCP judges by the state (tcp(7), include/net/tcp_states.h).
func (s *Sockets) judgeTCP(k socket) {
	switch {
	case k.converses(), k.gone():
		s.count(k)
	case k.paused():
		s.note(&s.Paused, k)
	}
}

// converses tells a connection on which a byte may still move. A client that has
// finished sending still receives (CLOSE_WAIT); one to which HAProxy has finished
// may still send (FIN_WAIT1, FIN_WAIT2). A descriptor in SYN_RECV was accepted by
// TCP Fast Open.
func (k *socket) converses() bool {
	switch k.state {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_SYN_RECV, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT:
		return true
	}
	return false
}

// gone tells a connection whose peer has gone, see End.Gone.
func (k *socket) gone() bool {
	switch k.state {
	case unix.BPF_TCP_CLOSING, unix.BPF_TCP_LAST_ACK:
		return true
	}
	return k.state == unix.BPF_TCP_CLOSE && k.carried
}

// paused tells a listener that SIGTTOU has paused: it is disconnected and keeps
// its port. So does a connection that was reset, but only that has ever carried a
// segment; and an outgoing socket before its connect has no port.
func (k *socket) paused() bool {
	return k.state == unix.BPF_TCP_CLOSE && !k.carried && k.local.IP.Port() != 0
}

func (s *Sockets) judgeDatagram(k socket) {
	switch {
	case k.kind != unix.SOCK_DGRAM:
		s.unclassified("IP socket of type %d on %s", k.kind, k.local)
	case !k.connected && k.local.IP.Port() == 0:
		// A client that has sent nothing yet.
	case !k.connected && k.blocking:
		s.note(&s.Unused, k)
	case !k.connected && k.receives():
		s.note(&s.Bound, k)
	case !k.connected:
		// That of a log.
	case samePlace(k.local.IP, k.peer.IP):
		// HAProxy pauses a datagram listener by connecting it to itself.
		s.note(&s.Paused, k)
	default:
		s.count(k)
	}
}

// receives tells a datagram listener from a client that is not connected: by
// SO_REUSEADDR, which neither logs nor resolvers have (measured on 2.2 to 3.4). Where
// that cannot be asked, what may receive is taken for a listener, and only the sockets
// of logs are none, whose reading side HAProxy shuts down (log.c, 1.8 to 3.4).
func (k *socket) receives() bool {
	if k.origin == OriginUnread {
		return !k.deaf
	}
	return k.origin == OriginAccepted
}

func (s *Sockets) judgeUnix(k socket) {
	switch {
	case k.kind == unix.SOCK_DGRAM && k.local.Path != "":
		s.unclassified("unix datagram socket bound to %s", ShownName(k.local.Path))
	case k.kind == unix.SOCK_DGRAM:
		// Unnamed: a log client.
	case !k.connected && k.local.Path == "":
		// Not connected yet.
	case !k.connected:
		s.note(&s.Paused, k)
	default:
		s.count(k)
	}
}

func (s *Sockets) unclassified(format string, args ...any) {
	s.Unclassified = append(s.Unclassified, fmt.Sprintf(format, args...))
}

// note adds a socket with its inode to a list. Several descriptors may lead to it.
func (s *Sockets) note(list *[]Listener, k socket) {
	if s.Inodes[k.inode] {
		return
	}
	s.Inodes[k.inode] = true
	l := Listener{Network: k.network(), Address: k.local.String(), Port: k.local.IP.Port(), Inode: k.inode, V6Only: k.v6only}
	l.Unsure = l.Network == "udp" && k.origin == OriginUnread && !k.connected
	*list = append(*list, l)
}

// network is the word for it.
func (k *socket) network() string {
	switch {
	case k.family == unix.AF_UNIX:
		return "unix"
	case k.mptcp:
		return "mptcp"
	case k.tcp || k.kind == unix.SOCK_STREAM:
		return "tcp"
	}
	return "udp"
}

// count adds a connection to the sum of its end, and to the list of connections
// where one is kept.
func (s *Sockets) count(k socket) {
	if s.detail == listenersOnly {
		return
	}
	c := k.connection()
	use := s.Ends[c.End]
	use.add(c)
	s.Ends[c.End] = use
	if s.detail == connectionPeers && c.Network != NetworkUnix && !c.Gone {
		s.Connections = append(s.Connections, c)
	}
}

// connection is a socket that is one.
func (k *socket) connection() Connection {
	c := Connection{End: k.end()}
	if k.family != unix.AF_UNIX {
		c.Peer = unmap(k.peer.IP)
		c.Timed, c.Idle, c.Bytes = k.timed, k.idle, k.bytes
	}
	return c
}

func (k *socket) end() End {
	switch {
	case k.family == unix.AF_UNIX:
		return End{Network: NetworkUnix, Path: k.local.Path}
	case k.tcp:
		return End{Network: NetworkStream, Origin: k.origin, Gone: k.gone(), Local: unmap(k.local.IP)}
	}
	return End{Network: NetworkDatagram, Origin: k.origin, Local: unmap(k.local.IP)}
}

// samePlace compares two addresses as the kernel means them: 127.0.0.1 and
// ::ffff:127.0.0.1 are one.
func samePlace(a, b netip.AddrPort) bool { return unmap(a) == unmap(b) }
