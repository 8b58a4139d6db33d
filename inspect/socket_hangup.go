package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// ClientSocket is one TCP connection that a process accepted, as it was found among
// its descriptors, with what tells it from the next socket that has its descriptor.
type ClientSocket struct {
	Connection
	FD    int // in that process
	Inode uint64
}

// ErrOther says that a descriptor is no longer that of the connection that it
// was, or that its peer has gone.
var ErrOther = errors.New("the connection is no longer there")

// Hangup is how a client connection is closed from outside, by shutdown(2) on a
// duplicate of its descriptor.
type Hangup int

const (
	// HangupGently lets HAProxy believe that the client has said its last word
	// (SHUT_RD). It answers what it was asked, says goodbye as its protocol has it
	// (Connection: close, GOAWAY, close_notify), and closes with a FIN. Seen on
	// 2.6: plain TCP, HTTP/1 keep-alive, a request under way, websocket, TLS and
	// h2. On 3.4 a request under way was given up with a 400: "option abortonclose"
	// of its configuration.txt is about such clients. Where the server does not
	// close when it is told that the client has ended, HAProxy waits for it, and
	// the client is told nothing.
	HangupGently Hangup = unix.SHUT_RD
	// HangupNow sends the FIN at once (SHUT_RDWR), and cuts what is under way.
	HangupNow Hangup = unix.SHUT_RDWR
)

// ClientSockets lists the TCP connections that a process has accepted for sure
// (OriginAccepted) and whose peer has not gone, those idle for the longest first,
// and last those of which nobody knows that. A connection towards a server is never
// among them, whatever its addresses are. ErrGone when the process has left. Nothing
// stands in for pidfd_getfd here.
func (h *Host) ClientSockets(ctx context.Context, id ProcID) ([]ClientSocket, error) {
	if h.Handle(id) == nil {
		return nil, readError("connections", "pidfd_getfd", ErrGone)
	}
	p, err := h.Again(ctx, id)
	if err != nil {
		return nil, err
	}
	var all []ClientSocket
	err = h.touch(ctx, h.SocketClass(), p, func(fd, dup int) error {
		c, accepted, err := h.clientSocket(dup)
		if err == nil && accepted {
			c.FD = fd
			all = append(all, c)
		}
		return err
	})
	if err != nil {
		return nil, readError("connections", procPath(p.PID, "fd"), err)
	}
	slices.SortStableFunc(all, func(a, b ClientSocket) int { return CompareIdle(a.Connection, b.Connection) })
	return all, nil
}

// CompareIdle puts the connection first that was idle for longer, and last one of
// which that is not known.
func CompareIdle(a, b Connection) int {
	switch {
	case a.Timed == b.Timed:
		return cmp.Compare(b.Idle, a.Idle)
	case a.Timed:
		return -1
	}
	return 1
}

// clientSocket reads a descriptor of our own; false for all but a TCP connection
// that was accepted for sure.
func (h *Host) clientSocket(fd int) (ClientSocket, bool, error) {
	var info unix.TCPInfo
	k, err := readSocket(h.kernel, fd, connectionPeers, &info)
	if err != nil || !k.tcp || k.listening || !k.converses() {
		return ClientSocket{}, false, err
	}
	if k.origin, err = readOrigin(h.kernel, fd, NetworkStream); err != nil || k.origin != OriginAccepted {
		return ClientSocket{}, false, err
	}
	inode, err := h.kernel.Inode(fd)
	return ClientSocket{Connection: k.connection(), Inode: inode}, err == nil, err
}

// HangUp closes a client connection of a process, if the descriptor is still that
// very connection: the socket is held by a duplicate while it is looked at and
// closed, so nothing can take its place in between. ErrOther when it is not,
// ErrGone when the process has left.
func (h *Host) HangUp(id ProcID, c ClientSocket, how Hangup) error {
	handle := h.Handle(id)
	if handle == nil {
		return ErrGone
	}
	return handle.with(func(pidfd int) error {
		dup, err := h.kernel.PidfdGetfd(pidfd, c.FD)
		switch {
		case errors.Is(err, unix.EBADF):
			return ErrOther
		case errors.Is(err, unix.ESRCH):
			return ErrGone
		case err != nil:
			return fmt.Errorf("pidfd_getfd of descriptor %d: %w", c.FD, err)
		}
		err = h.hangUp(dup, c, how)
		return errors.Join(err, h.kernel.Close(dup))
	})
}

func (h *Host) hangUp(dup int, c ClientSocket, how Hangup) error {
	now, accepted, err := h.clientSocket(dup)
	switch {
	case errors.Is(err, unix.ENOTSOCK):
		return ErrOther
	case err != nil:
		return fmt.Errorf("descriptor %d: %w", c.FD, err)
	case !accepted || now.Inode != c.Inode || now.Local != c.Local || now.Peer != c.Peer:
		return ErrOther
	}
	if err := h.kernel.Shutdown(dup, int(how)); errors.Is(err, unix.ENOTCONN) {
		return ErrOther
	} else if err != nil {
		return fmt.Errorf("shutdown of descriptor %d: %w", c.FD, err)
	}
	return nil
}
