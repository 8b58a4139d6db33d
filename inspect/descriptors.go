package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// LookThoroughly examines every descriptor of a process: it duplicates one at a
// time by pidfd_getfd(2), asks the kernel what it is, and closes it at once, for
// while a duplicate lives the owner's close is not the last. It costs about 2 us
// a descriptor whatever the number of sockets on the host, is right across
// network namespaces, and proves that a process does not listen. Needs
// CAP_SYS_PTRACE and Linux 5.6; where the kernel refuses the call (a seccomp
// filter, Yama's ptrace_scope 3, an older kernel) the tables stand in for it.
// The result, or the error, is left in p.
func (h *Host) LookThoroughly(ctx context.Context, t *Tables, p *Process) {
	handle := h.Handle(p.ProcID)
	if handle == nil {
		p.Err = readError("descriptors", "pidfd_getfd", ErrGone)
		return
	}
	s := newSockets(t.detail(p))
	err := handle.with(func(pidfd int) error { return h.examine(ctx, pidfd, p, s) })
	if errors.Is(err, errRefused) {
		h.lookInTables(ctx, t, p, err)
		return
	}
	if err != nil {
		p.Err = readError("descriptors", procPath(p.PID, "fd"), err)
		return
	}
	p.Sockets = s
}

// errRefused is a pidfd_getfd that the kernel does not let us make at all.
var errRefused = errors.New("pidfd_getfd is refused")

// detail is how much a look tells of connections.
type detail int

const (
	listenersOnly detail = iota
	connectionCounts
	connectionPeers
)

func (t *Tables) detail(p *Process) detail {
	switch {
	case t.Peers:
		return connectionPeers
	case t.Counted[p.ProcID]:
		return listenersOnly
	}
	return connectionCounts
}

func newSockets(d detail) *Sockets {
	s := &Sockets{Proof: true, Inodes: map[uint64]bool{}, detail: d}
	if d != listenersOnly {
		s.Ports, s.Unix = map[uint16]PortUse{}, map[string]int{}
	}
	return s
}

// holesInARow is after how many descriptors that are not open the next one that
// is open is asked for: a table is up to half empty, and each hole costs a call.
const holesInARow = 8

// examine judges the sockets among the descriptors of the process behind a pidfd.
func (h *Host) examine(ctx context.Context, pidfd int, p *Process, s *Sockets) error {
	var info unix.TCPInfo
	return h.eachDescriptor(ctx, pidfd, p, func(fd, dup int) error {
		k, err := readSocket(h.kernel, dup, s.detail, &info)
		if err == nil {
			s.judge(k)
		}
		return err
	})
}

// eachDescriptor shows every descriptor of the process behind a pidfd, by a
// duplicate that is closed again at once. One that is no socket (ENOTSOCK) is
// passed over; any other error ends it.
func (h *Host) eachDescriptor(ctx context.Context, pidfd int, p *Process, show func(fd, dup int) error) error {
	holes := 0
	for fd := 0; fd < p.FDSize; fd++ {
		if fd%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if holes == holesInARow {
			holes = 0
			if fd = h.nextOpen(p, fd); fd >= p.FDSize {
				break
			}
		}
		dup, err := h.kernel.PidfdGetfd(pidfd, fd)
		switch {
		case errors.Is(err, unix.EBADF):
			holes++ // or closed by now
			continue
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS):
			return fmt.Errorf("%w: %w", errRefused, err)
		case err != nil:
			return fmt.Errorf("pidfd_getfd of descriptor %d: %w", fd, err)
		}
		holes = 0
		err = show(fd, dup)
		if closeErr := h.kernel.Close(dup); err == nil {
			err = closeErr
		}
		if err != nil && !errors.Is(err, unix.ENOTSOCK) {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// nextOpen is the first open descriptor from one on, FDSize when there is none,
// and that very one when nobody tells.
func (h *Host) nextOpen(p *Process, from int) int {
	fds, err := h.kernel.OpenDescriptors(p.PID, from)
	switch {
	case err != nil:
		return from
	case len(fds) == 0:
		return p.FDSize
	}
	return fds[0]
}

// readSocket reads what judge needs to know of a descriptor of our own, with as
// few calls as its kind allows; info is scratch space. ENOTSOCK is none.
func readSocket(k Kernel, fd int, d detail, info *unix.TCPInfo) (socket, error) {
	// Nearly all are TCP connections, and whether a TCP socket accepts is its
	// state (SO_ACCEPTCONN of the kernel's says the same): one call for both.
	switch err := k.TCPInfo(fd, info); {
	case err == nil:
		return readTCP(k, fd, d, info)
	case !errors.Is(err, unix.ENOPROTOOPT) && !errors.Is(err, unix.EOPNOTSUPP):
		return socket{}, err
	}
	var s socket
	accepts, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return s, err
	}
	s.listening = accepts != 0
	if s.local, err = k.SockName(fd); err != nil {
		return s, err
	}
	s.family = s.local.Family
	switch s.family {
	case unix.AF_INET, unix.AF_INET6, unix.AF_UNIX:
		if s.kind, err = k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && !s.listening {
			err = s.readPeer(k, fd)
		}
	}
	if err == nil {
		s.inode, err = k.Inode(fd)
	}
	return s, err
}

// readTCP reads the rest of a TCP socket: the inode only of one that is noted,
// the address only where it is counted by it.
func readTCP(k Kernel, fd int, d detail, info *unix.TCPInfo) (s socket, err error) {
	s.setInfo(info)
	s.listening = s.state == unix.BPF_TCP_LISTEN
	if d == listenersOnly && !s.listening && s.state != unix.BPF_TCP_CLOSE {
		s.tcp = true
		return s, nil
	}
	if s.local, err = k.SockName(fd); err != nil {
		return s, err
	}
	s.family = s.local.Family
	s.tcp = s.family == unix.AF_INET || s.family == unix.AF_INET6
	switch {
	case s.listening, s.state == unix.BPF_TCP_CLOSE:
		s.inode, err = k.Inode(fd)
	case d == connectionPeers && s.state == unix.BPF_TCP_ESTABLISHED:
		if err = s.readPeer(k, fd); !s.connected {
			s.state = unix.BPF_TCP_CLOSE_WAIT // it has ended in between
		}
	}
	return s, err
}

func (s *socket) setInfo(info *unix.TCPInfo) {
	s.state = info.State
	s.carried = info.Segs_in != 0 || info.Segs_out != 0
	s.idle = time.Duration(min(info.Last_data_sent, info.Last_data_recv)) * time.Millisecond
	s.bytes = info.Bytes_acked + info.Bytes_received
}

func (s *socket) readPeer(k Kernel, fd int) (err error) {
	s.peer, err = k.PeerName(fd)
	s.connected = err == nil
	if errors.Is(err, unix.ENOTCONN) {
		return nil
	}
	return err
}
