package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// refusingKernel is this host's with a filter against pidfd_getfd.
type refusingKernel struct{ Linux }

func (refusingKernel) PidfdGetfd(int, int) (int, error) { return -1, unix.EPERM }

// lookAtMyself looks thoroughly at this very process.
func lookAtMyself(t *testing.T, k Kernel) *Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := NewHost(k, []string{exe})
	defer h.Close()
	p := h.read(os.Getpid(), true)
	if p == nil || p.Err != nil {
		t.Fatalf("%+v", p)
	}
	tables := h.Tables()
	tables.Peers = true
	h.ExamineSockets(context.Background(), tables, p)
	return p
}

// everySocket opens one of each kind that HAProxy has, and what it is connected to.
func everySocket(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, c := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"},
		{"unix", filepath.Join(dir, "stream")}, {"unix", fmt.Sprintf("@intables-%d", os.Getpid())}, {"unixpacket", filepath.Join(dir, "packet")},
	} {
		l := listen(t, c.network, c.address)
		network, address := c.network, l.Addr().String()
		if network == "tcp" { // a client of IPv4 on a listener of IPv6
			network, address = "tcp4", strings.Replace(address, "[::]", "127.0.0.1", 1)
		}
		client, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		if _, err := client.Write([]byte("four")); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		callErr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		return errors.Join(callErr, err)
	}}
	bound, err := reuse.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bound.Close() })
	for _, network := range []string{"udp4", "udp"} {
		c, err := net.Dial(network, bound.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	log, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "log"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
}

// Where the one way is refused, the other must tell the same.
func TestTablesTellOfAProcessWhatItsDescriptorsTell(t *testing.T) {
	everySocket(t)
	one, other := lookAtMyself(t, Linux{}), lookAtMyself(t, refusingKernel{})
	if one.Err != nil || other.Err != nil {
		t.Fatal(one.Err, other.Err)
	}
	s := one.Sockets
	if len(s.Listening) < 6 || len(s.Bound) < 1 || len(s.Connections) < 8 || s.Ends[End{Network: NetworkUnix}].Connections < 5 || len(s.Unclassified) < 1 {
		t.Fatalf("too little was found: %+v", s)
	}
	if s.Connections[0].Bytes == 0 && s.Connections[1].Bytes == 0 {
		t.Errorf("no bytes on %+v", s.Connections[:2])
	}
	// But for where connections come from and whether UDP listens, which the tables do
	// not tell.
	optionless(one.Sockets)
	diff := gocmp.Diff(one.Sockets, other.Sockets,
		cmpopts.IgnoreFields(Use{}, "MinIdle", "MaxIdle"), cmpopts.IgnoreFields(Connection{}, "Idle"),
		cmpopts.SortSlices(func(a, b Listener) bool { return a.Inode < b.Inode }),
		cmpopts.SortSlices(func(a, b Connection) bool {
			return cmp.Or(a.Peer.Compare(b.Peer), a.Local.Compare(b.Local)) < 0
		}),
		cmpopts.SortSlices(func(a, b string) bool { return a < b }),
		cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.IgnoreUnexported(Sockets{}))
	if diff != "" {
		t.Errorf("by the tables (+) it is not what it is by the descriptors (-):\n%s", diff)
	}
}

// optionless takes from sockets what their options tell.
func optionless(s *Sockets) {
	ends := map[End]Use{}
	for end, use := range s.Ends {
		end.Origin = OriginUnread
		sum := ends[end]
		sum.Connections, sum.Timed = sum.Connections+use.Connections, sum.Timed+use.Timed
		ends[end] = sum
	}
	s.Ends = ends
	for i := range s.Connections {
		s.Connections[i].Origin = OriginUnread
	}
	for i := range s.Bound {
		s.Bound[i].Unsure = true
	}
}

// A paused listener, or a connection that was reset, is in CLOSE, and the kernel
// keeps no table of those.
func TestSocketThatStandsInNoTableIsUnclassified(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	inode, err := Linux{}.Inode(fd)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("(inode %d)", inode)
	isWanted := func(text string) bool { return strings.HasSuffix(text, want) }
	if p := lookAtMyself(t, refusingKernel{}); p.Err != nil || !slices.ContainsFunc(p.Sockets.Unclassified, isWanted) {
		t.Errorf("error %v, unclassified %q, want one %s", p.Err, p.Sockets.Unclassified, want)
	}
	if p := lookAtMyself(t, Linux{}); p.Err != nil || len(p.Sockets.Paused) != 1 {
		t.Errorf("error %v, sockets %+v, want one paused", p.Err, p.Sockets)
	}
}

// The tables of our own network say nothing of another one.
func TestTablesAreNoHelpInAnotherNetworkNamespace(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := NewHost(refusingKernel{}, []string{exe})
	defer h.Close()
	p := h.read(os.Getpid(), true)
	p.NetNS++
	h.ExamineSockets(context.Background(), h.Tables(), p)
	if p.Sockets != nil || !IsPermission(p.Err) || !strings.Contains(p.Err.Error(), "another network namespace") {
		t.Errorf("sockets %+v, error %v", p.Sockets, p.Err)
	}
}

// overMPTCP makes a connection of MPTCP to a listener of it, both of this process.
func overMPTCP(t *testing.T) (client, server net.Conn) {
	t.Helper()
	var listens net.ListenConfig
	listens.SetMultipathTCP(true)
	l, err := listens.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var dials net.Dialer
	dials.SetMultipathTCP(true)
	if client, err = dials.Dial("tcp4", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if is, err := server.(*net.TCPConn).MultipathTCP(); err != nil || !is {
		t.Fatal("this kernel has no MPTCP:", err)
	}
	return client, server
}

// endOf is what a look tells of a connection, by its local address.
func endOf(t *testing.T, s *Sockets, c net.Conn) (End, Use) {
	t.Helper()
	for end, use := range s.Ends {
		if end.Local.String() == c.LocalAddr().String() {
			return end, use
		}
	}
	t.Fatalf("no connection of %v among %v", c.LocalAddr(), s.Ends)
	return End{}, Use{}
}

// Of MPTCP nothing is timed, whichever way it is looked at; and a path that has gone
// makes neither a listener of it nor an end.
func TestAConnectionOfMPTCPIsOneOnceItsFirstPathHasGone(t *testing.T) {
	_, server := overMPTCP(t)
	for _, gone := range []bool{false, true} {
		if gone {
			peer := server.RemoteAddr().(*net.TCPAddr)
			ss := exec.Command("ss", "-K", "-t", "src", server.LocalAddr().String(), "dport", "=", fmt.Sprint(":", peer.Port))
			if text, err := ss.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			var info unix.TCPInfo
			for end := time.Now().Add(10 * time.Second); info.State != unix.BPF_TCP_CLOSE; time.Sleep(time.Millisecond) {
				raw, err := server.(syscall.Conn).SyscallConn()
				if err == nil {
					err = raw.Control(func(fd uintptr) { _ = Linux{}.TCPInfo(int(fd), &info) })
				}
				if err != nil || time.Now().After(end) {
					t.Fatalf("the first path has not gone: state %d, %v", info.State, err)
				}
			}
		}
		for _, k := range []Kernel{Linux{}, refusingKernel{}} {
			p := lookAtMyself(t, k)
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			if end, use := endOf(t, p.Sockets, server); end.Gone || use.Connections != 1 || use.Timed != 0 {
				t.Errorf("gone %v, by %T: %+v, %+v", gone, k, end, use)
			}
			if len(p.Sockets.Paused) > 0 {
				t.Errorf("gone %v, by %T: paused %v", gone, k, p.Sockets.Paused)
			}
		}
	}
}

// A reset leaves of MPTCP what a pause leaves of a listener, but for its keys.
func TestAConnectionOfMPTCPThatWasResetIsNoPausedListener(t *testing.T) {
	client, server := overMPTCP(t)
	if err := client.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Fatal("it was not reset")
	}
	p := lookAtMyself(t, Linux{})
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	if end, use := endOf(t, p.Sockets, server); !end.Gone || use.Connections != 1 || len(p.Sockets.Paused) > 0 {
		t.Errorf("%+v, %+v, paused %v", end, use, p.Sockets.Paused)
	}
}

// What the kernel counts tells which side has opened a connection, whatever was sent.
func TestWhoOpenedAConnectionOfThisHost(t *testing.T) {
	reuse := func(_, _ string, c syscall.RawConn) error {
		var err error
		callErr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		return errors.Join(callErr, err)
	}
	l := listen(t, "tcp4", "127.0.0.1:0") // Go sets SO_REUSEADDR
	dials := net.Dialer{Control: reuse}
	write := func(client, server net.Conn) {
		for _, c := range []net.Conn{client, server} {
			if _, err := c.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		do   func(client, server net.Conn)
		want Origin // of the side that connected
	}{
		{"nothing was sent", func(_, _ net.Conn) {}, OriginSource},
		{"both sides have sent", write, OriginSource},
		{"it has finished", func(client, _ net.Conn) { client.(*net.TCPConn).CloseWrite() }, OriginEither},
	} {
		client, err := dials.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		c.do(client, server)
		var made, accepted int
		for end := time.Now().Add(10 * time.Second); made+accepted < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			p := lookAtMyself(t, Linux{})
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			of := func(c net.Conn, from Origin) int {
				return p.Sockets.Ends[End{Origin: from, Local: netip.MustParseAddrPort(c.LocalAddr().String())}].Connections
			}
			made, accepted = of(client, c.want), of(server, OriginPassed) // once all is acknowledged
		}
		if made != 1 || accepted != 1 {
			t.Errorf("%s: made %d, accepted %d", c.name, made, accepted)
		}
		client.Close()
		server.Close()
	}
}
