package inspect

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// States of a socket as sock_diag numbers them, for every family and protocol.
const (
	stateEstablished = 1
	stateClose       = 7
	stateListen      = 10
)

// dumpListening is every socket in LISTEN in our network namespace, by inode:
// TCP, and unix stream and seqpacket. The kernel picks them, so it costs nothing
// that grows with connections. A kernel without unix_diag leaves out the unix
// sockets.
func dumpListening(k Kernel) (map[uint64]Listener, error) {
	d, err := openDiag(k)
	if err != nil {
		return nil, err
	}
	defer d.close()
	found := map[uint64]Listener{}
	if err := d.inet(unix.IPPROTO_TCP, stateListen, nil, func(s inetSocket) {
		found[s.inode] = s.listener("tcp")
	}); err != nil {
		return nil, err
	}
	err = d.unix(stateListen, func(s unixSocket) {
		found[s.inode] = Listener{Network: "unix", Address: s.path, Inode: s.inode}
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	return found, nil
}

// dumpUDP is every bound and unconnected UDP socket in our network namespace, by
// inode. Whether one is a listener or a client no dump tells.
func dumpUDP(k Kernel) (map[uint64]Listener, error) {
	d, err := openDiag(k)
	if err != nil {
		return nil, err
	}
	defer d.close()
	found := map[uint64]Listener{}
	err = d.inet(unix.IPPROTO_UDP, stateClose, nil, func(s inetSocket) {
		if s.local.Port() != 0 {
			found[s.inode] = s.listener("udp")
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// countEstablished counts the established TCP connections of our network
// namespace by local port, for the given ports. The kernel filters them, and
// memory stays the same however many there are.
func countEstablished(k Kernel, ports []uint16) (map[uint16]int, error) {
	counts := make(map[uint16]int, len(ports))
	for _, port := range ports {
		counts[port] = 0
	}
	if len(counts) == 0 {
		return counts, nil
	}
	d, err := openDiag(k)
	if err != nil {
		return nil, err
	}
	defer d.close()
	err = d.inet(unix.IPPROTO_TCP, stateEstablished, localPortFilter(ports), func(s inetSocket) {
		// The filter may let more through than was asked for.
		if n, wanted := counts[s.local.Port()]; wanted {
			counts[s.local.Port()] = n + 1
		}
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}

// inetSocket is what is used of a struct inet_diag_msg.
type inetSocket struct {
	local netip.AddrPort
	inode uint64
}

func (s inetSocket) listener(network string) Listener {
	return Listener{Network: network, Address: s.local.String(), Port: s.local.Port(), Inode: s.inode}
}

// inet dumps the IPv4 sockets of a protocol in one state, then the IPv6 ones,
// which include those that serve IPv4 through mapped addresses.
func (d *diagSocket) inet(protocol, state uint8, filter []byte, visit func(inetSocket)) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := d.dump(inetRequest(family, protocol, state, filter), func(payload []byte) error {
			s, err := parseInetDiag(payload)
			if err == nil {
				visit(s)
			}
			return err
		})
		if err != nil {
			return readError("internet sockets", "sock_diag", err)
		}
	}
	return nil
}

// inetRequest is a struct inet_diag_req_v2, and the filter as its attribute
// INET_DIAG_REQ_BYTECODE.
func inetRequest(family, protocol, state uint8, filter []byte) []byte {
	const inetDiagReqBytecode = 1
	b := make([]byte, 56)
	b[0], b[1] = family, protocol
	binary.NativeEndian.PutUint32(b[4:], 1<<state)
	if len(filter) > 0 {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(filter)))
		b = binary.NativeEndian.AppendUint16(b, inetDiagReqBytecode)
		b = append(b, filter...)
	}
	return b
}

// parseInetDiag reads a struct inet_diag_msg; attributes may follow it.
func parseInetDiag(b []byte) (inetSocket, error) {
	if len(b) < 72 {
		return inetSocket{}, errMessageCut
	}
	s := inetSocket{inode: uint64(binary.NativeEndian.Uint32(b[68:]))}
	port := binary.BigEndian.Uint16(b[4:])
	switch b[0] {
	case unix.AF_INET:
		s.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[8:12])), port)
	case unix.AF_INET6:
		s.local = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), port)
	default:
		return inetSocket{}, errors.New("internet socket of another family")
	}
	return s, nil
}

// unixSocket is what is used of a struct unix_diag_msg.
type unixSocket struct {
	path  string // as SockAddr.Path
	inode uint64
}

// unix dumps the unix sockets in one state.
func (d *diagSocket) unix(state uint8, visit func(unixSocket)) error {
	err := d.dump(unixRequest(state), func(payload []byte) error {
		s, err := parseUnixDiag(payload)
		if err == nil {
			visit(s)
		}
		return err
	})
	if err != nil {
		return readError("unix sockets", "sock_diag", err)
	}
	return nil
}

// unixRequest is a struct unix_diag_req that asks for the names.
func unixRequest(state uint8) []byte {
	const udiagShowName = 1
	b := make([]byte, 24)
	b[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(b[4:], 1<<state)
	binary.NativeEndian.PutUint32(b[12:], udiagShowName)
	return b
}

// parseUnixDiag reads a struct unix_diag_msg and the attribute UNIX_DIAG_NAME,
// which an unnamed socket lacks.
func parseUnixDiag(b []byte) (unixSocket, error) {
	const unixDiagName = 0
	if len(b) < 16 {
		return unixSocket{}, errMessageCut
	}
	if b[0] != unix.AF_UNIX {
		return unixSocket{}, errors.New("unix socket of another family")
	}
	name, err := netlinkAttribute(b[16:], unixDiagName)
	if err != nil {
		return unixSocket{}, err
	}
	return unixSocket{path: unixPath(name), inode: uint64(binary.NativeEndian.Uint32(b[4:]))}, nil
}
