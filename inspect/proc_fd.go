package inspect

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ExamineSockets examines every descriptor of a process: it duplicates one at a
// time by pidfd_getfd(2), asks the kernel what it is, and closes it at once, for
// while a duplicate lives the owner's close is not the last. It costs about 2 us
// a descriptor whatever the number of sockets on the host, is right across
// network namespaces, and proves that a process does not listen. Needs
// CAP_SYS_PTRACE and Linux 5.6; where the kernel refuses the call (a seccomp
// filter, Yama's ptrace_scope 3, an older kernel), or the call would change the
// sockets (Process.SocketClass), the tables stand in for it. The result, or the
// error, is left in p.
func (h *Host) ExamineSockets(ctx context.Context, t *Tables, p *Process) {
	if h.LeavesAlone(p) {
		h.FindListener(t, p)
		return
	}
	h.patiently(ctx, p, func(p *Process) { h.examineSockets(ctx, t, p) })
}

func (h *Host) examineSockets(ctx context.Context, t *Tables, p *Process) {
	s := newSockets(t.detail(p))
	err := h.examine(ctx, t, p, s)
	if errors.Is(err, errRefused) {
		s, err = h.lookInTables(ctx, t, p, err)
	}
	if err == nil {
		// It comes last: tables that are one now were one all the time.
		s.Apart, err = h.apart(ctx, p)
		s.Proof = s.Apart == 0
	}
	if err != nil {
		p.Err = readError("descriptors", procPath(p.PID, "fd"), err)
		return
	}
	p.Sockets = s
}

// errRefused is a pidfd_getfd that the kernel does not let us make at all, or that
// we may not make.
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
		s.Ends = map[End]Use{}
	}
	return s
}

// holesInARow is after how many descriptors that are not open the next one that
// is open is asked for: a table is up to half empty, and each hole costs a call.
const holesInARow = 8

// examine judges the sockets among the descriptors of a process.
func (h *Host) examine(ctx context.Context, t *Tables, p *Process, s *Sockets) error {
	paths := t.mayBeMPTCP(p, s.detail)
	var info unix.TCPInfo
	return h.touch(ctx, t.class, p, func(_, dup int) error {
		k, err := readSocket(h.kernel, dup, s.detail, &info)
		if err == nil && k.tcp && k.state == unix.BPF_TCP_ESTABLISHED && paths(k.local.IP.Port()) {
			err = k.readMPTCP(h.kernel, dup)
		}
		if err == nil && k.tcp && s.detail != listenersOnly && (k.converses() || k.gone()) {
			k.origin, err = s.originOf(h.kernel, dup, k)
		}
		if err == nil {
			s.judge(k)
		}
		return err
	})
}

// originOf is the origin of a TCP connection. One listener gives all that it
// accepts the same, so an address is asked about until the first connection of it
// that was accepted: a call for each server connection, and none for most clients.
func (s *Sockets) originOf(kernel Kernel, dup int, k socket) (Origin, error) {
	end := k.end()
	end.Origin, end.Gone = OriginAccepted, false
	if s.Ends[end].Connections > 0 {
		return OriginAccepted, nil
	}
	origin, err := readOrigin(kernel, dup, NetworkStream)
	if origin == OriginEither {
		origin = k.opened
	}
	return origin, err
}

// touch shows every descriptor of a process, from the lowest on, by a duplicate.
// class is Process.SocketClass of this program: a duplicate has the socket take it.
func (h *Host) touch(ctx context.Context, class string, p *Process, show func(fd, dup int) error) error {
	if p.SocketClass != class {
		return fmt.Errorf("%w: it would change the class of the sockets, which is that of cgroup v1 %s, to that of %s", errRefused, p.SocketClass, cmp.Or(class, "this program"))
	}
	handle := h.Handle(p.ProcID)
	if handle == nil {
		return ErrGone
	}
	return handle.with(func(pidfd int) error { return h.eachDescriptor(ctx, pidfd, p, show) })
}

// eachDescriptor shows every descriptor of the process behind a pidfd, by a
// duplicate that is closed again at once. One that is no socket (ENOTSOCK) is
// passed over; any other error ends it. Of a stranger's process no descriptor is
// duplicated that is no socket by its link. If it became one since, the duplicate stays
// open, see LeavesAlone.
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
		if p.Stranger {
			if h.kept.Load() >= strangersLate {
				return errNoSocket
			}
			if link, err := h.kernel.Readlink(procPath(p.PID, "fd/"+strconv.Itoa(fd))); err == nil && !strings.HasPrefix(link, "socket:") {
				holes = 0
				continue
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
		if p.Stranger && errors.Is(err, unix.ENOTSOCK) {
			h.kept.Add(1)
			return errNoSocket
		}
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
	if err == nil && s.family != unix.AF_UNIX && s.kind == unix.SOCK_DGRAM {
		s.origin, err = readOrigin(k, fd, NetworkDatagram)
	}
	if err == nil && (s.listening || s.origin == OriginAccepted && !s.connected) {
		err = s.readListener(k, fd)
	}
	if err == nil {
		s.inode, err = k.Inode(fd)
	}
	return s, err
}

// readListener asks whether HAProxy can have accepted through a socket: on each
// of its listeners, inherited ones too, it sets O_NONBLOCK before it polls it
// (1.8 to 3.4). systemd passes descriptors without it, unless the service says
// NonBlocking=yes (systemd.service(5)). The flag is the socket's: where one unit passes
// a socket to two services, the start of the second one takes it from the first. And it
// asks whether a listener of IPv6 takes IPv4, which one of MPTCP may not tell.
func (s *socket) readListener(k Kernel, fd int) error {
	flags, err := k.StatusFlags(fd)
	s.blocking = flags&unix.O_NONBLOCK == 0
	if err != nil || s.family != unix.AF_INET6 {
		return err
	}
	v6only, err := k.SockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	s.v6only = v6only != 0
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// readTCP reads the rest of a TCP socket: the inode only of one that is noted,
// the address only where it is counted by it.
func readTCP(k Kernel, fd int, d detail, info *unix.TCPInfo) (s socket, err error) {
	s.setInfo(info)
	s.tcp = true
	s.listening = s.state == unix.BPF_TCP_LISTEN
	mayBePaused := s.state == unix.BPF_TCP_CLOSE && !s.carried
	if d == listenersOnly && !s.listening && !mayBePaused {
		return s, nil
	}
	if s.local, err = k.SockName(fd); err != nil {
		return s, err
	}
	s.family = s.local.Family
	s.tcp = s.family == unix.AF_INET || s.family == unix.AF_INET6
	if s.tcp && s.state != unix.BPF_TCP_ESTABLISHED {
		if err = s.readMPTCP(k, fd); err != nil {
			return s, err
		}
	}
	switch {
	case s.listening:
		if err = s.readListener(k, fd); err == nil {
			s.inode, err = k.Inode(fd)
		}
	case s.state == unix.BPF_TCP_CLOSE:
		s.inode, err = k.Inode(fd)
	case d == connectionPeers && s.converses() && !s.connected:
		if err = s.readPeer(k, fd); !s.connected {
			s.state, s.carried = unix.BPF_TCP_CLOSE, true // it has ended in between
		}
	}
	return s, err
}

// readMPTCP corrects what TCP_INFO says of an MPTCP socket, which is about its
// first path alone: where that has gone, a connection that goes on looks like a
// paused listener, and any client can bring that about. With a peer it is a
// connection of which nothing is timed. One that has ended, by a reset say, has
// none, as a paused listener has none; it alone has ever got the other side's
// key. One that looks established is a connection anyhow, and is asked only where
// somebody listens for MPTCP: its times are the first path's.
func (s *socket) readMPTCP(k Kernel, fd int) error {
	protocol, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_MPTCP {
		return err
	}
	s.mptcp, s.timed = true, false
	accepts, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if s.listening = accepts != 0; s.listening || err != nil {
		return err
	}
	if err := s.readPeer(k, fd); err != nil {
		return err
	}
	if s.connected {
		s.state = unix.BPF_TCP_ESTABLISHED
		return nil
	}
	s.state, s.carried = unix.BPF_TCP_CLOSE, hasRemoteKey(k, fd)
	return nil
}

// hasRemoteKey tells an MPTCP socket that was a connection, by the flags of its
// MPTCP_INFO (linux/mptcp.h, 5.16); false where the kernel does not tell.
func hasRemoteKey(k Kernel, fd int) bool {
	const (
		solMPTCP          = 284
		mptcpInfo         = 1
		flags             = 8 // its place in struct mptcp_info
		remoteKeyReceived = 1 << 1
	)
	info := make([]byte, flags+4)
	n, err := k.SockoptBytes(fd, solMPTCP, mptcpInfo, info)
	return err == nil && n == len(info) && binary.NativeEndian.Uint32(info[flags:])&remoteKeyReceived != 0
}

func (s *socket) setInfo(info *unix.TCPInfo) {
	s.state = info.State
	s.carried = info.Segs_in != 0 || info.Segs_out != 0
	s.idle = time.Duration(min(info.Last_data_sent, info.Last_data_recv)) * time.Millisecond
	s.bytes = info.Bytes_acked + info.Bytes_received
	s.timed = true
	s.opened = openedBy(info)
}

// openedBy tells which side opened a TCP connection, as far as its counters do: the
// kernel counts the SYN of the side that connects among the bytes that were
// acknowledged (tcp_ack in tcp_rcv_synsent_state_process), and not that of the other.
// A FIN counts on both sides, and what is under way hides it.
func openedBy(info *unix.TCPInfo) Origin {
	switch info.State {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_CLOSE_WAIT:
	default:
		return OriginEither
	}
	switch unacknowledged := info.Bytes_sent - info.Bytes_retrans - info.Bytes_acked; {
	case unacknowledged == math.MaxUint64: // one less than none
		return OriginSource
	case unacknowledged == 0 && info.Unacked == 0:
		return OriginPassed
	}
	return OriginEither
}

func (s *socket) readPeer(k Kernel, fd int) (err error) {
	s.peer, err = k.PeerName(fd)
	s.connected = err == nil
	if errors.Is(err, unix.ENOTCONN) {
		return nil
	}
	return err
}
