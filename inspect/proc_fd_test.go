package inspect_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// lookAt observes the one process of a host and looks at its sockets, with an
// error behind one call of the look.
func lookAt(t *testing.T, w *fakehost.World, before func(call, about string) error) *inspect.Process {
	t.Helper()
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	s, err := h.Observe(context.Background())
	if err != nil || len(s.Processes) != 1 {
		t.Fatalf("%d processes, %v", len(s.Processes), err)
	}
	w.Before = func(_ int, call, about string) error { return before(call, about) }
	h.ExamineSockets(context.Background(), h.Tables(), s.Processes[0])
	return s.Processes[0]
}

func oldWorker() *fakehost.World {
	w := fakehost.New()
	fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil,
		fakehost.Client(443, 1, time.Second), fakehost.Client(443, 2, 3*time.Second), fakehost.UDP(40000), fakehost.Paused(80), fakehost.Listen(81))
	return w
}

func TestDescriptorThatClosesAmidTheLookIsNotCounted(t *testing.T) {
	calls := 0
	p := lookAt(t, oldWorker(), func(call, _ string) error {
		if call == "PidfdGetfd" {
			if calls++; calls == 4 { // after 0, 1 and 2 the first connection
				return unix.EBADF
			}
		}
		return nil
	})
	want := map[inspect.End]inspect.Use{
		{Origin: inspect.OriginAccepted, Local: netip.MustParseAddrPort("10.0.0.1:443")}: {Connections: 1, Timed: 1, MinIdle: 3 * time.Second, MaxIdle: 3 * time.Second},
	}
	if p.Err != nil || !maps.Equal(p.Sockets.Ends, want) || !p.Sockets.Proof {
		t.Errorf("error %v, sockets %+v", p.Err, p.Sockets)
	}
}

// What could not be read of one descriptor is unknown of the whole process.
func TestLookThatFailsAnywhereTellsNothing(t *testing.T) {
	calls := map[string]bool{}
	lookAt(t, oldWorker(), func(call, about string) error {
		switch about {
		case "/proc/self/ns/net", "/proc/self/cgroup", "/proc/sys/net/mptcp/enabled", "sock_diag": // decide only where else to look, and what is timed
		default:
			calls[call] = true
		}
		return nil
	})
	for call := range calls {
		for _, errno := range []error{unix.EIO, unix.ENOMEM, unix.EMFILE, unix.ESRCH, context.Canceled} {
			w := oldWorker()
			p := lookAt(t, w, func(c, _ string) error {
				if c == call {
					return errno
				}
				return nil
			})
			if p.Sockets != nil || !errors.Is(p.Err, errno) {
				t.Errorf("%s fails with %v: error %v, sockets %+v", call, errno, p.Err, p.Sockets)
			}
			if n := w.Open(); n != 0 && call != "Close" {
				t.Errorf("%s fails with %v: %d descriptors are left open", call, errno, n)
			}
		}
	}
	for _, call := range []string{"PidfdGetfd", "SockoptInt", "StatusFlags", "SockName", "PeerName", "TCPInfo", "Inode", "Close"} {
		if !calls[call] {
			t.Errorf("the look made no call of %s: this shows nothing of it", call)
		}
	}
}

// MPTCP tells by TCP_INFO of its first path alone.
func TestMPTCPIsWhatItIsAndNotWhatItsFirstPathIs(t *testing.T) {
	local := netip.MustParseAddrPort("10.0.0.1:443")
	client := fakehost.Client(443, 1, time.Second)
	client.MPTCP = true
	of := func(change func(*fakehost.Socket)) fakehost.Socket { s := client; change(&s); return s }
	accepted := inspect.End{Origin: inspect.OriginAccepted, Local: local}
	gone := inspect.End{Origin: inspect.OriginAccepted, Local: local, Gone: true}
	for _, c := range []struct {
		name   string
		socket fakehost.Socket
		ends   map[inspect.End]inspect.Use
		paused int
	}{
		{"a connection", client, map[inspect.End]inspect.Use{accepted: {Connections: 1, Timed: 1, MinIdle: time.Second, MaxIdle: time.Second}}, 0},
		{"one whose first path has gone", of(func(s *fakehost.Socket) { s.State, s.Segments = unix.BPF_TCP_CLOSE, 0 }), map[inspect.End]inspect.Use{accepted: {Connections: 1}}, 0},
		{"one whose first path ends", of(func(s *fakehost.Socket) { s.State = unix.BPF_TCP_LAST_ACK }), map[inspect.End]inspect.Use{accepted: {Connections: 1}}, 0},
		{"one that was reset", of(func(s *fakehost.Socket) { s.State, s.Peer = unix.BPF_TCP_CLOSE, "" }), map[inspect.End]inspect.Use{gone: {Connections: 1}}, 0},
		{"a paused listener", of(func(s *fakehost.Socket) { s.State, s.Peer, s.Segments = unix.BPF_TCP_CLOSE, "", 0 }), nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fakehost.New()
			fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, c.socket)
			p := lookAt(t, w, func(string, string) error { return nil })
			if p.Err != nil || !maps.Equal(p.Sockets.Ends, c.ends) || len(p.Sockets.Paused) != c.paused {
				t.Errorf("error %v, sockets %+v", p.Err, p.Sockets)
			}
		})
	}
}

// Server connections cost a call each to tell where they come from, the clients of
// an address one for all.
func TestWhereConnectionsComeFromIsAskedOnceForAnAddress(t *testing.T) {
	w := fakehost.New()
	sockets := []fakehost.Socket{fakehost.Server(40001), fakehost.Server(40002)}
	for n := range 10 {
		sockets = append(sockets, fakehost.Client(443, n, 0))
	}
	fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, sockets...)
	calls := 0
	p := lookAt(t, w, func(call, _ string) error {
		if call == "SockoptInt" {
			calls++
		}
		return nil
	})
	if p.Err != nil || len(p.Sockets.Ends) != 3 || calls != 4 {
		t.Errorf("%d calls, error %v, ends %v; want 4 calls for 3 ends", calls, p.Err, p.Sockets.Ends)
	}
}

// Of a connection with SO_REUSEADDR alone the bytes that were acknowledged tell whose
// SYN is among them.
func TestWhoOpenedAConnectionThatItsOptionsDoNotTell(t *testing.T) {
	for _, c := range []struct {
		name       string
		state      uint8
		made, busy bool
		want       inspect.Origin
	}{
		{"one that was made", unix.BPF_TCP_ESTABLISHED, true, false, inspect.OriginSource},
		{"one that was accepted", unix.BPF_TCP_ESTABLISHED, false, false, inspect.OriginPassed},
		{"one with something under way", unix.BPF_TCP_ESTABLISHED, true, true, inspect.OriginEither},
		{"one whose other side has finished", unix.BPF_TCP_CLOSE_WAIT, true, false, inspect.OriginSource},
		{"one whose own FIN may be among them", unix.BPF_TCP_FIN_WAIT2, true, false, inspect.OriginEither},
		{"one that was accepted, whose own FIN may be among them", unix.BPF_TCP_FIN_WAIT2, false, false, inspect.OriginEither},
	} {
		s := fakehost.Client(10000, 1, 0)
		s.ReusePort, s.State, s.Made, s.Busy = false, c.state, c.made, c.busy
		w := fakehost.New()
		fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, s)
		p := lookAt(t, w, func(string, string) error { return nil })
		if want := (inspect.End{Origin: c.want, Local: netip.MustParseAddrPort("10.0.0.1:10000")}); p.Err != nil || p.Sockets.Ends[want].Connections != 1 {
			t.Errorf("%s: error %v, ends %v, want %v", c.name, p.Err, p.Sockets.Ends, want)
		}
	}
}

func TestProcessThatHasGoneIsNotLookedAt(t *testing.T) {
	w := oldWorker()
	p := lookAt(t, w, func(call, _ string) error {
		if call == "PidfdGetfd" {
			w.Exit(100)
		}
		return nil
	})
	if p.Sockets != nil || !errors.Is(p.Err, unix.ESRCH) {
		t.Errorf("error %v, sockets %+v", p.Err, p.Sockets)
	}
}

func TestOpenDescriptorsOfThisProcess(t *testing.T) {
	high, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 900)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	var k inspect.Linux
	all := map[int]bool{}
	for from := 0; ; {
		fds, err := k.OpenDescriptors(os.Getpid(), from)
		if err != nil {
			t.Fatal(err)
		}
		if len(fds) == 0 {
			break
		}
		for _, fd := range fds {
			all[fd] = true
		}
		from = fds[len(fds)-1] + 1
	}
	if !all[0] || !all[1] || !all[2] || !all[high] || all[high-1] {
		t.Errorf("descriptors %v, want 0, 1, 2, %d and some more", all, high)
	}
	if fds, err := k.OpenDescriptors(os.Getpid(), 600); err != nil || len(fds) != 1 || fds[0] != high {
		t.Errorf("from 600 on: %v, %v, want %d", fds, err, high)
	}
	if fds, err := k.OpenDescriptors(os.Getpid(), high+1); err != nil || len(fds) != 0 {
		t.Errorf("from %d on: %v, %v, want none", high+1, fds, err)
	}
}
