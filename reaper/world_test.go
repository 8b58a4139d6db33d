package reaper_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// noSignal is how a world names the signal that a pass tries on itself.
const noSignal = "signal 0"

// ticks is a start time: so long before now, which is an hour after boot.
func ticks(ago time.Duration) uint64 { return uint64((time.Hour - ago) / (10 * time.Millisecond)) }

// reloaded is the ordinary case: a service that was reloaded twice, half an hour
// and ten minutes ago. 101 and 102 still have clients, 103 serves.
func reloaded() (*fakehost.World, *fakehost.Service) {
	w := fakehost.New()
	ordinary(w)
	s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
	s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute), fakehost.Client(443, 2, 5*time.Second))
	s.Worker(102, ticks(30*time.Minute), []int{101}, fakehost.Client(443, 3, time.Minute))
	s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.Listen(80))
	return w, s
}

// ordinary is what every host has.
func ordinary(w *fakehost.World) {
	w.Write("/proc/sys/kernel/random/boot_id", "6f6a7e5c-1d3b-4c22-9a52-0e1f00000001\n")
	w.Write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n")
}

// pass is a live pass over a world with a deadline of no time at all.
func pass(t testing.TB, w *fakehost.World) *reaper.Pass {
	t.Helper()
	before := w.Open()
	p, end := openPass(w)
	t.Cleanup(func() {
		end()
		if n := w.Open() - before; n != 0 {
			t.Errorf("%d descriptors were opened and not closed", n)
		}
	})
	return p
}

// openPass is the same; end closes its descriptors.
func openPass(w *fakehost.World) (p *reaper.Pass, end func()) {
	host := inspect.NewHost(w, []string{"haproxy"})
	return &reaper.Pass{
		Host: host, Terminator: reaper.Signaller{Host: host},
		Timing: judge.Timing{Settle: 5 * time.Second, PassTimeout: time.Minute},
	}, host.Close
}

// run runs a pass, which must not fail.
func run(t *testing.T, p *reaper.Pass) judge.Report {
	t.Helper()
	r, err := p.Run(context.Background())
	if err != nil {
		t.Fatalf("pass: %v", err)
	}
	return r
}

// look is the decided report of one look at a world.
func look(t *testing.T, w *fakehost.World) judge.Report {
	t.Helper()
	r, err := pass(t, w).Status(context.Background())
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return r
}

// process finds a process in a report.
func process(t *testing.T, r judge.Report, pid int) judge.Process {
	t.Helper()
	for _, in := range r.Instances {
		for _, p := range in.Processes {
			if p.PID == pid {
				return p
			}
		}
	}
	t.Fatalf("no process %d in the report", pid)
	return judge.Process{}
}

// roles are all processes of a report: pid to role.
func roles(r judge.Report) map[int]judge.Role {
	all := map[int]judge.Role{}
	for _, in := range r.Instances {
		for _, p := range in.Processes {
			all[p.PID] = p.Role
		}
	}
	return all
}

// signalled are the signals sent on a world, as "pid signal".
func signalled(w *fakehost.World) []string {
	list := []string{}
	for _, s := range w.Signals() {
		list = append(list, fmt.Sprintf("%d %v", s.ID.PID, s.Signal))
	}
	return list
}
