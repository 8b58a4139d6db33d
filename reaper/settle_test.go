package reaper_test

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// These tests are about --settle, which is 5s here: how long a picture that is
// unclear may take to clear, at each place where that may happen.

// An unclear picture is looked at ten times a second, and no longer than its time.
func TestAnUnclearPictureHasItsTimeAndNoMore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World, s *fakehost.Service)
		took   time.Duration
	}{
		{"a process that starts for ever", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(time.Second), []int{103}).Masks = fakehost.ReloadingMasks
		}, 5 * time.Second},
		{"an instance out of sight, from the second look on", func(w *fakehost.World, s *fakehost.Service) {
			looks := 0
			w.Before = func(_ int, call, _ string) error {
				if call == "Pids" {
					looks++
				}
				if call == "Pids" && looks > 1 {
					return unix.EIO
				}
				return nil
			}
		}, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			tt.change(w, s)
			began := w.Boottime()
			r := run(t, pass(t, w))
			if got := w.Boottime() - began; got != tt.took {
				t.Errorf("it took %v, want %v", got, tt.took)
			}
			if got := signalled(w); len(got) != 0 || r.Instances[0].Refusal == "" {
				t.Errorf("signalled %v, refused for %q", got, r.Instances[0].Refusal)
			}
		})
	}
}

// HAProxy holds its signals back for an instant now and then: that is no reason
// to refuse, not even right before a signal; but for no longer than its time.
func TestAPictureMayClearRightBeforeASignal(t *testing.T) {
	deaf := fakehost.MasterMasks
	deaf.Blocked = fakehost.ReloadingMasks.Blocked
	for _, tt := range []struct {
		name   string
		masks  inspect.SignalMasks // of the master
		clears bool
		want   []string
		took   time.Duration
	}{
		{"a master without handlers, for an instant", fakehost.ReloadingMasks, true, []string{"101 terminated", "102 terminated"}, 1010 * time.Millisecond},
		{"a master without handlers, for good", fakehost.ReloadingMasks, false, []string{}, 6 * time.Second},
		{"one that has them and holds its signals back", deaf, false, []string{}, 6 * time.Second},
		{"one that has lost them and holds nothing back", fakehost.StartingMasks, false, []string{}, 6 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			reads, perLook := 0, 0
			w.Before = func(_ int, call, about string) error {
				switch {
				case call == "Sleep" && perLook == 0:
					perLook = reads
				case call == "Sleep" && tt.clears:
					w.Change(func() { s.Master.Masks = fakehost.MasterMasks })
				case call == "ReadFile" && about == "/proc/100/status":
					if reads++; perLook > 0 && reads == 2*perLook+1 { // two looks have been
						w.Change(func() { s.Master.Masks = tt.masks })
					}
				}
				return nil
			}
			began := w.Boottime()
			r := run(t, pass(t, w))
			if got := signalled(w); !equal(got, tt.want) {
				t.Errorf("signalled %v, want %v; refused for %q", got, tt.want, r.Instances[0].Refusal)
			}
			if got := w.Boottime() - began; got != tt.took {
				t.Errorf("it took %v, want %v", got, tt.took)
			}
		})
	}
}

// Amid a drain too, and there as well for no longer than its time.
func TestAPictureMayClearAmidADrain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		clears int // after so many more looks; 0 is never
		closed int
	}{
		{"it clears", 20, 3},
		{"it clears at the last moment", 50, 3},
		{"a moment later it is too late", 51, 1},
		{"it does not clear", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			three := []fakehost.Socket{client(443, 1, time.Minute), client(443, 2, time.Minute), client(443, 3, time.Minute)}
			w, s, p := draining(t, 1, three, nil)
			w.Exit(102)
			sleeps := 0
			w.Before = func(_ int, call, _ string) error {
				if call != "Sleep" || len(w.HangUps()) != 1 {
					return nil
				}
				switch sleeps++; sleeps {
				case 1:
					w.Change(func() { s.Master.Masks = fakehost.ReloadingMasks })
				case tt.clears + 1:
					w.Change(func() { s.Master.Masks = fakehost.MasterMasks })
				}
				return nil
			}
			r := run(t, p)
			if n := len(w.HangUps()); n != tt.closed {
				t.Errorf("%d connections closed, want %d: %v", n, tt.closed, r.Instances[0].Refusal)
			}
			if want := map[bool]judge.Reason{true: "", false: judge.ReasonReloading}[tt.closed == 3]; r.Instances[0].Refusal != want {
				t.Errorf("refused for %q, want %q", r.Instances[0].Refusal, want)
			}
		})
	}
}

// A process may take its time to leave: it is waited for.
func TestWhoLeavesAfterAWhileHasLeftByItsSignal(t *testing.T) {
	w, s := reloaded()
	w.Exit(102)
	s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).Ignores = []syscall.Signal{syscall.SIGTERM}
	polls := 0
	w.Before = func(_ int, call, _ string) error {
		if call == "Poll" && len(w.Signals()) > 0 {
			if polls++; polls == 4 {
				w.Exit(101)
			}
		}
		return nil
	}
	if p := process(t, run(t, pass(t, w)), 101); p.Outcome != judge.OutcomeTerminated {
		t.Errorf("outcome %q, after %d polls", p.Outcome, polls)
	}
}
