package reaper_test

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// TestNoCutOfAFileAddsASignal cuts each file of each process at each length, for
// good: a list of pids must not end in a shorter one, a start not in an earlier.
// 10 was never told to leave, and 1, 10 and 101 begin alike.
func TestNoCutOfAFileAddsASignal(t *testing.T) {
	build := func() *fakehost.World {
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
		for _, p := range []*fakehost.Proc{
			s.Worker(10, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute)),
			s.Worker(101, ticks(40*time.Minute), nil, fakehost.Client(443, 2, time.Minute)),
			s.Worker(103, ticks(10*time.Minute), nil, fakehost.Listen(443)),
		} {
			p.Args = []string{"haproxy", "-W", "-f", "/a.cfg"} // as HAProxy 1.8 to 2.1: the list comes last
			if p.PID == 103 {
				p.Args = append(p.Args, "-sf", "101")
			}
		}
		w.Change(func() { s.Master.Args = []string{"haproxy", "-W", "-f", "/a.cfg"} })
		return w
	}
	passes, right := 0, 0
	for _, pid := range []string{"10", "100", "101", "103"} {
		for _, name := range []string{"stat", "status", "cmdline", "cgroup", "comm"} {
			file := "/proc/" + pid + "/" + name
			whole, err := build().ReadFile(file, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for n := range len(whole) {
				w := build()
				w.Write(file, string(whole[:n]))
				run(t, pass(t, w))
				passes++
				for _, s := range w.Signals() {
					if right++; s.ID.PID != 101 {
						t.Errorf("%s cut to %q: signalled %v", file, whole[:n], s)
					}
				}
			}
		}
	}
	t.Logf("%d passes, %d right signals", passes, right)
	if right == 0 {
		t.Error("nobody was ever signalled")
	}
}
