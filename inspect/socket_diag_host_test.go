package inspect

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
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
	var only net.ListenConfig
	only.SetMultipathTCP(false)
	l, err := only.Listen(t.Context(), network, address)
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
			entry.V6Only = c.network == "tcp6"
		} else {
			entry.Network = "unix"
		}
		want[entry.Inode] = entry
	}

	found, err := dumpListening(Linux{}, true, nil)
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

	inode := inodeOf(t, some.(syscall.Conn))
	some.Close()
	if found, err = dumpListening(Linux{}, true, nil); err != nil {
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

	found, err := dumpUDP(Linux{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.PacketConn{bound, bound6} {
		inode := inodeOf(t, c.(syscall.Conn))
		address := c.LocalAddr().(*net.UDPAddr)
		want := Listener{Network: "udp", Address: address.String(), Port: uint16(address.Port), Inode: inode, V6Only: address.IP.To4() == nil, Unsure: true}
		if got := found[inode]; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if l, ok := found[inodeOf(t, connected.(syscall.Conn))]; ok {
		t.Errorf("the connected %v is listed", l)
	}
}

// A log's socket, whose reading side HAProxy shuts down, receives nothing.
func TestASocketThatDoesNotReceiveIsNoListener(t *testing.T) {
	log, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	inode := inodeOf(t, log.(syscall.Conn))
	if found, err := dumpUDP(Linux{}, nil); err != nil || found[inode].Inode != inode {
		t.Fatalf("%v, %+v: it does not receive anyhow, this shows nothing", err, found[inode])
	}
	raw, err := log.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// It is not connected, says the kernel, and shuts it down all the same.
	if err := raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) }); err != nil {
		t.Fatal(err)
	}
	if found, err := dumpUDP(Linux{}, nil); err != nil || found[inode].Inode == inode {
		t.Errorf("%v, %+v is listed", err, found[inode])
	}
}

func TestEachConnectionOfThisHost(t *testing.T) {
	connections := map[string]int{"127.0.0.1:0": 3, "[::1]:0": 2, ":0": 1}
	want := map[netip.AddrPort]int{}
	var ports []uint16
	for address, n := range connections {
		l := listen(t, "tcp", address)
		// To ":0" over IPv4, so that the server's side is mapped into IPv6.
		to := strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1)
		local := netip.MustParseAddrPort(to)
		want[local] = n + 1
		ports = append(ports, local.Port())
		open := func() (client, server net.Conn) {
			client, err := net.Dial("tcp", to)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			if server, err = l.Accept(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			return client, server
		}
		for range n {
			open()
		}
		// One that has finished sending still receives; of one that is closed, and of one
		// that nobody has accepted, no process holds the local end.
		half, server := open()
		if err := half.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		_, closed := open()
		closed.Close()
		waiting, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
	}
	idle := listen(t, "tcp", "127.0.0.1:0")
	ports = append(ports, uint16(idle.Addr().(*net.TCPAddr).Port))
	count := func(ports []uint16) map[netip.AddrPort]int {
		got := map[netip.AddrPort]int{}
		err := eachConnection(Linux{}, unix.IPPROTO_TCP, ports, nil, func(local netip.AddrPort) {
			if _, ours := want[local]; ours || local.Port() == ports[len(ports)-1] {
				got[local]++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(want, count(ports), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}

	// The kernel takes the longest filter that is ever built, too.
	for port := uint16(1); len(ports) < 2*maxFilterRanges; port += 2 {
		ports = append(ports, port)
	}
	got := count(ports[:maxFilterRanges])
	for local, n := range want {
		if got[local] != n {
			t.Errorf("%v: got %d connections, want %d", local, got[local], n)
		}
	}
}

// A UDP socket that is connected is one connection, as QUIC has it.
func TestEachConnectedDatagramSocketOfThisHost(t *testing.T) {
	service, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	client, err := net.Dial("udp4", service.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	local := netip.MustParseAddrPort(client.LocalAddr().String())
	n := 0
	err = eachConnection(Linux{}, unix.IPPROTO_UDP, []uint16{local.Port(), uint16(service.LocalAddr().(*net.UDPAddr).Port)}, nil, func(got netip.AddrPort) {
		n++
		if got != local {
			t.Errorf("%v, want %v", got, local)
		}
	})
	if err != nil || n != 1 {
		t.Errorf("%d connections, %v, want 1", n, err)
	}
}

// A listener of MPTCP stands in a table of its own, and with the same inode in that
// of TCP (mptcp_subflow_create_socket in net/mptcp/subflow.c).
func TestDumpListeningKnowsMPTCP(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		t.Fatal("this kernel has no MPTCP:", err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1), unix.Bind(fd, &unix.SockaddrInet6{}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	inode, err := Linux{}.Inode(fd)
	if err != nil {
		t.Fatal(err)
	}
	found, err := dumpListening(Linux{}, true, nil)
	if got := found[inode]; err != nil || got.Network != "mptcp" || got.Port == 0 || !got.V6Only {
		t.Errorf("%+v, %v, want one of mptcp and of IPv6 alone", got, err)
	}
	found, err = dumpListening(Linux{}, false, nil)
	if got := found[inode]; err != nil || got.Network != "tcp" || got.Port == 0 || !got.V6Only {
		t.Errorf("without the table of MPTCP: %+v, %v, want one of tcp", got, err)
	}
}
