package inspect_test

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// Any user can start processes each of which starts the next. Each was followed up to
// the first, which took 46 s for these.
func TestALongLineOfStrangersChildrenIsFollowedOnce(t *testing.T) {
	const first, strangers = 1000, 60_000
	w := fakehost.New()
	for i := range strangers {
		w.Start(fakehost.Proc{PID: first + i, PPID: first + i - 1, Ticks: uint64(first + i), UID: 5001, Args: []string{"haproxy"}})
	}
	w.Start(fakehost.Proc{PID: 100, PPID: 1, Ticks: 1, Args: []string{"haproxy"}})
	w.Start(fakehost.Proc{PID: 101, PPID: 100, Ticks: 2, UID: 5001, Args: []string{"haproxy"}})
	w.Start(fakehost.Proc{PID: 102, PPID: 101, Ticks: 3, UID: 5001, Args: []string{"haproxy"}})
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	h.Rights = &inspect.Rights{UIDs: []uint32{102}}
	began := time.Now()
	s, err := h.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a look took %v", took)
	}
	for _, p := range s.Processes {
		if p.Stranger != (p.PID >= first) {
			t.Errorf("process %d is a stranger: %v", p.PID, p.Stranger)
		}
	}
}
