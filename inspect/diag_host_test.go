package inspect

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
