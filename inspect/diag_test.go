package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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

// cannedNetlink is a kernel that answers each dump with the next of answers,
// which are the parts of it.
type cannedNetlink struct {
	Linux
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
	got, err := dumpListening(k)
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint64]Listener{
		5: {"tcp", "127.0.0.1:443", 443, 5},
		6: {"tcp", "[::1]:443", 443, 6},
		7: {"unix", "/run/a.sock", 0, 7},
		8: {"unix", "@name", 0, 8},
		9: {"unix", "", 0, 9},
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
	full := netlinkSocket(1, string(append(inetMessage(unix.AF_INET, 443, 5), make([]byte, netlinkBuffer-netlinkHeader-80)...)))
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
			got, err := dumpListening(&c.k)
			if !errors.Is(err, c.want) || c.want != nil && got != nil {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
			if c.k.open != 0 {
				t.Errorf("%d sockets left open", c.k.open)
			}
		})
	}
}

// A host may have a million connections: counting them must not keep any.
func TestCountEstablishedKeepsNoConnections(t *testing.T) {
	const perPart, parts = 200, 200
	answers := func() [][][]byte {
		var part []byte
		for range perPart {
			part = append(part, netlinkSocket(1, string(inetMessage(unix.AF_INET, 443, 5)))...)
			part = append(part, netlinkSocket(1, string(inetMessage(unix.AF_INET, 444, 5)))...)
		}
		dump := slices.Repeat([][]byte{part}, parts)
		return [][][]byte{append(dump, netlinkDone(1)), {netlinkDone(2)}}
	}()
	allocated := testing.AllocsPerRun(1, func() {
		got, err := countEstablished(&cannedNetlink{answers: answers}, []uint16{443, 80})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[uint16]int{443: perPart * parts, 80: 0}, got); diff != "" {
			t.Error(diff)
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations for %d connections", allocated, perPart*parts)
	}
}

func TestCountEstablishedOfNoPortsAsksNobody(t *testing.T) {
	got, err := countEstablished(&cannedNetlink{openErr: unix.EPERM}, nil)
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// runFilter runs bytecode as inet_diag_bc_run of the kernel does.
func runFilter(t *testing.T, b []byte, port uint16) bool {
	for len(b) > 0 {
		code, yes, no := b[0], int(b[1]), int(binary.NativeEndian.Uint16(b[2:]))
		pass := false
		switch code {
		case 1: // jump
		case 2:
			pass = port >= binary.NativeEndian.Uint16(b[6:])
		case 3:
			pass = port <= binary.NativeEndian.Uint16(b[6:])
		default:
			t.Fatalf("instruction %d", code)
		}
		next := no
		if pass {
			next = yes
		}
		if next == len(b)+4 {
			return false
		}
		b = b[next:]
	}
	return true
}

func TestLocalPortFilter(t *testing.T) {
	var many []uint16
	for port := uint16(1000); len(many) < 3*maxFilterRanges; port += 2 {
		many = append(many, port)
	}
	for _, c := range []struct {
		name       string
		ports      []uint16
		pass, drop []uint16
	}{
		{"one port", []uint16{443}, []uint16{443}, []uint16{0, 442, 444, 65535}},
		{"several, in any order, one twice", []uint16{8080, 80, 443, 80}, []uint16{80, 443, 8080}, []uint16{79, 81, 442, 444, 8079, 8081}},
		{"a range, and the last port", []uint16{1002, 1000, 1001, 65535}, []uint16{1000, 1001, 1002, 65535}, []uint16{999, 1003, 65534}},
		{"as many as can be told apart", many[:maxFilterRanges], many[:maxFilterRanges], []uint16{999, 1001, 1003, many[maxFilterRanges]}},
		{"too many to tell apart: everything between, nothing outside", many, []uint16{1000, 1001, many[len(many)-1]}, []uint16{999, many[len(many)-1] + 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			filter := localPortFilter(c.ports)
			for _, port := range c.pass {
				if !runFilter(t, filter, port) {
					t.Errorf("port %d is dropped", port)
				}
			}
			for _, port := range c.drop {
				if runFilter(t, filter, port) {
					t.Errorf("port %d passes", port)
				}
			}
		})
	}
}

// inodeOf is the inode of a socket of ours.
func inodeOf(t *testing.T, c syscall.Conn) uint64 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inode uint64
	if cerr := raw.Control(func(fd uintptr) { inode, err = Linux{}.Inode(int(fd)) }); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return inode
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestDumpListeningOfThisHost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b.sock")
	abstract := fmt.Sprintf("@haproxy-reaper-test-%d", os.Getpid())
	want := map[uint64]Listener{}
	var some net.Listener
	for _, c := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"},
		{"unix", path}, {"unix", abstract}, {"unixpacket", path + "2"},
	} {
		l := listen(t, c.network, c.address)
		some = l
		entry := Listener{Network: c.network[:3], Address: l.Addr().String(), Inode: inodeOf(t, l.(syscall.Conn))}
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			entry.Port = uint16(a.Port)
		} else {
			entry.Network = "unix"
		}
		want[entry.Inode] = entry
	}

	found, err := dumpListening(Linux{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]Listener{}
	for inode := range want {
		if l, ok := found[inode]; ok {
			got[inode] = l
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// The files that are read for other network namespaces say the same.
	files := map[string]func([]byte) ([]Listener, error){
		"tcp":  func(b []byte) ([]Listener, error) { return parseNetTCP(b, "tcp") },
		"tcp6": func(b []byte) ([]Listener, error) { return parseNetTCP(b, "tcp") },
		"unix": parseNetUnix,
	}
	clear(got)
	for file, parse := range files {
		b, err := Linux{}.ReadFile("/proc/self/net/"+file, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		list, err := parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			if _, ours := want[l.Inode]; ours {
				got[l.Inode] = l
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	inode := inodeOf(t, some.(syscall.Conn))
	some.Close()
	if found, err = dumpListening(Linux{}); err != nil {
		t.Fatal(err)
	}
	if l, ok := found[inode]; ok {
		t.Errorf("%v is listed after it was closed", l)
	}
}

func TestDumpUDPOfThisHost(t *testing.T) {
	bound, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	bound6, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound6.Close()
	connected, err := net.Dial("udp4", bound.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()

	found, err := dumpUDP(Linux{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.PacketConn{bound, bound6} {
		inode := inodeOf(t, c.(syscall.Conn))
		want := Listener{"udp", c.LocalAddr().String(), uint16(c.LocalAddr().(*net.UDPAddr).Port), inode}
		if got := found[inode]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if l, ok := found[inodeOf(t, connected.(syscall.Conn))]; ok {
		t.Errorf("the connected %v is listed", l)
	}
}

func TestCountEstablishedOfThisHost(t *testing.T) {
	connections := map[string]int{"127.0.0.1:0": 3, "[::1]:0": 2, ":0": 1}
	want := map[uint16]int{}
	for address, n := range connections {
		l := listen(t, "tcp", address)
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		want[port] = n
		for range n {
			// To ":0" over IPv4, so that the server's side is mapped into IPv6.
			client, err := net.Dial("tcp", strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
		}
	}
	idle := listen(t, "tcp", "127.0.0.1:0")
	want[uint16(idle.Addr().(*net.TCPAddr).Port)] = 0

	var ports []uint16
	for port := range want {
		ports = append(ports, port)
	}
	got, err := countEstablished(Linux{}, ports)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// The kernel takes the longest filter that is ever built, too.
	for port := uint16(1); len(ports) < 2*maxFilterRanges; port += 2 {
		ports = append(ports, port)
	}
	longest := ports[:maxFilterRanges]
	if got, err = countEstablished(Linux{}, longest); err != nil {
		t.Fatal(err)
	}
	for port, n := range want {
		if got[port] != n {
			t.Errorf("port %d: got %d connections, want %d", port, got[port], n)
		}
	}
}
