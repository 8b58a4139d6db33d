package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// LookThoroughly examines every descriptor of a process: it duplicates one at a
// time by pidfd_getfd(2), asks the kernel what it is, and closes it at once, for
// while a duplicate lives the owner's close is not the last. It costs about 2 us
// a descriptor whatever the number of sockets on the host, is right across
// network namespaces, and is the only proof that a process does not listen.
// Needs CAP_SYS_PTRACE and Linux 5.6. The result, or the error, is left in p.
func (h *Host) LookThoroughly(ctx context.Context, p *Process) {
	handle := h.Handle(p.ProcID)
	if handle == nil {
		p.Err = readError("descriptors", "pidfd_getfd", ErrGone)
		return
	}
	s := &Sockets{Proof: true, Inodes: map[uint64]bool{}, Ports: map[uint16]PortUse{}, Unix: map[string]int{}}
	err := handle.with(func(pidfd int) error {
		for fd := range p.FDSize {
			if fd%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			dup, err := h.kernel.PidfdGetfd(pidfd, fd)
			if errors.Is(err, unix.EBADF) {
				continue // a hole
			}
			if err != nil {
				return fmt.Errorf("pidfd_getfd of descriptor %d: %w", fd, err)
			}
			err = s.examine(h.kernel, dup)
			if closeErr := h.kernel.Close(dup); err == nil {
				err = closeErr
			}
			if err != nil {
				return fmt.Errorf("descriptor %d: %w", fd, err)
			}
		}
		return nil
	})
	if err != nil {
		p.Err = readError("descriptors", procPath(p.PID, "fd"), err)
		return
	}
	p.Sockets = s
}

// examine adds one descriptor, a duplicate of the process's, to what is known
// of its sockets.
func (s *Sockets) examine(k Kernel, fd int) error {
	accepts, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if errors.Is(err, unix.ENOTSOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	local, err := k.SockName(fd)
	if err != nil {
		return err
	}
	if accepts != 0 {
		return s.note(&s.Listening, k, fd, "tcp", local)
	}
	switch local.Family {
	case unix.AF_INET, unix.AF_INET6:
		return s.examineIP(k, fd, local)
	case unix.AF_UNIX:
		return s.examineUnix(k, fd, local)
	case unix.AF_NETLINK:
		return nil // asks the kernel things, takes no connections
	}
	s.Unclassified = append(s.Unclassified, fmt.Sprintf("socket of address family %d", local.Family))
	return nil
}

// examineIP judges a TCP or UDP socket that is not in LISTEN.
func (s *Sockets) examineIP(k Kernel, fd int, local SockAddr) error {
	var info unix.TCPInfo
	switch err := k.TCPInfo(fd, &info); {
	case err == nil:
		return s.examineTCP(k, fd, local, &info)
	case !errors.Is(err, unix.ENOPROTOOPT) && !errors.Is(err, unix.EOPNOTSUPP):
		return err
	}
	kind, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if kind != unix.SOCK_DGRAM {
		s.Unclassified = append(s.Unclassified, fmt.Sprintf("IP socket of type %d on %s", kind, local))
		return nil
	}
	peer, err := k.PeerName(fd)
	switch {
	case errors.Is(err, unix.ENOTCONN) && local.IP.Port() == 0:
		return nil // a client that has sent nothing yet
	case errors.Is(err, unix.ENOTCONN):
		return s.note(&s.Bound, k, fd, "udp", local)
	case err != nil:
		return err
	case samePlace(local.IP, peer.IP):
		// HAProxy pauses a datagram listener by connecting it to itself.
		return s.note(&s.Paused, k, fd, "udp", local)
	}
	s.count(local.IP.Port(), 0)
	return nil
}

// examineTCP judges a TCP socket by its state (tcp(7), include/net/tcp_states.h).
func (s *Sockets) examineTCP(k Kernel, fd int, local SockAddr, info *unix.TCPInfo) error {
	switch info.State {
	case unix.BPF_TCP_ESTABLISHED:
		s.count(local.IP.Port(), time.Duration(min(info.Last_data_sent, info.Last_data_recv))*time.Millisecond)
	case unix.BPF_TCP_CLOSE:
		// A listener paused by SIGTTOU is disconnected and keeps its port. So does a
		// connection that was reset, but only that has ever carried a segment; and
		// an outgoing socket before its connect has no port.
		if info.Segs_in == 0 && info.Segs_out == 0 && local.IP.Port() != 0 {
			return s.note(&s.Paused, k, fd, "tcp", local)
		}
	}
	return nil
}

// examineUnix judges a unix socket that is not in LISTEN.
func (s *Sockets) examineUnix(k Kernel, fd int, local SockAddr) error {
	kind, err := k.SockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if kind == unix.SOCK_DGRAM {
		if local.Path != "" {
			s.Unclassified = append(s.Unclassified, "unix datagram socket bound to "+local.Path)
		}
		return nil // unnamed: a log client
	}
	_, err = k.PeerName(fd)
	switch {
	case errors.Is(err, unix.ENOTCONN) && local.Path == "":
		return nil // not connected yet
	case errors.Is(err, unix.ENOTCONN):
		return s.note(&s.Paused, k, fd, "unix", local)
	case err != nil:
		return err
	}
	s.Unix[local.Path]++
	return nil
}

// note adds a socket with its inode to a list.
func (s *Sockets) note(list *[]Listener, k Kernel, fd int, network string, local SockAddr) error {
	inode, err := k.Inode(fd)
	if err != nil {
		return err
	}
	if local.Family == unix.AF_UNIX {
		network = "unix"
	}
	s.Inodes[inode] = true
	*list = append(*list, Listener{Network: network, Address: local.String(), Port: local.IP.Port(), Inode: inode})
	return nil
}

// count adds a connection to the sum of its local port.
func (s *Sockets) count(port uint16, idle time.Duration) {
	use, seen := s.Ports[port]
	if !seen || idle < use.MinIdle {
		use.MinIdle = idle
	}
	use.MaxIdle = max(use.MaxIdle, idle)
	use.Connections++
	s.Ports[port] = use
}

// samePlace compares two addresses as the kernel means them: 127.0.0.1 and
// ::ffff:127.0.0.1 are one.
func samePlace(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Unmap() == b.Addr().Unmap()
}
