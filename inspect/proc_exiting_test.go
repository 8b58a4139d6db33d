package inspect_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// An external check that ends has no executable for a moment and its pidfd does
// not say yet that it has gone.
func TestAProcessAmidItsExitIsGone(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    fakehost.Proc
		gone bool
	}{
		{"one of a single thread", fakehost.Proc{Exiting: true, Threads: 1}, true},
		{"one whose letter says so too", fakehost.Proc{Exiting: true, Threads: 1, State: 'Z'}, true},
		{"a leader that has left another thread behind", fakehost.Proc{Exiting: true, Threads: 2, State: 'Z'}, false},
		{"one that nothing is known of, since it was buried as we looked", fakehost.Proc{Exiting: true, Threads: -1, State: 'X'}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			tt.p.PID, tt.p.PPID, tt.p.Ticks, tt.p.Masks = 100, 1, 1000, fakehost.WorkerMasks
			w.Start(tt.p)
			h := inspect.NewHost(w, []string{"haproxy"})
			defer h.Close()
			s, err := h.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if gone := len(s.Processes) == 0; gone != tt.gone {
				t.Errorf("gone is %v, want %v", gone, tt.gone)
			}
			if !tt.gone && (len(s.Processes) != 1 || s.Processes[0].Err == nil) {
				t.Errorf("looked at %v, want one process that could not be read", s.Processes)
			}
		})
	}
}

// One reading of a file is not of one instant: the leader may start its last
// thread and leave between the line's two facts.
func TestALeaderThatLeavesAThreadBehindWhileItIsReadIsNotGone(t *testing.T) {
	w := fakehost.New()
	p := w.Start(fakehost.Proc{PID: 100, PPID: 1, Ticks: 1000, Masks: fakehost.WorkerMasks, Exiting: true, Threads: 1})
	stats := 0
	w.Before = func(_ int, call, about string) error {
		if about == "/proc/100/stat" {
			if stats++; stats == 3 { // the facts, the first reading, and now the second
				w.Change(func() { p.Threads = 2 })
			}
		}
		return nil
	}
	if got := observeOne(t, w); got.Err == nil {
		t.Error("it was read in full")
	}
	if stats != 3 {
		t.Errorf("its stat was read %d times, want 3", stats)
	}
}

// The same on a real kernel.
func TestAProcessWhoseMemoryTheKernelTakesBackIsGone(t *testing.T) {
	t.Parallel()
	for try := 1; !caughtExiting(t); try++ {
		if try == 50 {
			t.Fatal("no look fell into the exit of a process")
		}
	}
}

// caughtExiting ends a process of much memory, which the kernel takes back after
// the executable has gone and before the pidfd says so. It tells whether a look
// fell in between.
func caughtExiting(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("tail", "-n", "1") // keeps all of its input: a line without an end
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	if _, err := input.Write(make([]byte, 100<<20)); err != nil {
		t.Fatal(err)
	}

	h := inspect.NewHost(inspect.Linux{}, []string{"tail"})
	defer h.Close()
	s, err := h.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Processes, func(p *inspect.Process) bool { return p.PID == cmd.Process.Pid })
	if i < 0 {
		t.Fatalf("process %d is not among %d", cmd.Process.Pid, len(s.Processes))
	}
	id := s.Processes[i].ProcID
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for {
		_, linkErr := inspect.Linux{}.Readlink(fmt.Sprintf("/proc/%d/exe", id.PID))
		_, err := h.Again(t.Context(), id)
		if h.Exited(id) {
			return false
		}
		if errors.Is(linkErr, unix.ENOENT) {
			if !errors.Is(err, inspect.ErrGone) {
				t.Errorf("of a process that exits: %v", err)
			}
			return true
		}
	}
}
