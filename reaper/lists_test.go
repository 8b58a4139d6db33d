package reaper_test

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A master's list is its workers' list too, and may name many processes that have left.
// It is parsed once, and a look at 300 workers costs no 300 times its length.
func TestALongListIsReadOnceForAllOfItsWorkers(t *testing.T) {
	look := func(pids int) (time.Duration, judge.Report) {
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(59*time.Minute))
		var list []int
		for i := range pids {
			list = append(list, 1_000_000+i%(pids/2))
		}
		for i := range 299 {
			s.Worker(1000+i, ticks(50*time.Minute)+uint64(200*i), list, fakehost.Client(443, i, 0))
		}
		all := append(list, s.Master.PID)
		for i := range 299 {
			all = append(all, 1000+i)
		}
		s.Worker(2000, ticks(time.Second), all, fakehost.Listen(443))
		began := time.Now()
		r := look(t, w)
		return time.Since(began), r
	}
	short, _ := look(10)
	long, r := look(50_000)
	if got := process(t, r, 1000); got.Role != judge.RoleResidual {
		t.Errorf("process 1000 is %s", got.Role)
	}
	t.Logf("with 10 pids %v, with 50,000 pids %v", short, long)
	// Read for each worker anew it took 13.5 s, and ten times that with -race.
	if long > short+10*time.Second {
		t.Errorf("a look takes %v with 50,000 pids, and %v with 10", long, short)
	}
}

func TestAReportHasTheFirstArgumentsOfALongCommandLine(t *testing.T) {
	w, s := reloaded()
	var list []int
	for i := range 50_000 {
		list = append(list, 1_000_000+i)
	}
	s.Worker(103, ticks(10*time.Minute), append(list, 101, 102), fakehost.Listen(443))
	args := process(t, look(t, w), 103).Args
	size := 0
	for _, arg := range args {
		size += len(arg)
	}
	if size > 17<<10 || len(args) < 1000 || args[len(args)-1] != "..." {
		t.Errorf("%d arguments of %d bytes, the last is %q", len(args), size, args[len(args)-1])
	}
}
