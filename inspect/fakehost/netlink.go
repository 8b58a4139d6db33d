package fakehost

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// NetlinkOpen implements inspect.Kernel.
func (w *World) NetlinkOpen() (int, error) {
	if err := w.enter("NetlinkOpen", "sock_diag"); err != nil {
		return -1, err
	}
	defer w.mu.Unlock()
	return w.open(&descriptor{}), nil
}

// NetlinkSend implements inspect.Kernel: it works out the answer, which the
// socket's next receive returns.
func (w *World) NetlinkSend(fd int, request []byte) error {
	if err := w.enter("NetlinkSend", "sock_diag"); err != nil {
		return err
	}
	defer w.mu.Unlock()
	seq := binary.NativeEndian.Uint32(request[8:])
	family, protocol := int(request[16]), int(request[17])
	states := binary.NativeEndian.Uint32(request[20:])
	var answer []byte
	for _, s := range w.ownSockets() {
		// The kernel keeps no table of TCP sockets in CLOSE.
		if family != unix.AF_UNIX && s.protocol() == unix.IPPROTO_TCP && s.state() == unix.BPF_TCP_CLOSE {
			continue
		}
		if s.Family == family && states&(1<<s.state()) != 0 && (family == unix.AF_UNIX || s.protocol() == protocol) {
			answer = append(answer, netlinkMessage(unix.SOCK_DIAG_BY_FAMILY, seq, s.diag())...)
		}
	}
	answer = append(answer, netlinkMessage(unix.NLMSG_DONE, seq, make([]byte, 4))...)
	w.answers = append(w.answers, answer)
	return nil
}

// NetlinkRecv implements inspect.Kernel.
func (w *World) NetlinkRecv(fd int, buf []byte) (int, error) {
	if err := w.enter("NetlinkRecv", "sock_diag"); err != nil {
		return 0, err
	}
	defer w.mu.Unlock()
	if len(w.answers) == 0 {
		return 0, unix.EAGAIN
	}
	n := copy(buf, w.answers[0])
	w.answers = w.answers[1:]
	return n, nil
}

// ownSockets are the sockets of our own network namespace, each once.
func (w *World) ownSockets() []Socket {
	byInode := map[uint64]Socket{}
	for _, p := range w.procs {
		if p.NetNS != NetNS {
			continue
		}
		for _, s := range p.Sockets {
			byInode[s.Inode] = s
		}
	}
	var list []Socket
	for _, inode := range slices.Sorted(maps.Keys(byInode)) {
		list = append(list, byInode[inode])
	}
	return list
}

func (s *Socket) protocol() int {
	if s.Type == unix.SOCK_DGRAM {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// state is as sock_diag numbers them, for every family.
func (s *Socket) state() uint8 {
	switch {
	case s.Listening:
		return unix.BPF_TCP_LISTEN
	case s.State != 0:
		return s.State
	case s.Peer != "":
		return unix.BPF_TCP_ESTABLISHED
	}
	return unix.BPF_TCP_CLOSE
}

// diag is a struct inet_diag_msg or unix_diag_msg.
func (s *Socket) diag() []byte {
	if s.Family == unix.AF_UNIX {
		b := make([]byte, 16)
		b[0], b[1], b[2] = unix.AF_UNIX, uint8(s.Type), s.state()
		binary.NativeEndian.PutUint32(b[4:], uint32(s.Inode))
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(s.Local)))
		b = append(b, 0, 0)
		b = append(b, s.Local...)
		return append(b, make([]byte, (4-len(s.Local)%4)%4)...)
	}
	b := make([]byte, 72)
	b[0], b[1] = uint8(s.Family), s.state()
	if local, err := netip.ParseAddrPort(s.Local); err == nil {
		binary.BigEndian.PutUint16(b[4:], local.Port())
		copy(b[8:24], local.Addr().AsSlice())
	}
	if peer, err := netip.ParseAddrPort(s.Peer); err == nil {
		binary.BigEndian.PutUint16(b[6:], peer.Port())
		copy(b[24:40], peer.Addr().AsSlice())
	}
	binary.NativeEndian.PutUint32(b[68:], uint32(s.Inode))
	if s.protocol() == unix.IPPROTO_UDP && !s.ReuseAddr && s.Peer == "" { // as HAProxy does with a log's
		const inetDiagShutdown, reading = 8, 1
		b = binary.NativeEndian.AppendUint16(b, 5)
		b = binary.NativeEndian.AppendUint16(b, inetDiagShutdown)
		b = append(b, reading, 0, 0, 0)
	}
	if s.protocol() == unix.IPPROTO_TCP {
		const inetDiagInfo = 2
		info, _ := binary.Append(nil, binary.NativeEndian, s.tcpInfo())
		info = slices.Insert(info, 6, 0, 0) // bit fields that Go's struct leaves out
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(info)))
		b = binary.NativeEndian.AppendUint16(b, inetDiagInfo)
		b = append(b, info...)
	}
	return b
}

func netlinkMessage(kind uint16, seq uint32, payload []byte) []byte {
	b := make([]byte, 16, 16+len(payload))
	binary.NativeEndian.PutUint32(b, uint32(16+len(payload)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_MULTI)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return append(b, payload...)
}
