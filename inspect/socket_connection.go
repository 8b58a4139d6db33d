package inspect

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Network is the kind of socket that a connection is made of.
type Network uint8

const (
	NetworkStream   Network = iota // TCP, and MPTCP
	NetworkDatagram                // connected UDP: QUIC, or a question to a resolver
	NetworkUnix                    // a unix stream
)

// Origin says whether a process accepted a connection or made it, by two socket
// options. HAProxy sets SO_REUSEADDR and SO_REUSEPORT on its listeners, and the
// kernel gives a connection the options of the listener that accepted it
// (sk_clone). A connection towards a server has neither, and SO_REUSEADDR alone
// with "source". Measured on 2.2 to 3.4.
type Origin uint8

const (
	// OriginUnread was not asked, or cannot be: sock_diag does not tell.
	OriginUnread Origin = iota
	// OriginMade has neither option: the process connected it itself.
	OriginMade
	// OriginAccepted came by a listener: SO_REUSEPORT. Of UDP, SO_REUSEADDR
	// says so: HAProxy sets it on the socket of a QUIC client, never on that of
	// a resolver.
	OriginAccepted

	// The others have SO_REUSEADDR alone. OriginSource was made, with "source".
	// OriginPassed came by a listener that HAProxy did not open, or opened under
	// "noreuseport". Of OriginEither TCP tells neither at the moment.
	OriginSource
	OriginPassed
	OriginEither
)

// Accepted tells whether a connection came by a listener for sure.
func (o Origin) Accepted() bool { return o == OriginAccepted || o == OriginPassed }

// Made tells whether the process connected it itself, for sure.
func (o Origin) Made() bool { return o == OriginMade || o == OriginSource }

// End is a process's own end of a connection: all that tells on which side the
// connection is. Connections with the same end are counted together.
type End struct {
	Network Network
	Origin  Origin
	// Gone says that the peer has gone: it was reset, or both sides have finished
	// (CLOSE, CLOSING, LAST_ACK). What is still to be sent to it, the kernel
	// sends, whether the process lives or not.
	Gone  bool
	Local netip.AddrPort // an IPv4 address of an IPv6 socket as IPv4; none of a unix socket
	Path  string         // of a unix socket, "" when unnamed
}

// Use sums up the connections of one end.
type Use struct {
	Connections int
	// Timed is of how many the time since the last byte is known (TCP_INFO:
	// tcpi_last_data_sent, tcpi_last_data_recv). MinIdle and MaxIdle are those
	// times on the busiest and on the idlest of these.
	Timed            int
	MinIdle, MaxIdle time.Duration
}

// Connection is one connection of a process.
type Connection struct {
	End
	Peer netip.AddrPort // an IPv4 peer of an IPv6 socket as IPv4
	// Timed says that Idle and Bytes are known: those of TCP. Of MPTCP they are
	// the first path's alone.
	Timed bool
	// Idle is the time since the last byte moved, as in Use.
	Idle time.Duration
	// Bytes were received, or sent and acknowledged, since it was established
	// (TCP_INFO: tcpi_bytes_received, tcpi_bytes_acked).
	Bytes uint64
}

// add counts a connection in.
func (u *Use) add(c Connection) {
	u.Connections++
	if !c.Timed {
		return
	}
	if u.Timed == 0 {
		u.MinIdle = c.Idle
	}
	u.MinIdle, u.MaxIdle = min(u.MinIdle, c.Idle), max(u.MaxIdle, c.Idle)
	u.Timed++
}

// readOrigin asks a descriptor of our own for the options that tell where its
// connection comes from.
func readOrigin(k Kernel, fd int, network Network) (Origin, error) {
	reuseAddr, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
	switch {
	case err != nil:
		return OriginUnread, err
	case reuseAddr == 0:
		return OriginMade, nil
	case network == NetworkDatagram:
		return OriginAccepted, nil
	}
	reusePort, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	switch {
	case err != nil:
		return OriginUnread, err
	case reusePort == 0:
		return OriginEither, nil
	}
	return OriginAccepted, nil
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
