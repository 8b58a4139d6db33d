package inspect

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// States of a socket as sock_diag numbers them, for every family and protocol.
const (
	stateEstablished = 1
	stateFinWait1    = 4
	stateFinWait2    = 5
	stateClose       = 7
	stateCloseWait   = 8
	stateListen      = 10
)

// conversing are the states of socket.converses, without that of a handshake.
const conversing = 1<<stateEstablished | 1<<stateFinWait1 | 1<<stateFinWait2 | 1<<stateCloseWait

// allStates is a set of every state, of which 1 << stateListen has one.
const allStates = 1<<13 - 1

// dumpListening is every socket in LISTEN in our network namespace, by inode:
// TCP, MPTCP, and unix stream and seqpacket. The kernel picks them, so it costs
// nothing that grows with connections of TCP. It walks all unix sockets, at some
// 0.15 us each. A kernel without unix_diag leaves out the unix sockets. Which of
// them are of MPTCP tells one since 5.19 with mptcp_diag, where that is asked for.
// More of other users than others allows are errManySockets.
func dumpListening(k Kernel, mptcp bool, others *others) (map[uint64]Listener, error) {
	protocols := []streamProtocol{{unix.IPPROTO_TCP, "tcp"}}
	if mptcp {
		protocols = streamProtocols(k)
	}
	d, err := openDiag(k)
	if err != nil {
		return nil, err
	}
	defer d.close()
	d.others = others
	found := map[uint64]Listener{}
	for _, protocol := range protocols {
		err := d.inet(inetDump{protocol: protocol.number, states: 1 << stateListen}, func(s inetSocket) {
			others.count(s.uid)
			found[s.inode] = s.listener(protocol.network)
		})
		if err != nil && (protocol.number == unix.IPPROTO_TCP || !errors.Is(err, unix.ENOENT)) {
			return nil, err
		}
	}
	err = d.unix(1<<stateListen, func(s unixSocket) {
		others.count(s.uid)
		found[s.inode] = Listener{Network: "unix", Address: s.path, Inode: s.inode}
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	return found, nil
}

// streamProtocol is a protocol of stream sockets with a table of its own.
type streamProtocol struct {
	number  uint32
	network string // the word for it
}

// streamProtocols are TCP, and MPTCP where the kernel has it: a question for a
// protocol that it does not know makes it look for a module each time.
func streamProtocols(k Kernel) []streamProtocol {
	list := []streamProtocol{{unix.IPPROTO_TCP, "tcp"}}
	if on, err := k.ReadFile("/proc/sys/net/mptcp/enabled", 16); err == nil && trimNewline(on) != "0" {
		list = append(list, streamProtocol{unix.IPPROTO_MPTCP, "mptcp"})
	}
	return list
}

// dumpUDP is every UDP socket in our network namespace that is bound, not
// connected, and receives, by inode. The kernel walks those of all network
// namespaces for it, at some 0.15 us each (net/ipv4/udp_diag.c). What does not receive is a log's (see
// socket.receives); what does is a listener, or a resolver's (3.2 and later).
func dumpUDP(k Kernel, others *others) (map[uint64]Listener, error) {
	d, err := openDiag(k)
	if err != nil {
		return nil, err
	}
	defer d.close()
	d.others = others
	found := map[uint64]Listener{}
	err = d.inet(inetDump{protocol: unix.IPPROTO_UDP, states: 1 << stateClose}, func(s inetSocket) {
		others.count(s.uid)
		if s.local.Port() != 0 && !s.deaf {
			l := s.listener("udp")
			l.Unsure = true
			found[s.inode] = l
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// EachConnection visits the local address of each connection of our own network
// namespace, TCP or UDP, that some process holds and whose local port is one of
// those given; and perhaps of some others.
func (h *Host) EachConnection(network Network, ports map[uint16]bool, visit func(local netip.AddrPort)) error {
	protocol := uint32(unix.IPPROTO_TCP)
	if network == NetworkDatagram {
		protocol = unix.IPPROTO_UDP
	}
	if err := eachConnection(h.kernel, protocol, slices.Sorted(maps.Keys(ports)), h.others(), visit); err != nil {
		return readError("connections", "sock_diag", err)
	}
	return nil
}

// eachConnection visits the connections of our network namespace, TCP or UDP,
// that some process holds, with one of some local ports, and perhaps some of
// other ports, which the kernel's filter lets through. It costs the kernel a walk
// over all of its connections, and memory stays the same however many there are.
// One that takes longer than others allows is errManySockets.
func eachConnection(k Kernel, protocol uint32, ports []uint16, others *others, visit func(local netip.AddrPort)) error {
	if len(ports) == 0 {
		return nil
	}
	d, err := openDiag(k)
	if err != nil {
		return err
	}
	defer d.close()
	d.others = others
	return d.inet(inetDump{protocol: protocol, states: conversing, filter: localPortFilter(ports)}, func(s inetSocket) {
		// Without an inode it waits to be accepted, or its process has closed it.
		if s.inode != 0 {
			visit(unmap(s.local))
		}
	})
}

// inetDump says which sockets are wanted, and how much of them.
type inetDump struct {
	protocol uint32
	states   uint32
	filter   []byte // bytecode, nil for all
	info     bool   // with struct tcp_info
}

// inetSocket is what is used of a struct inet_diag_msg.
type inetSocket struct {
	family      uint8
	state       uint8
	local, peer netip.AddrPort
	inode       uint64
	uid         uint32 // of its owner
	deaf        bool   // its reading side is shut down
	v6only      bool   // of one in LISTEN, and of UDP
	info        []byte // struct tcp_info, nil when it was not asked for
}

func (s inetSocket) listener(network string) Listener {
	return Listener{Network: network, Address: s.local.String(), Port: s.local.Port(), Inode: s.inode, V6Only: s.v6only}
}

// socket is the same as a descriptor of it would tell, but for its options.
func (s inetSocket) socket(protocol uint32) socket {
	k := socket{
		family: int(s.family), kind: unix.SOCK_DGRAM, inode: s.inode, state: s.state, deaf: s.deaf, v6only: s.v6only,
		local: SockAddr{Family: int(s.family), IP: s.local}, peer: SockAddr{Family: int(s.family), IP: s.peer},
		connected: s.peer.Port() != 0,
	}
	if protocol == unix.IPPROTO_UDP {
		return k
	}
	k.kind, k.tcp, k.mptcp, k.listening = unix.SOCK_STREAM, true, protocol == unix.IPPROTO_MPTCP, s.state == stateListen
	if !k.mptcp { // whose information is another one
		k.setInfo(parseTCPInfo(s.info))
		k.state = s.state
	}
	return k
}

// parseTCPInfo reads a struct tcp_info, which grows from kernel to kernel: what
// this one does not know is 0, what we do not know is passed over.
func parseTCPInfo(b []byte) *unix.TCPInfo {
	// Six bytes, two of bit fields that Go's struct leaves out, and the rest.
	const bytes, bits = 6, 2
	var info unix.TCPInfo
	whole := make([]byte, binary.Size(info))
	if len(b) > bytes+bits {
		copy(whole[copy(whole, b[:bytes]):], b[bytes+bits:])
	}
	// It has its own size, so nothing can fail.
	_, _ = binary.Decode(whole, binary.NativeEndian, &info)
	return &info
}

// inet dumps the IPv4 sockets that are wanted, then the IPv6 ones, which include
// those that serve IPv4 through mapped addresses.
func (d *diagSocket) inet(want inetDump, visit func(inetSocket)) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err := d.dump(inetRequest(family, want), func(payload []byte) error {
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

// Attributes of an answer (linux/inet_diag.h). That with a struct tcp_info comes
// if bit 1 asks for it, the others unasked: how a socket was shut down, and
// IPV6_V6ONLY of one in LISTEN or CLOSE.
const (
	inetDiagInfo     = 2
	inetDiagShutdown = 8
	inetDiagV6Only   = 11
)

// inetRequest is a struct inet_diag_req_v2, and the filter as its attribute
// INET_DIAG_REQ_BYTECODE. A protocol that its byte does not hold, MPTCP, is the
// attribute INET_DIAG_REQ_PROTOCOL; to a kernel that does not know that, it is
// protocol 0, which has no table.
func inetRequest(family uint8, want inetDump) []byte {
	const (
		inetDiagReqBytecode = 1
		inetDiagReqProtocol = 3
	)
	b := make([]byte, 56)
	b[0] = family
	if want.info {
		b[2] = 1 << (inetDiagInfo - 1)
	}
	binary.NativeEndian.PutUint32(b[4:], want.states)
	if want.protocol <= math.MaxUint8 {
		b[1] = uint8(want.protocol)
	} else {
		b = binary.NativeEndian.AppendUint16(b, 8)
		b = binary.NativeEndian.AppendUint16(b, inetDiagReqProtocol)
		b = binary.NativeEndian.AppendUint32(b, want.protocol)
	}
	if len(want.filter) > 0 {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(want.filter)))
		b = binary.NativeEndian.AppendUint16(b, inetDiagReqBytecode)
		b = append(b, want.filter...)
	}
	return b
}

// parseInetDiag reads a struct inet_diag_msg; attributes may follow it.
func parseInetDiag(b []byte) (inetSocket, error) {
	if len(b) < 72 {
		return inetSocket{}, errMessageCut
	}
	s := inetSocket{family: b[0], state: b[1], uid: binary.NativeEndian.Uint32(b[64:]), inode: uint64(binary.NativeEndian.Uint32(b[68:]))}
	localPort, peerPort := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	switch s.family {
	case unix.AF_INET:
		s.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[8:12])), localPort)
		s.peer = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[24:28])), peerPort)
	case unix.AF_INET6:
		s.local = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), localPort)
		s.peer = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), peerPort)
	default:
		return inetSocket{}, errors.New("internet socket of another family")
	}
	const rcvShutdown = 1 // of sk_shutdown
	shutdown, err := netlinkAttribute(b[72:], inetDiagShutdown)
	if err == nil && len(shutdown) > 0 {
		s.deaf = shutdown[0]&rcvShutdown != 0
	}
	v6only, vErr := netlinkAttribute(b[72:], inetDiagV6Only)
	s.v6only = len(v6only) > 0 && v6only[0] != 0
	var iErr error
	s.info, iErr = netlinkAttribute(b[72:], inetDiagInfo)
	return s, errors.Join(err, vErr, iErr)
}

// unixSocket is what is used of a struct unix_diag_msg.
type unixSocket struct {
	kind  uint8
	state uint8
	path  string // as SockAddr.Path
	inode uint64
	uid   uint32 // of its owner; NoUID before Linux 5.3
}

// socket is the same as a descriptor of it would tell. The kernel keeps a unix
// socket's peer for itself and tells whether there is one.
func (s unixSocket) socket() socket {
	return socket{
		family: unix.AF_UNIX, kind: int(s.kind), inode: s.inode, listening: s.state == stateListen,
		local: SockAddr{Family: unix.AF_UNIX, Path: s.path}, connected: s.state == stateEstablished,
	}
}

// unix dumps the unix sockets in some states.
func (d *diagSocket) unix(states uint32, visit func(unixSocket)) error {
	err := d.dump(unixRequest(states), func(payload []byte) error {
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

// unixRequest is a struct unix_diag_req that asks for the names and the owners.
func unixRequest(states uint32) []byte {
	const udiagShowName, udiagShowUID = 1, 1 << 6
	b := make([]byte, 24)
	b[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(b[4:], states)
	binary.NativeEndian.PutUint32(b[12:], udiagShowName|udiagShowUID)
	return b
}

// parseUnixDiag reads a struct unix_diag_msg and the attributes UNIX_DIAG_NAME,
// which an unnamed socket lacks, and UNIX_DIAG_UID, which older kernels do not have.
func parseUnixDiag(b []byte) (unixSocket, error) {
	const unixDiagName, unixDiagUID = 0, 7
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
	s := unixSocket{kind: b[1], state: b[2], path: unixPath(name), inode: uint64(binary.NativeEndian.Uint32(b[4:])), uid: NoUID}
	uid, err := netlinkAttribute(b[16:], unixDiagUID)
	if len(uid) >= 4 {
		s.uid = binary.NativeEndian.Uint32(uid)
	}
	return s, err
}
