package inspect_test

import (
	"context"
	"testing"

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
	if waited := w.Boottime() - before; waited > 100e6 {
		t.Errorf("waited %v for one process", waited)
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
