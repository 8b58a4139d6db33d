package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// errMessageCut is a netlink message that is longer than what was received.
var errMessageCut = errors.New("netlink message cut short")

const (
	netlinkHeader = 16 // struct nlmsghdr
	// netlinkBuffer holds any answer: the kernel fills at most 32 KiB of a
	// buffer for one part of a dump.
	netlinkBuffer = 64 << 10
)

// diagSocket is a NETLINK_SOCK_DIAG socket (sock_diag(7)) that dumps are made
// through, one after the other, into one buffer.
type diagSocket struct {
	kernel Kernel
	fd     int
	seq    uint32
	buf    []byte
	// others bounds the dumps; nil does not.
	others *others
}

func openDiag(k Kernel) (*diagSocket, error) {
	fd, err := k.NetlinkOpen()
	if err != nil {
		return nil, readError("sockets", "sock_diag", err)
	}
	return &diagSocket{kernel: k, fd: fd, buf: make([]byte, netlinkBuffer)}, nil
}

func (d *diagSocket) close() { _ = d.kernel.Close(d.fd) }

// dump sends one request and gives visit the payload of each answer, which is
// valid until visit returns. An error means that the dump is not whole.
func (d *diagSocket) dump(request []byte, visit func(payload []byte) error) error {
	d.seq++
	if err := d.kernel.NetlinkSend(d.fd, dumpMessage(d.seq, request)); err != nil {
		return err
	}
	for {
		if err := d.others.tooMany(); err != nil {
			return err
		}
		n, err := d.kernel.NetlinkRecv(d.fd, d.buf)
		if err != nil {
			return err
		}
		// A full buffer may be one that the answer did not fit.
		if n <= 0 || n >= len(d.buf) {
			return errMessageCut
		}
		done, err := parseDiag(d.buf[:n], d.seq, visit)
		if done || err != nil {
			return err
		}
	}
}

// dumpMessage is a request to dump sockets, with its netlink header.
func dumpMessage(seq uint32, request []byte) []byte {
	b := make([]byte, netlinkHeader, netlinkHeader+len(request))
	binary.NativeEndian.PutUint32(b, uint32(netlinkHeader+len(request)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return append(b, request...)
}

// parseDiag reads the messages of one receive from a sock_diag dump (netlink(7))
// and gives visit the payload of each socket's. It is done at NLMSG_DONE. What
// is cut short, of another dump, interrupted or unknown is an error, and so is
// an errno of the kernel's, which the error wraps.
func parseDiag(b []byte, seq uint32, visit func(payload []byte) error) (done bool, err error) {
	for len(b) > 0 {
		if len(b) < netlinkHeader {
			return false, errMessageCut
		}
		length := binary.NativeEndian.Uint32(b)
		kind := binary.NativeEndian.Uint16(b[4:])
		flags := binary.NativeEndian.Uint16(b[6:])
		if length < netlinkHeader || uint64(length) > uint64(len(b)) {
			return false, errMessageCut
		}
		if got := binary.NativeEndian.Uint32(b[8:]); got != seq {
			return false, fmt.Errorf("netlink message of request %d, want %d", got, seq)
		}
		payload := b[netlinkHeader:length]
		b = b[min(align4(int(length)), len(b)):]
		if flags&unix.NLM_F_DUMP_INTR != 0 && kind != unix.NLMSG_ERROR {
			return false, errors.New("netlink dump interrupted by a change")
		}
		switch kind {
		case unix.NLMSG_NOOP:
		case unix.NLMSG_DONE:
			// Old kernels send no status with it.
			if len(payload) >= 4 {
				err = netlinkErrno(payload)
			}
			return err == nil, err
		case unix.NLMSG_ERROR:
			if len(payload) < 4 {
				return false, errMessageCut
			}
			if err := netlinkErrno(payload); err != nil {
				return false, err
			}
			return false, errors.New("netlink acknowledgement without a dump")
		case unix.SOCK_DIAG_BY_FAMILY:
			if err := visit(payload); err != nil {
				return false, err
			}
		default:
			return false, fmt.Errorf("netlink message of unknown type %d", kind)
		}
	}
	return false, nil
}

// netlinkErrno is the status at the start of a payload: 0 or a negated errno.
func netlinkErrno(payload []byte) error {
	status := int32(binary.NativeEndian.Uint32(payload))
	switch {
	case status == 0:
		return nil
	case status > 0 || status < -4095:
		return fmt.Errorf("netlink status %d", status)
	default:
		return syscall.Errno(-status)
	}
}

// netlinkAttribute is the value of the first attribute of a type (struct
// nlattr), nil when there is none; other attributes are passed over.
func netlinkAttribute(b []byte, kind uint16) ([]byte, error) {
	const header = 4
	for len(b) > 0 {
		if len(b) < header {
			return nil, errMessageCut
		}
		length := int(binary.NativeEndian.Uint16(b))
		if length < header || length > len(b) {
			return nil, errMessageCut
		}
		// The two highest bits are flags.
		if binary.NativeEndian.Uint16(b[2:])&0x3fff == kind {
			return b[header:length], nil
		}
		b = b[min(align4(length), len(b)):]
	}
	return nil, nil
}

// align4 is the alignment of netlink messages and attributes.
func align4(n int) int { return (n + 3) &^ 3 }
