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
	listening bool
	local     SockAddr
	peer      SockAddr
	connected bool // has a peer; of a TCP socket the state tells
	inode     uint64

	// Of TCP sockets, from struct tcp_info (linux/tcp.h).
	state   uint8
	carried bool // a segment, in either direction
	idle    time.Duration
	bytes   uint64 // received, and sent and acknowledged
}

// judge adds a socket to what is known of its process.
func (s *Sockets) judge(k socket) {
	switch {
	case k.listening:
		s.note(&s.Listening, "tcp", k)
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
	switch k.state {
	case unix.BPF_TCP_ESTABLISHED:
		s.count(k)
	case unix.BPF_TCP_CLOSE:
		// A listener paused by SIGTTOU is disconnected and keeps its port. So does a
		// connection that was reset, but only that has ever carried a segment; and
		// an outgoing socket before its connect has no port.
		if !k.carried && k.local.IP.Port() != 0 {
			s.note(&s.Paused, "tcp", k)
		}
	}
}

func (s *Sockets) judgeDatagram(k socket) {
	switch {
	case k.kind != unix.SOCK_DGRAM:
		s.unclassified("IP socket of type %d on %s", k.kind, k.local)
	case !k.connected && k.local.IP.Port() == 0:
		// A client that has sent nothing yet.
	case !k.connected:
		s.note(&s.Bound, "udp", k)
	case samePlace(k.local.IP, k.peer.IP):
		// HAProxy pauses a datagram listener by connecting it to itself.
		s.note(&s.Paused, "udp", k)
	default:
		s.count(k)
	}
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
		s.note(&s.Paused, "unix", k)
	case s.detail != listenersOnly:
		s.Unix[k.local.Path]++
	}
}

func (s *Sockets) unclassified(format string, args ...any) {
	s.Unclassified = append(s.Unclassified, fmt.Sprintf(format, args...))
}

// note adds a socket with its inode to a list.
func (s *Sockets) note(list *[]Listener, network string, k socket) {
	if k.family == unix.AF_UNIX {
		network = "unix"
	}
	s.Inodes[k.inode] = true
	*list = append(*list, Listener{Network: network, Address: k.local.String(), Port: k.local.IP.Port(), Inode: k.inode})
}

// count adds a connection to the sum of its local port, and to the list of
// connections where one is kept.
func (s *Sockets) count(k socket) {
	if s.detail == listenersOnly {
		return
	}
	port := k.local.IP.Port()
	use, seen := s.Ports[port]
	if !seen {
		use.MinIdle = k.idle
	}
	use.MinIdle, use.MaxIdle = min(use.MinIdle, k.idle), max(use.MaxIdle, k.idle)
	use.Connections++
	s.Ports[port] = use
	if s.detail == connectionPeers {
		peer := netip.AddrPortFrom(k.peer.IP.Addr().Unmap(), k.peer.IP.Port())
		s.Connections = append(s.Connections, Connection{Peer: peer, Port: port, TCP: k.tcp, Idle: k.idle, Bytes: k.bytes})
	}
}

// samePlace compares two addresses as the kernel means them: 127.0.0.1 and
// ::ffff:127.0.0.1 are one.
func samePlace(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}
