package reaper_test

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestOnlyWhoIsToLeaveCanBeWedged(t *testing.T) {
	for state, want := range map[byte]judge.Wedge{
		'S': judge.WedgeNone, 'R': judge.WedgeNone, 'I': judge.WedgeNone,
		'T': judge.WedgeStopped, 't': judge.WedgeTraced, 'D': judge.WedgeBlocked,
	} {
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
		s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute)).State = state
		s.Worker(102, ticks(10*time.Minute), []int{101}, fakehost.Listen(443)).State = state
		p := pass(t, w)
		p.Terminator = reaper.DryRun{}
		r := run(t, p)
		if got := process(t, r, 101).Wedge; got != want {
			t.Errorf("a residual process in state %c is %q, want %q", state, got, want)
		}
		for _, pid := range []int{100, 102} {
			if got := process(t, r, pid).Wedge; got != judge.WedgeNone {
				t.Errorf("process %d, which is not to leave, is %q in state %c", pid, got, state)
			}
		}
	}
}
