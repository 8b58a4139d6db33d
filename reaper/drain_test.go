package reaper_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// client is a socket of the port's n-th client.
func client(port, n int, idle time.Duration) fakehost.Socket { return fakehost.Client(port, n, idle) }

// draining is a live pass that drains, over a service with two old workers that
// leave when their last connection has ended: 101 and 102, 103 serves.
func draining(t testing.TB, rate float64, first, second []fakehost.Socket) (*fakehost.World, *fakehost.Service, *reaper.Pass) {
	w := fakehost.New()
	ordinary(w)
	s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
	s.Worker(101, ticks(49*time.Minute), nil, first...).Leaves = true
	s.Worker(102, ticks(30*time.Minute), []int{101}, second...).Leaves = true
	s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.Listen(22))
	p := pass(t, w)
	p.Timing.DrainRate, p.Timing.DrainTimeout = rate, 5*time.Minute
	return w, s, p
}

// hungUp are the shutdowns of a world, as "pid port how".
func hungUp(w *fakehost.World) []string {
	list := []string{}
	for _, h := range w.HangUps() {
		how := map[int]string{unix.SHUT_RD: "gently", unix.SHUT_RDWR: "now"}[h.How]
		list = append(list, fmt.Sprintf("%d %s %s", h.ID.PID, h.Socket.Peer[strings.LastIndex(h.Socket.Peer, ":")+1:], how))
	}
	return list
}

func TestADrainClosesTheConnectionsOfAStuckProcessLast(t *testing.T) {
	w, s, p := draining(t, 1, nil, []fakehost.Socket{client(443, 3, time.Second), client(443, 4, 2*time.Second)})
	s.Worker(101, ticks(49*time.Minute), nil, client(443, 1, time.Hour), client(443, 2, 2*time.Hour)).State = 'T'
	run(t, p)
	want := []string{"102 30004 gently", "102 30003 gently", "101 30002 gently", "101 30001 gently"}
	if got := hungUp(w); !equal(got[:min(4, len(got))], want) {
		t.Errorf("closed %v, want first %v", got, want)
	}
}

func TestADrainClosesTheLongestIdleFirstAcrossTheTargets(t *testing.T) {
	w, _, p := draining(t, 1, []fakehost.Socket{client(443, 1, time.Minute), client(443, 2, time.Second)}, []fakehost.Socket{client(443, 3, time.Hour), client(22, 4, 30*time.Second)})
	began := w.Boottime()
	r := run(t, p)
	want := []string{"102 30003 gently", "101 30001 gently", "102 30004 gently", "101 30002 gently"}
	if diff := cmp.Diff(want, hungUp(w)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	for pid, n := range map[int]int{101: 2, 102: 2} {
		if q := process(t, r, pid); q.Outcome != judge.OutcomeDrained || q.DrainedConnections != n {
			t.Errorf("%d: outcome %q after %d connections", pid, q.Outcome, q.DrainedConnections)
		}
	}
	if got := signalled(w); len(got) > 0 {
		t.Errorf("signalled %v", got)
	}
	// A second to the second look, and one between each of four.
	if took := w.Boottime() - began; took < 4*time.Second || took > 6*time.Second {
		t.Errorf("it took %v", took)
	}
	if want := (judge.Summary{Active: 1, Terminated: 2}); r.Summary != want {
		t.Errorf("summary %+v, want %+v", r.Summary, want)
	}
	var c state.Counters
	c.Add(r, false)
	for _, u := range c.Units {
		if u.TerminatedProcesses != 2 || u.TerminatedConnections != 4 {
			t.Errorf("%d processes and %d connections counted", u.TerminatedProcesses, u.TerminatedConnections)
		}
	}
}

func TestADrainTouchesNothingButClients(t *testing.T) {
	server := fakehost.Server(30009) // HAProxy connects to itself: this is the far end of a client's connection
	server.Local, server.Peer, server.Inode = "10.0.0.2:30009", "10.0.0.1:443", 900
	source := client(443, 2, time.Hour) // with "source", on a port that the active has listened on since
	source.Local, source.Peer, source.ReusePort, source.Inode = "10.0.0.7:443", "10.0.0.9:80", false, 901
	its := client(443, 3, time.Hour)
	its.Peer, its.Inode = "10.0.0.7:443", 902
	log := client(8443, 4, time.Hour) // on the port of a log of the active's
	log.ReuseAddr, log.ReusePort = false, false
	sockets := []fakehost.Socket{
		client(443, 9, time.Hour), server, source, its, log,
		client(8080, 5, time.Hour), // the active does not listen there
		fakehost.Reset(443), fakehost.QUIC(443, 8), fakehost.HalfClosed(443, 6, time.Minute),
	}
	w, s, p := draining(t, 10, sockets, []fakehost.Socket{client(22, 7, time.Minute)})
	s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.Listen(22), fakehost.UDP(8443))
	r := run(t, p)
	want := []string{"101 30009 gently", "101 443 gently", "101 30006 gently", "102 30007 gently"}
	if diff := cmp.Diff(want, hungUp(w)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	// What is left of it is no client's for sure: that is what the signal is for.
	if got := signalled(w); !equal(got, []string{"101 terminated"}) {
		t.Errorf("signalled %v", got)
	}
	if q := process(t, r, 101); q.Outcome != judge.OutcomeTerminated || q.DrainedConnections != 3 {
		t.Errorf("outcome %q after %d connections", q.Outcome, q.DrainedConnections)
	}
}

// Nobody knows since when nothing has moved on a connection of MPTCP whose first
// path has gone, and it may have moved just now.
func TestADrainClosesLastWhatMayBeBusy(t *testing.T) {
	phone := client(443, 1, time.Hour)
	phone.MPTCP, phone.State, phone.Segments = true, unix.BPF_TCP_CLOSE, 0
	w, _, p := draining(t, 10, []fakehost.Socket{phone, client(443, 2, time.Minute), client(443, 3, 0)}, nil)
	run(t, p)
	if diff := cmp.Diff([]string{"101 30002 gently", "101 30003 gently", "101 30001 gently"}, hungUp(w)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
}

// A session on a statistics socket of TCP is nobody's that the drain is for.
func TestADrainLeavesTheSessionsOfHAProxysOwnCLI(t *testing.T) {
	w, s, p := draining(t, 10, []fakehost.Socket{client(443, 1, time.Minute), client(22, 2, time.Hour)}, nil)
	s.Answer(map[int]bool{101: true, 103: false})
	w.Change(func() {
		s.Master.CLI["@!101 show cli sockets"] = "# socket lvl processes\nipv4@0.0.0.0:22 admin all\n\n"
	})
	run(t, p)
	if diff := cmp.Diff([]string{"101 30001 gently"}, hungUp(w)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
}

func TestWhatADrainLeavesIsSignalled(t *testing.T) {
	stubborn := client(443, 1, time.Minute)
	stubborn.Stubborn = true
	many := []fakehost.Socket{}
	for n := range 400 {
		many = append(many, client(443, 10+n, time.Minute))
	}
	for _, tt := range []struct {
		name         string
		first        []fakehost.Socket
		change       func(*reaper.Pass)
		closed, took []int // connections, and seconds: at least and at most
		want         []string
	}{
		{"one whose server does not close is closed at once after a while, and then", []fakehost.Socket{stubborn}, func(*reaper.Pass) {}, []int{2, 2}, []int{5, 12}, nil},
		{"what is left at the end of --drain-timeout", many, func(p *reaper.Pass) { p.Timing.DrainTimeout = 30 * time.Second }, []int{29, 33}, []int{31, 40}, []string{"101 terminated"}},
		{"what a port's own deadline spares", []fakehost.Socket{client(22, 1, time.Minute), client(443, 2, time.Minute)}, func(p *reaper.Pass) {
			p.Policy.Deadline, p.Policy.MaxResidual, p.Policy.DeadlineFor = 24*time.Hour, 1, map[uint16]time.Duration{22: 48 * time.Hour}
		}, []int{1, 1}, []int{6, 10}, []string{"101 terminated"}},
		{"one without any client, at once", []fakehost.Socket{client(8080, 1, time.Minute)}, func(p *reaper.Pass) { p.Policy.Deadline = 5 * time.Minute }, []int{0, 0}, []int{1, 3}, []string{"101 terminated"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, _, p := draining(t, 1, tt.first, []fakehost.Socket{client(443, 9, 0)})
			tt.change(p)
			if p.Policy.MaxResidual == 0 {
				w.Exit(102)
			}
			began := w.Boottime()
			run(t, p)
			took := int((w.Boottime() - began) / time.Second)
			if n := len(w.HangUps()); n < tt.closed[0] || n > tt.closed[1] {
				t.Errorf("closed %v, want %v", hungUp(w), tt.closed)
			}
			if took < tt.took[0] || took > tt.took[1] {
				t.Errorf("it took %d s, want %v", took, tt.took)
			}
			if got := signalled(w); !equal(got, tt.want) && len(got)+len(tt.want) > 0 {
				t.Errorf("signalled %v, want %v", got, tt.want)
			}
		})
	}
}

func TestADrainEndsWhenThePictureIsNoLongerClear(t *testing.T) {
	three := []fakehost.Socket{client(443, 1, time.Minute), client(443, 2, time.Minute), client(443, 3, time.Minute)}
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World, s *fakehost.Service)
		reason judge.Reason
	}{
		{"the active no longer listens", func(w *fakehost.World, s *fakehost.Service) { s.Worker(103, ticks(10*time.Minute), []int{102, 101}) }, judge.ReasonNotListening},
		{"the master has begun a reload", func(w *fakehost.World, s *fakehost.Service) {
			w.Change(func() { s.Master.Masks = fakehost.ReloadingMasks })
		}, judge.ReasonReloading},
		{"there is another active", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(0), []int{103, 102, 101}, fakehost.Listen(443))
			s.Worker(103, ticks(10*time.Minute), []int{102, 101})
		}, judge.ReasonChanged},
		{"it listens again", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, append([]fakehost.Socket{fakehost.Listen(443)}, three...)...)
		}, judge.ReasonStranded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s, p := draining(t, 1, three, nil)
			w.Exit(102)
			w.Before = func(_ int, call, _ string) error {
				if call == "Sleep" && len(w.HangUps()) == 1 && tt.change != nil {
					tt.change(w, s)
					tt.change = nil
				}
				return nil
			}
			r := run(t, p)
			if n := len(w.HangUps()); n != 1 {
				t.Errorf("closed %v after it", hungUp(w))
			}
			if got := signalled(w); len(got) > 0 {
				t.Errorf("signalled %v", got)
			}
			if q := process(t, r, 101); q.Verdict == judge.VerdictTerminate || q.Reason != tt.reason {
				t.Errorf("%s, %s, want %s", q.Verdict, q.Reason, tt.reason)
			}
		})
	}
}

func TestADryRunClosesNothing(t *testing.T) {
	w, _, p := draining(t, 100, []fakehost.Socket{client(443, 1, time.Minute)}, []fakehost.Socket{client(443, 2, time.Minute)})
	p.Terminator = reaper.DryRun{}
	w.Before = func(_ int, call, about string) error {
		if call == "Shutdown" || call == "PidfdSendSignal" && about != noSignal {
			t.Errorf("a dry run called %s", call)
		}
		return nil
	}
	r := run(t, p)
	if q := process(t, r, 101); q.Outcome != judge.OutcomeDryRun || q.DrainedConnections != 0 {
		t.Errorf("outcome %q", q.Outcome)
	}
}

// A descriptor that is another socket by the time it is to be closed is left.
func TestAnotherSocketUnderTheSameDescriptorIsLeft(t *testing.T) {
	w, s, p := draining(t, 1, []fakehost.Socket{client(443, 1, time.Hour), client(443, 2, time.Minute)}, nil)
	w.Exit(102)
	other := client(443, 7, 0)
	w.Before = func(_ int, call, _ string) error {
		if call == "Sleep" && len(w.HangUps()) == 1 {
			s.Worker(101, ticks(49*time.Minute), nil, other, other).Ignores = []syscall.Signal{}
			w.Before = nil
		}
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	p.Step = func() {}
	p.Timing.DrainTimeout = 2500 * time.Millisecond
	if _, err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := hungUp(w); len(got) != 1 {
		t.Errorf("closed %v, want the first alone", got)
	}
	var socket inspect.ClientSocket
	socket.FD = 3
	if err := p.Host.HangUp(inspect.ProcID{PID: 103, StartTicks: ticks(10 * time.Minute)}, socket, inspect.HangupNow); err == nil {
		t.Error("a listener was hung up")
	}
}
