package inspect

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// inetMessage is a struct inet_diag_msg of a socket on a loopback address, with
// an attribute that nobody knows.
func inetMessage(family uint8, port uint16, inode uint32) []byte {
	b := make([]byte, 72, 80)
	b[0] = family
	binary.BigEndian.PutUint16(b[4:], port)
	if family == unix.AF_INET {
		copy(b[8:], []byte{127, 0, 0, 1})
	} else {
		b[23] = 1
	}
	binary.NativeEndian.PutUint32(b[68:], inode)
	return append(b, 8, 0, 99, 0, 1, 2, 3, 4)
}

// unixMessage is a struct unix_diag_msg with its name, "" for none.
func unixMessage(name string, inode uint32) []byte {
	b := make([]byte, 16)
	b[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(b[4:], inode)
	if name != "" {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(name)))
		b = append(append(b, 0, 0), name...)
	}
	return b
}

// withoutMPTCP is this host's kernel, without its files.
type withoutMPTCP struct{ Linux }

func (withoutMPTCP) ReadFile(string, int) ([]byte, error) { return nil, unix.ENOENT }

// cannedNetlink is a kernel that answers each dump with the next of answers,
// which are the parts of it.
type cannedNetlink struct {
	withoutMPTCP
	answers  [][][]byte
	parts    [][]byte
	requests [][]byte
	open     int
	openErr  error
}

func (k *cannedNetlink) NetlinkOpen() (int, error) {
	if k.openErr != nil {
		return -1, k.openErr
	}
	k.open++
	return 1000, nil
}

func (k *cannedNetlink) Close(int) error { k.open--; return nil }

func (k *cannedNetlink) NetlinkSend(_ int, request []byte) error {
	if len(k.answers) == 0 {
		return unix.ECONNREFUSED
	}
	k.requests = append(k.requests, request)
	k.parts, k.answers = k.answers[0], k.answers[1:]
	return nil
}

func (k *cannedNetlink) NetlinkRecv(_ int, buf []byte) (int, error) {
	if len(k.parts) == 0 {
		return 0, unix.EAGAIN
	}
	n := copy(buf, k.parts[0])
	k.parts = k.parts[1:]
	return n, nil
}

func TestDumpListeningReadsThreeDumpsOnOneSocket(t *testing.T) {
	k := &cannedNetlink{answers: [][][]byte{
		{netlinkSocket(1, string(inetMessage(unix.AF_INET, 443, 5))), netlinkDone(1)},
		{slices.Concat(netlinkSocket(2, string(inetMessage(unix.AF_INET6, 443, 6))), netlinkDone(2))},
		{netlinkSocket(3, string(unixMessage("/run/a.sock\x00", 7))), netlinkSocket(3, string(unixMessage("\x00name", 8))), netlinkSocket(3, string(unixMessage("", 9))), netlinkDone(3)},
	}}
	got, err := dumpListening(k, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint64]Listener{
		5: {Network: "tcp", Address: "127.0.0.1:443", Port: 443, Inode: 5},
		6: {Network: "tcp", Address: "[::1]:443", Port: 443, Inode: 6},
		7: {Network: "unix", Address: "/run/a.sock", Port: 0, Inode: 7},
		8: {Network: "unix", Address: "@name", Port: 0, Inode: 8},
		9: {Network: "unix", Address: "", Port: 0, Inode: 9},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if k.open != 0 {
		t.Errorf("%d sockets left open", k.open)
	}
	for i, request := range k.requests {
		if states := binary.NativeEndian.Uint32(request[netlinkHeader+4:]); states != 1<<10 {
			t.Errorf("request %d asks for states %#x, want LISTEN alone", i, states)
		}
	}
}

func TestDumpListeningFaults(t *testing.T) {
	done := func(seq uint32) [][]byte { return [][]byte{netlinkDone(seq)} }
	errno := func(seq uint32, e unix.Errno) [][]byte {
		return [][]byte{netlinkMessage(unix.NLMSG_ERROR, 0, seq, netlinkStatus(e))}
	}
	full := netlinkMessage(unix.NLMSG_NOOP, 0, 1, make([]byte, netlinkBuffer-netlinkHeader))
	for _, c := range []struct {
		name string
		k    cannedNetlink
		want error // nil for none
	}{
		{"no netlink", cannedNetlink{openErr: unix.EPROTONOSUPPORT}, unix.EPROTONOSUPPORT},
		{"nobody takes the request", cannedNetlink{}, unix.ECONNREFUSED},
		{"no answer in time", cannedNetlink{answers: [][][]byte{nil}}, unix.EAGAIN},
		{"an answer that stops halfway", cannedNetlink{answers: [][][]byte{{netlinkSocket(1, string(inetMessage(unix.AF_INET, 443, 5)))}}}, unix.EAGAIN},
		{"an answer of nothing", cannedNetlink{answers: [][][]byte{{{}}}}, errMessageCut},
		{"an answer that fills the buffer, and so may be longer", cannedNetlink{answers: [][][]byte{{full, netlinkDone(1)}, done(2), done(3)}}, errMessageCut},
		{"a socket cut short", cannedNetlink{answers: [][][]byte{{netlinkSocket(1, "short")}}}, errMessageCut},
		{"no dump of IPv4", cannedNetlink{answers: [][][]byte{errno(1, unix.ENOENT)}}, unix.ENOENT},
		{"no dump of IPv6", cannedNetlink{answers: [][][]byte{done(1), errno(2, unix.EPERM)}}, unix.EPERM},
		{"a kernel without unix_diag", cannedNetlink{answers: [][][]byte{done(1), done(2), errno(3, unix.ENOENT)}}, nil},
		{"a broken dump of unix sockets", cannedNetlink{answers: [][][]byte{done(1), done(2), errno(3, unix.ENOMEM)}}, unix.ENOMEM},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := dumpListening(&c.k, true, nil)
			if !errors.Is(err, c.want) || c.want != nil && got != nil {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			if c.k.open != 0 {
				t.Errorf("%d sockets left open", c.k.open)
			}
		})
	}
}

// A host may have a million connections: visiting them must not keep any.
func TestEachConnectionKeepsNone(t *testing.T) {
	const perPart, parts = 200, 200
	answers := func() [][][]byte {
		var part []byte
		for range perPart {
			part = append(part, netlinkSocket(1, string(inetMessage(unix.AF_INET, 443, 5)))...)
			part = append(part, netlinkSocket(1, string(inetMessage(unix.AF_INET, 443, 0)))...)
		}
		dump := slices.Repeat([][]byte{part}, parts)
		return [][][]byte{append(dump, netlinkDone(1)), {netlinkDone(2)}}
	}()
	allocated := testing.AllocsPerRun(1, func() {
		n := 0
		err := eachConnection(&cannedNetlink{answers: answers}, unix.IPPROTO_TCP, []uint16{443, 80}, nil, func(netip.AddrPort) { n++ })
		if err != nil || n != perPart*parts {
			t.Errorf("%d connections, %v, want the %d that some process holds", n, err, perPart*parts)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations for %d connections", allocated, perPart*parts)
	}
}

func TestEachConnectionOfNoPortsAsksNobody(t *testing.T) {
	err := eachConnection(&cannedNetlink{openErr: unix.EPERM}, unix.IPPROTO_TCP, nil, nil, func(netip.AddrPort) { t.Error("a connection") })
	if err != nil {
		t.Error(err)
	}
}

// A kernel that does not know of the attribute with the protocol takes it for one
// that has no table.
func TestMPTCPIsAskedForByAnAttribute(t *testing.T) {
	b := inetRequest(unix.AF_INET, inetDump{protocol: unix.IPPROTO_MPTCP, states: 1, filter: []byte{1, 2, 3, 4}})
	protocol, err := netlinkAttribute(b[56:], 3)
	if err != nil || b[1] != 0 || len(protocol) != 4 || binary.NativeEndian.Uint32(protocol) != unix.IPPROTO_MPTCP {
		t.Errorf("protocol %d, %v, %v", b[1], protocol, err)
	}
	if filter, err := netlinkAttribute(b[56:], 1); err != nil || !slices.Equal(filter, []byte{1, 2, 3, 4}) {
		t.Errorf("filter %v, %v", filter, err)
	}
}

func TestAnAnswerTellsHowASocketWasShutDownAndWhetherItTakesIPv4(t *testing.T) {
	for _, c := range []struct {
		attributes   []byte
		deaf, v6only bool
	}{
		{nil, false, false},
		{[]byte{5, 0, 8, 0, 0, 0, 0, 0}, false, false},
		{[]byte{5, 0, 8, 0, 1, 0, 0, 0}, true, false},  // reading
		{[]byte{5, 0, 8, 0, 2, 0, 0, 0}, false, false}, // writing
		{[]byte{5, 0, 8, 0, 3, 0, 0, 0, 5, 0, 11, 0, 1, 0, 0, 0}, true, true},
		{[]byte{5, 0, 11, 0, 0, 0, 0, 0}, false, false},
	} {
		s, err := parseInetDiag(append(inetMessage(unix.AF_INET6, 443, 5), c.attributes...))
		if err != nil || s.deaf != c.deaf || s.v6only != c.v6only {
			t.Errorf("%v: deaf %v, v6only %v, %v", c.attributes, s.deaf, s.v6only, err)
		}
	}
}

func TestASocketOfAnAnswerIsReadWhenItIsWhole(t *testing.T) {
	if s, err := parseInetDiag(inetMessage(unix.AF_INET, 443, 5)[:72]); err != nil || s.local.String() != "127.0.0.1:443" || s.inode != 5 || s.info != nil {
		t.Errorf("without attributes: %+v, %v", s, err)
	}
	if s, err := parseInetDiag(inetMessage(unix.AF_INET, 443, 5)[:71]); !errors.Is(err, errMessageCut) {
		t.Errorf("cut: %+v, %v", s, err)
	}
	if s, err := parseUnixDiag(unixMessage("", 5)); err != nil || s.path != "" || s.inode != 5 {
		t.Errorf("without a name: %+v, %v", s, err)
	}
	if s, err := parseUnixDiag(unixMessage("", 5)[:15]); !errors.Is(err, errMessageCut) {
		t.Errorf("cut: %+v, %v", s, err)
	}
}
