package inspect

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// netlinkMessage is one message as the kernel sends it.
func netlinkMessage(kind, flags uint16, seq uint32, payload []byte) []byte {
	b := make([]byte, netlinkHeader, netlinkHeader+len(payload))
	binary.NativeEndian.PutUint32(b, uint32(netlinkHeader+len(payload)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], seq)
	b = append(b, payload...)
	return append(b, make([]byte, align4(len(b))-len(b))...)
}

// netlinkStatus is the payload of NLMSG_DONE and NLMSG_ERROR.
func netlinkStatus(errno unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

func netlinkDone(seq uint32) []byte { return netlinkMessage(unix.NLMSG_DONE, 0, seq, netlinkStatus(0)) }

func netlinkSocket(seq uint32, payload string) []byte {
	return netlinkMessage(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, seq, []byte(payload))
}

func TestParseDiag(t *testing.T) {
	type result struct {
		payloads []string
		done     bool
	}
	for _, c := range []struct {
		name string
		b    []byte
		want result
	}{
		{"a part of a dump, with more to come", slices.Concat(netlinkSocket(7, "one"), netlinkSocket(7, "second")), result{[]string{"one", "second"}, false}},
		{"the end", netlinkDone(7), result{nil, true}},
		{"the end without a status, as old kernels send it", netlinkMessage(unix.NLMSG_DONE, 0, 7, nil), result{nil, true}},
		{"the end in the same part; nothing after it is read", slices.Concat(netlinkSocket(7, "one"), netlinkDone(7), []byte("garbage")), result{[]string{"one"}, true}},
		{"a message of nothing", slices.Concat(netlinkMessage(unix.NLMSG_NOOP, 0, 7, nil), netlinkDone(7)), result{nil, true}},
		{"nothing", nil, result{nil, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			done, err := parseDiag(c.b, 7, func(payload []byte) error {
				got = append(got, string(payload))
				return nil
			})
			if err != nil || done != c.want.done || !slices.Equal(got, c.want.payloads) {
				t.Errorf("got %q, done %v, %v, want %+v", got, done, err, c.want)
			}
		})
	}
}

func TestParseDiagRefuses(t *testing.T) {
	errVisit := errors.New("visit")
	whole := netlinkSocket(7, "payload")
	long := slices.Clone(whole)
	binary.NativeEndian.PutUint32(long, 1<<31)
	short := slices.Clone(whole)
	binary.NativeEndian.PutUint32(short, netlinkHeader-1)
	for _, c := range []struct {
		name string
		b    []byte
		want error // nil for any
	}{
		{"a header cut short", whole[:netlinkHeader-1], errMessageCut},
		{"a message cut short", whole[:netlinkHeader+3], errMessageCut},
		{"a length beyond everything", long, errMessageCut},
		{"a length below the header's", short, errMessageCut},
		{"an answer to another request", netlinkSocket(6, "payload"), nil},
		{"an errno instead of a dump", netlinkMessage(unix.NLMSG_ERROR, 0, 7, netlinkStatus(unix.ENOENT)), unix.ENOENT},
		{"an errno at the end of a dump", netlinkMessage(unix.NLMSG_DONE, 0, 7, netlinkStatus(unix.ENOMEM)), unix.ENOMEM},
		{"an errno cut short", netlinkMessage(unix.NLMSG_ERROR, 0, 7, nil), errMessageCut},
		{"a status that is no errno", netlinkMessage(unix.NLMSG_ERROR, 0, 7, []byte{1, 1, 1, 1}), nil},
		{"an acknowledgement", netlinkMessage(unix.NLMSG_ERROR, 0, 7, netlinkStatus(0)), nil},
		{"an interrupted dump", netlinkMessage(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP_INTR, 7, []byte("payload")), nil},
		{"a dump found interrupted at its end", netlinkMessage(unix.NLMSG_DONE, unix.NLM_F_DUMP_INTR, 7, netlinkStatus(0)), nil},
		{"an unknown message", netlinkMessage(99, 0, 7, nil), nil},
		{"a socket that its reader refuses", whole, errVisit},
	} {
		t.Run(c.name, func(t *testing.T) {
			done, err := parseDiag(c.b, 7, func([]byte) error { return errVisit })
			if done || err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("done %v, %v, want %v", done, err, c.want)
			}
		})
	}
}

// A status is 0 or a negated errno, and there are 4095 of those.
func TestANetlinkStatusIsAnErrnoOrNone(t *testing.T) {
	for status, want := range map[int32]error{-1: unix.EPERM, -int32(unix.ENOBUFS): unix.ENOBUFS, -4095: unix.Errno(4095)} {
		if got := netlinkErrno(binary.NativeEndian.AppendUint32(nil, uint32(status))); got != want {
			t.Errorf("%d: got %v, want %v", status, got, want)
		}
	}
	for _, status := range []int32{1, -4096, -1 << 31, 1<<31 - 1} {
		got := netlinkErrno(binary.NativeEndian.AppendUint32(nil, uint32(status)))
		if errno := unix.Errno(0); got == nil || errors.As(got, &errno) {
			t.Errorf("%d: got %v, want an error that is no errno", status, got)
		}
	}
}

func TestNetlinkAttribute(t *testing.T) {
	attribute := func(kind uint16, value string) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		return append(b, make([]byte, align4(len(b))-len(b))...)
	}
	b := slices.Concat(attribute(5, "other"), attribute(1|1<<15, "mine"), attribute(1, "second"))
	if got, err := netlinkAttribute(b, 1); err != nil || string(got) != "mine" {
		t.Errorf("got %q, %v, want the first of its type", got, err)
	}
	if got, err := netlinkAttribute(b, 9); err != nil || got != nil {
		t.Errorf("got %q, %v for one that is not there", got, err)
	}
	if got, err := netlinkAttribute(attribute(1, ""), 1); err != nil || got == nil || len(got) != 0 {
		t.Errorf("got %q, %v, want one that is there and empty", got, err)
	}
	for name, cut := range map[string][]byte{"in its header": b[:3], "in its value": b[:6], "with a length below its header's": {0, 0, 0, 0}} {
		if got, err := netlinkAttribute(cut, 1); !errors.Is(err, errMessageCut) {
			t.Errorf("cut %s: got %q, %v", name, got, err)
		}
	}
}

// FuzzParseDiag feeds whatever to the whole way from a receive to a socket.
func FuzzParseDiag(f *testing.F) {
	f.Add(slices.Concat(netlinkSocket(1, "payload"), netlinkDone(1)))
	f.Add(netlinkSocket(1, string(inetMessage(unix.AF_INET6, 443, 5))))
	f.Add(netlinkSocket(1, string(unixMessage("/run/a.sock", 6))))
	f.Add(netlinkMessage(unix.NLMSG_ERROR, 0, 1, netlinkStatus(unix.EINVAL)))
	f.Fuzz(func(t *testing.T, b []byte) {
		sockets := 0
		done, err := parseDiag(b, 1, func(payload []byte) error {
			if sockets++; len(payload) > len(b)-netlinkHeader {
				t.Errorf("payload of %d bytes in %d", len(payload), len(b))
			}
			_, errInet := parseInetDiag(payload)
			_, errUnix := parseUnixDiag(payload)
			if errInet == nil && errUnix == nil {
				t.Error("a socket of two families")
			}
			return nil
		})
		if done && err != nil {
			t.Errorf("done, and %v", err)
		}
		if sockets > len(b)/netlinkHeader {
			t.Errorf("%d sockets in %d bytes", sockets, len(b))
		}
	})
}
