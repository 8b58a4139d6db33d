package inspect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoCLI says that an instance has no master CLI that we could ask. What wraps
// it says why.
var ErrNoCLI = errors.New("no master CLI")

// ErrCLIRule says that a rule keeps a master CLI from being asked. What wraps it
// says which rule.
var ErrCLIRule = errors.New("master CLI not asked")

// cliPlace is where a master's CLI listens.
type cliPlace struct {
	network string // "unix" or "tcp"
	address string // a path, an abstract name ("@" first), or an address with a port
	// root is the directory that a path is followed in, as if it were the root: that
	// of the master. It is "" for our own, where the operator named the path.
	root string
}

// isPath tells the path of a unix socket from all else.
func (c cliPlace) isPath() bool { return c.network == "unix" && !strings.HasPrefix(c.address, "@") }

// cliPlace finds where a master's CLI listens. A path is followed from the
// master's root directory. An abstract or TCP address only means something in the
// master's network namespace. The error wraps ErrNoCLI.
func (h *Host) cliPlace(s Snapshot, master *Process, socket string) (cliPlace, error) {
	switch {
	case socket == "none":
		return cliPlace{}, ErrNoCLI
	case socket != "":
		return cliPlace{network: "unix", address: socket}, nil
	case master.Command.MasterSocket == "":
		return cliPlace{}, ErrNoCLI
	}
	network, address, err := parseMasterSocket(master.Command.MasterSocket)
	if err != nil {
		return cliPlace{}, fmt.Errorf("%w: -S %s %w", ErrNoCLI, master.Command.MasterSocket, err)
	}
	place := cliPlace{network: network, address: address}
	switch {
	case !place.isPath() && master.NetNS != s.NetNS:
		return cliPlace{}, fmt.Errorf("%w: %s is in another network namespace", ErrNoCLI, ShownName(address))
	case !place.isPath():
		return place, nil
	case !path.IsAbs(address):
		dir, err := h.workingDir(master.PID)
		if err != nil || dir == "" {
			return cliPlace{}, fmt.Errorf("%w: %s is relative, and the master's working directory is not known", ErrNoCLI, address)
		}
		place.address = path.Join(dir, address)
	}
	place.root = procPath(master.PID, "root")
	return place, nil
}

// connect connects to a master's CLI, if the rules allow it. The arguments of a
// process are its user's choice, and this program has privileges that the user
// lacks. So:
//
//   - The master runs as root or as our own user. Where the operator named the
//     socket, it may also run as the user that owns that socket.
//   - A path is followed in the master's own root directory and never leaves it.
//     What it leads to is a socket, which belongs to the master's user if that is
//     not root. What was checked is what is connected to (O_PATH).
//   - The master itself listens at a TCP address: any user may listen there as
//     soon as the master does not, and answer in its place.
//   - The process that listens on a unix socket is the master, or one of its user's
//     that has gone: with -D the process that HAProxy forked the master from.
//
// The error wraps ErrCLIRule where a rule does not hold.
func (h *Host) connect(ctx context.Context, master *Process, place cliPlace, held masterSockets) (net.Conn, error) {
	trusted := master.UID == 0 || master.UID == h.kernel.Euid()
	untrusted := fmt.Errorf("%w: the master runs as %s, which is neither root nor the user of this program", ErrCLIRule, master.User)
	switch {
	case master.Err != nil:
		return nil, fmt.Errorf("%w: not every fact of the master could be read", ErrCLIRule)
	case !trusted && place.root != "", !trusted && !place.isPath():
		return nil, untrusted
	case place.network == "tcp" && !held.listensAt(place.address):
		return nil, fmt.Errorf("%w: the master is not seen to listen at %s", ErrCLIRule, place.address)
	case !place.isPath():
		return h.dial(ctx, master, place, place.address)
	}
	fd, err := h.kernel.OpenIn(place.root, place.address)
	if err != nil {
		return nil, err
	}
	defer h.kernel.Close(fd)
	mode, owner, err := h.kernel.ModeAndOwner(fd)
	switch {
	case err != nil:
		return nil, err
	case h.Exited(master.ProcID): // the root directory may have been another process's
		return nil, ErrGone
	case mode&unix.S_IFMT != unix.S_IFSOCK:
		return nil, fmt.Errorf("%w: %s is no socket", ErrCLIRule, place.address)
	case !trusted && owner != master.UID:
		return nil, untrusted
	case master.UID != 0 && owner != master.UID:
		return nil, fmt.Errorf("%w: %s belongs to another user than the master", ErrCLIRule, place.address)
	}
	return h.dial(ctx, master, place, "/proc/self/fd/"+strconv.Itoa(fd))
}

// dial connects to an address, and verifies who listens on a unix socket before a
// byte is sent.
func (h *Host) dial(ctx context.Context, master *Process, place cliPlace, address string) (net.Conn, error) {
	conn, err := h.kernel.Dial(ctx, place.network, address)
	if err != nil || place.network != "unix" {
		return conn, err
	}
	if err := h.checkPeer(conn, master, place); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// checkPeer verifies the process that listens on a unix socket, by its credentials
// at that time (SO_PEERCRED of unix(7)).
func (h *Host) checkPeer(conn net.Conn, master *Process, place cliPlace) error {
	pid, uid, err := h.kernel.PeerCred(conn)
	switch {
	case err != nil:
		return err
	case uid != master.UID:
		return fmt.Errorf("%w: the process that listens at %s runs as another user than the master", ErrCLIRule, ShownName(place.address))
	case pid == master.PID:
		return nil
	}
	if _, err := h.kernel.ReadFile(procPath(pid, "stat"), factLimit); pid != 0 && isGone(err) {
		return nil
	}
	return fmt.Errorf("%w: the one at %s belongs to process %d", ErrNoCLI, ShownName(place.address), pid)
}

// masterSockets are the stream sockets of a master.
type masterSockets struct {
	listens []netip.AddrPort // where it listens by TCP
	// connections are those that have a name of their own: the connections of its
	// CLI. Those to its workers are pairs without a name.
	connections int
}

// listensAt tells whether one listens at an address with a port.
func (m masterSockets) listensAt(address string) bool {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	for _, l := range m.listens {
		wide := l.Addr().IsUnspecified() && (l.Addr().Is6() || at.Addr().Is4())
		if l.Port() == at.Port() && (wide || samePlace(l, at)) {
			return true
		}
	}
	return false
}

// masterSockets examines the descriptors of a master, which are few. A connection
// that HAProxy has forgotten is among them.
func (h *Host) masterSockets(ctx context.Context, master *Process) (m masterSockets, err error) {
	err = h.touch(ctx, h.SocketClass(), master, func(_, dup int) error {
		kind, err := h.kernel.SockoptInt(dup, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || kind != unix.SOCK_STREAM {
			return err
		}
		name, err := h.kernel.SockName(dup)
		if err != nil {
			return err
		}
		accepts, err := h.kernel.SockoptInt(dup, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		switch {
		case err != nil:
		case accepts != 0 && name.IP.IsValid():
			m.listens = append(m.listens, name.IP)
		case accepts == 0 && (name.Path != "" || name.IP.IsValid() && name.IP.Port() != 0):
			m.connections++
		}
		return err
	})
	return m, err
}

// parseMasterSocket reads an address as HAProxy's -S takes it, and returns where
// to connect to: network "unix" with a path or an abstract name ("@" first), or
// "tcp" with the number of an address and a port. No name is ever left to be
// looked up. The error reads on from the address, and says why it leads nowhere.
// The grammar is that of HAProxy's str2sa_range (management.txt, "-S";
// configuration.txt, "bind"), tried on 2.2 to 3.4.
func parseMasterSocket(text string) (network, address string, err error) {
	if strings.HasPrefix(text, "/") {
		return "unix", text, nil
	}
	if strings.Contains(text, "$") {
		return "", "", errors.New("holds a variable of HAProxy's environment")
	}
	family, rest, found := strings.Cut(strings.TrimPrefix(text, "stream+"), "@")
	if !found {
		family, rest = "", family
	}
	switch family {
	case "unix", "uxst":
		return "unix", rest, nil
	case "abns":
		// HAProxy pads an abstract name with NULs to the whole of sun_path.
		const name = 107
		return "unix", "@" + rest + strings.Repeat("\x00", max(0, name-len(rest))), nil
	case "abnsz":
		return "unix", "@" + rest, nil
	case "", "ip", "ipv4", "tcp", "tcp4", "mptcp", "mptcp4":
		address, err = parseTCP(rest, "127.0.0.1")
		return "tcp", address, err
	case "ipv6", "tcp6", "mptcp6":
		address, err = parseTCP(rest, "::1")
		return "tcp", address, err
	case "fd", "sockpair":
		return "", "", errors.New("is a descriptor, and does not tell its address")
	}
	return "", "", errors.New("is of no kind that is known")
}

// parseTCP reads an address with a port, which stands behind the last colon, and
// returns one that net.Dial looks up by no name. Of a master that listens on every
// address any is HAProxy's: loopback then.
func parseTCP(text, loopback string) (string, error) {
	colon := strings.LastIndexByte(text, ':')
	port, err := strconv.ParseUint(text[colon+1:], 10, 16)
	if colon < 0 || err != nil || port == 0 {
		return "", errors.New("has no port of its own")
	}
	host := strings.TrimSuffix(strings.TrimPrefix(text[:colon], "["), "]")
	if host == "" || host == "*" {
		host = loopback
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "", errors.New("is by the name of a host, which is not looked up")
	case ip == netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case ip.IsUnspecified():
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, uint16(port)).String(), nil
}
