package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// serving is a worker with listeners of each kind and so many clients of each kind.
func serving(w *fakehost.World, netNS uint64, clients int) *fakehost.Proc {
	multipath := fakehost.Listen(8443)
	multipath.MPTCP = true
	admin := fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Listening: true, Local: "/run/admin.sock", Inode: 7}
	six := fakehost.Listen(80)
	six.Family, six.Local, six.Inode, six.V6Only = unix.AF_INET6, "[::]:80", 86, true
	sockets := []fakehost.Socket{admin, fakehost.Listen(80), six, fakehost.Listen(443), multipath, fakehost.DatagramListener(443)}
	for i := range clients {
		six := fakehost.Client(443, clients+i, 0)
		six.Family, six.Local, six.Peer = unix.AF_INET6, "[2001:db8::1]:443", "[2001:db8::2]:30000"
		sockets = append(sockets, fakehost.Client(443, i, 0), fakehost.QUIC(443, i), six)
	}
	p := fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, sockets...)
	p.NetNS = netNS
	return p
}

// findListener observes the one process of a host and looks for its listener. It returns
// what the look called.
func findListener(t *testing.T, w *fakehost.World, change func(*inspect.Tables)) (*inspect.Process, map[string]int) {
	t.Helper()
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	p := observed(t, h)
	calls := map[string]int{}
	w.Before = func(_ int, call, about string) error {
		calls[call]++
		if strings.HasPrefix(about, "/proc/100/net/") {
			t.Errorf("%s of %s", call, about)
		}
		return nil
	}
	tables := h.Tables()
	change(tables)
	h.FindListener(tables, p)
	w.Before = nil
	if n := w.Open(); n != 1 {
		t.Errorf("%d descriptors are open, want that of the process", n)
	}
	return p, calls
}

func observed(t *testing.T, h *inspect.Host) *inspect.Process {
	t.Helper()
	s, err := h.Observe(t.Context())
	if err != nil || len(s.Processes) != 1 {
		t.Fatalf("%d processes, %v", len(s.Processes), err)
	}
	return s.Processes[0]
}

func listeners(list []inspect.Listener) (texts []string) {
	for _, l := range list {
		texts = append(texts, l.Network+" "+l.Address)
	}
	return texts
}

// A container with half a million connections must cost what one with none costs:
// all places where its active listens, of every kind, for so many calls.
func TestAnActiveInAnotherNetworkNamespaceCostsTheSameWhateverItServes(t *testing.T) {
	few, many := 50, 20_000
	var of [2]map[string]int
	for i, clients := range []int{few, many} {
		w := fakehost.New()
		serving(w, 77, clients)
		var p *inspect.Process
		p, of[i] = findListener(t, w, func(*inspect.Tables) {})
		if p.Err != nil || p.Sockets == nil {
			t.Fatalf("%d clients: %+v", clients, p)
		}
		if got, want := listeners(p.Sockets.Listening), []string{"unix /run/admin.sock", "tcp 0.0.0.0:80", "tcp [::]:80", "tcp 0.0.0.0:443", "mptcp 0.0.0.0:8443"}; !slices.Equal(got, want) {
			t.Errorf("%d clients: it listens on %q, want %q", clients, got, want)
		}
		if !p.Sockets.Listening[2].V6Only || p.Sockets.Listening[1].V6Only {
			t.Errorf("%d clients: which takes IPv6 alone is not told: %+v", clients, p.Sockets.Listening)
		}
		if got := listeners(p.Sockets.Bound); !slices.Equal(got, []string{"udp 0.0.0.0:443"}) || p.Sockets.Bound[0].Unsure {
			t.Errorf("%d clients: of datagrams %v", clients, p.Sockets.Bound)
		}
		if p.Sockets.Proof || len(p.Sockets.Ends) > 0 {
			t.Errorf("%d clients: a search proves something, or counts: %+v", clients, p.Sockets)
		}
	}
	for call, n := range of[1] {
		if n != of[0][call] {
			t.Errorf("%d calls of %s with %d clients, %d with %d", n, call, 3*many, of[0][call], 3*few)
		}
	}
	if n := of[1]["PidfdGetfd"]; n == 0 || n > 100 {
		t.Errorf("%d descriptors were duplicated", n)
	}
}

// To confirm that it listens, one listener is enough.
func TestAConfirmationEndsAtTheFirstListener(t *testing.T) {
	for _, netNS := range []uint64{77, fakehost.NetNS} {
		w := fakehost.New()
		serving(w, netNS, 1000)
		p, calls := findListener(t, w, func(tables *inspect.Tables) { tables.OneListener = true })
		if p.Err != nil || len(p.Sockets.Listening) != 1 {
			t.Fatalf("%+v", p)
		}
		want := 4 // descriptors 0 to 2, and the first listener
		if netNS == fakehost.NetNS {
			want = 0
		}
		if calls["PidfdGetfd"] != want || calls["Close"] > want+2 { // and the sockets of sock_diag
			t.Errorf("network namespace %d: %v", netNS, calls)
		}
	}
}

// A kernel that does not tell whether a listener of MPTCP takes IPv4 tells the rest.
func TestAListenerOfWhichTheKernelTellsLessIsOne(t *testing.T) {
	w := fakehost.New()
	six := fakehost.Listen(443)
	six.Family, six.Local, six.MPTCP = unix.AF_INET6, "[::]:443", true
	fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, six)
	p := lookAt(t, w, func(string, string) error { return nil })
	if p.Err != nil || len(p.Sockets.Listening) != 1 {
		t.Errorf("error %v, sockets %+v", p.Err, p.Sockets)
	}
}

// In our own network namespace an active is not touched at all.
func TestAnActiveInOurNetworkNamespaceIsNotTouched(t *testing.T) {
	w := fakehost.New()
	serving(w, fakehost.NetNS, 100)
	p, calls := findListener(t, w, func(*inspect.Tables) {})
	if p.Err != nil || len(p.Sockets.Listening) != 5 || calls["PidfdGetfd"] > 0 {
		t.Errorf("error %v, %+v, %v", p.Err, p.Sockets, calls)
	}
}

// What a search in another network namespace could not read is not "none".
func TestAGentleLookElsewhereThatFailsTellsNothing(t *testing.T) {
	for _, call := range []string{"PidfdGetfd", "TCPInfo", "SockName", "SockoptInt", "StatusFlags", "Inode", "Close"} {
		for _, errno := range []error{unix.EIO, unix.EPERM, unix.EMFILE, unix.ESRCH} {
			w := fakehost.New()
			serving(w, 77, 2)
			h := inspect.NewHost(w, []string{"haproxy"})
			p := observed(t, h)
			w.Before = func(_ int, c, _ string) error {
				if c == call {
					return errno
				}
				return nil
			}
			h.FindListener(h.Tables(), p)
			w.Before = nil
			if p.Err == nil || p.Sockets != nil {
				t.Errorf("%s fails with %v: error %v, sockets %+v", call, errno, p.Err, p.Sockets)
			}
			h.Close()
		}
	}
}
