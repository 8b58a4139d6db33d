package inspect_test

import (
	"context"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// amidSignals are the masks of a worker of 2.6 while it works off signals, as
// /proc showed them amid external checks.
var amidSignals = inspect.SignalMasks{Blocked: 0xfffffffe7bbbda37, Caught: 0x712205}

// observeOne looks at a host of one process.
func observeOne(t *testing.T, w *fakehost.World) *inspect.Process {
	t.Helper()
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	s, err := h.Observe(context.Background())
	if err != nil || len(s.Processes) != 1 {
		t.Fatalf("%d processes, %v", len(s.Processes), err)
	}
	return s.Processes[0]
}

func TestMasksOfAnInstantAreReadAgainUntilTheyLast(t *testing.T) {
	w := fakehost.New()
	p := fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil)
	p.Masks = amidSignals
	slept := 0
	w.Before = func(_ int, call, _ string) error {
		if call == "Sleep" {
			if slept++; slept == 3 {
				w.Change(func() { p.Masks = fakehost.WorkerMasks })
			}
		}
		return nil
	}
	if got := observeOne(t, w); got.Signals != fakehost.WorkerMasks || got.Err != nil {
		t.Errorf("masks %+v, error %v", got.Signals, got.Err)
	}
	if slept != 3 {
		t.Errorf("waited %d times, want 3", slept)
	}
}

func TestMasksOfAnInstantThatNeverEndsAreBelievedInTheEnd(t *testing.T) {
	w := fakehost.New()
	fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil).Masks = amidSignals
	before := w.Boottime()
	if got := observeOne(t, w); got.Signals != amidSignals || got.Signals.Ready() || got.Err != nil {
		t.Errorf("masks %+v, error %v", got.Signals, got.Err)
	}
	if waited := w.Boottime() - before; waited > time.Second {
		t.Errorf("waited %v for one process", waited)
	}
}

func TestProcessInTheMiddleOfExecIsReadAgain(t *testing.T) {
	w := fakehost.New()
	p := fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil)
	args := p.Args
	p.Args = nil
	w.Before = func(_ int, call, _ string) error {
		if call == "Sleep" {
			w.Change(func() { p.Args = args })
		}
		return nil
	}
	if got := observeOne(t, w); len(got.Command.Args) != len(args) {
		t.Errorf("arguments %q, want %q", got.Command.Args, args)
	}
}

func TestProcessThatExitsInItsInstantIsGone(t *testing.T) {
	w := fakehost.New()
	fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil)
	fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 101, 1001, nil).Masks = amidSignals
	w.Before = func(_ int, call, _ string) error {
		if call == "Sleep" {
			w.Exit(101)
		}
		return nil
	}
	if got := observeOne(t, w); got.PID != 100 {
		t.Errorf("%v is left, want 100", got.ProcID)
	}
}

// Any user can have many processes that look so for ever.
func TestManyInstantsThatNeverEndCostNoMoreThanOne(t *testing.T) {
	w := fakehost.New()
	for pid := 100; pid < 200; pid++ {
		fakehost.Daemon(w, "/tmp/mine.cfg", pid, 1000, nil).Masks = amidSignals
	}
	before := w.Boottime()
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	if s, err := h.Observe(context.Background()); err != nil || len(s.Processes) != 100 {
		t.Fatalf("%d processes, %v", len(s.Processes), err)
	}
	if waited := w.Boottime() - before; waited > time.Second {
		t.Errorf("waited %v", waited)
	}
}

// Loading and starting last for seconds, so nobody shall wait for their end.
func TestMasksThatLastAreReadOnce(t *testing.T) {
	for _, masks := range []inspect.SignalMasks{fakehost.WorkerMasks, fakehost.MasterMasks, fakehost.ReloadingMasks, fakehost.StartingMasks} {
		w := fakehost.New()
		fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil).Masks = masks
		before := w.Boottime()
		if got := observeOne(t, w); got.Signals != masks {
			t.Errorf("masks %+v, want %+v", got.Signals, masks)
		}
		if waited := w.Boottime() - before; waited != 0 {
			t.Errorf("waited %v for masks %+v", waited, masks)
		}
	}
}
