package inspect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// askTimeout bounds everything that is asked of one master: a stopped master
// accepts a connection and never answers.
const askTimeout = time.Second

// ErrNoCLI says that an instance has no master CLI that we could ask. What wraps
// it says why.
var ErrNoCLI = errors.New("no master CLI")

// AskMaster asks a master's CLI about its workers and leaves each one's answer
// in its CLI field. socket is an address of our own root directory, "" for the
// one in the master's arguments (-S), or "none".
//
// An error means that the CLI is no witness: there is none, it does not answer
// (HAProxy up to 3.0 closes it during a reload), or it is another master's. A
// worker that does not answer, being wedged, has no CLI field, and no error.
func (h *Host) AskMaster(ctx context.Context, s Snapshot, master *Process, workers []*Process, socket string) error {
	network, address, err := h.cliAddress(s, master, socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cli := MasterCLI{Kernel: h.kernel, Network: network, Address: address}
	table, err := cli.Proc(ctx)
	if err != nil {
		return err
	}
	if table.master != master.NSPID {
		return fmt.Errorf("%w: the one at %s belongs to process %d", ErrNoCLI, address, table.master)
	}
	// One that does not answer, being wedged, is no failure of the master's.
	_ = eachWorker(workers, func(w *Process) error {
		if !w.Signals.Ready() {
			return nil // a starting worker may not answer at all
		}
		answer, err := cli.Info(ctx, w.NSPID)
		if err == nil {
			w.CLI = &answer
		}
		return err
	})
	return nil
}

// eachWorker asks several workers at once, but not too many: a master takes ten
// connections.
func eachWorker(workers []*Process, ask func(*Process) error) error {
	var wg sync.WaitGroup
	limit := make(chan struct{}, 4)
	errs := make([]error, len(workers))
	for i, w := range workers {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			errs[i] = ask(w)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// cliAddress finds where a master's CLI listens. A path is the master's own, so
// it is followed from its root or working directory; an abstract or TCP address
// only means something in its network namespace. The error wraps ErrNoCLI.
func (h *Host) cliAddress(s Snapshot, master *Process, socket string) (network, address string, err error) {
	if socket == "none" {
		return "", "", ErrNoCLI
	}
	if socket != "" {
		return "unix", socket, nil
	}
	text := master.Command.MasterSocket
	if text == "" {
		return "", "", ErrNoCLI
	}
	network, address, err = parseMasterSocket(text)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("%w: -S %s %w", ErrNoCLI, text, err)
	case network == "unix" && strings.HasPrefix(address, "/"):
		address = procPath(master.PID, "root") + address
	case network == "unix" && !strings.HasPrefix(address, "@"):
		address = procPath(master.PID, "cwd/") + address
	case master.NetNS != s.NetNS:
		return "", "", fmt.Errorf("%w: %s is in another network namespace", ErrNoCLI, ShownName(address))
	}
	return network, address, nil
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

// EachConnection visits the local address of each connection of our own network
// namespace, TCP or UDP, that some process holds and whose local port is one of
// those given; and perhaps of some others.
func (h *Host) EachConnection(network Network, ports map[uint16]bool, visit func(local netip.AddrPort)) error {
	protocol := uint32(unix.IPPROTO_TCP)
	if network == NetworkDatagram {
		protocol = unix.IPPROTO_UDP
	}
	if err := eachConnection(h.kernel, protocol, slices.Sorted(maps.Keys(ports)), visit); err != nil {
		return readError("connections", "sock_diag", err)
	}
	return nil
}
