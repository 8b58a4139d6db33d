package reaper_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The fault sweep: on each of some twenty hosts a whole pass is run once for
// each call that it makes to the kernel and each way in which that call may go
// wrong, and once for each thing that may happen on the host after that call.
// The pass is the real one over inspect.Host, the host the model's.
//
//	go test ./reaper -run TestNoFault -v -fault.share=1

var faultShare = flag.Int("fault.share", 50, "make one in so many of the runs of the fault sweep; 1 is all, more than 100,000")

// ending is what a pass comes to: one of the three.
type ending string

const (
	nothing ending = "nothing"
	refused ending = "refused"
	acted   ending = "acted"
)

// faultRun is one pass, and what went wrong.
type faultRun struct {
	hit    string // "" when the fault suited no call
	ending ending
	wrong  int
	calls  int
	missed []int    // residual processes beside the model's that were not signalled
	faults []string // of the agent's
}

// passUnder makes a pass over a world with one fault at one call.
func passUnder(w faultWorld, f fault, at int, change host) faultRun {
	k := w.build()
	faulty := &faulty{kernel: k, fault: f, at: at, change: change, noGetfd: w.noGetfd, release: make(chan struct{})}
	h := inspect.NewHost(faulty, []string{"haproxy"})
	h.Rights = &inspect.Rights{UIDs: []uint32{fakehost.UIDHAProxy}}
	root := uint32(0)
	p := &reaper.Pass{
		Host: h, Terminator: reaper.Signaller{Host: h}, Timing: w.timing, MasterSocket: w.socket,
		Memory: maps.Clone(w.memory), MemoryOwner: &root,
	}
	began, clock := time.Now(), k.World.Boottime()
	report, err := p.Run(context.Background())
	took := time.Since(began) + k.World.Boottime() - clock
	h.Close()
	open := k.World.Open()
	close(faulty.release)
	if f.what == hangs {
		synctest.Wait() // the look that was left behind ends now
	}

	run := faultRun{hit: faulty.hit, wrong: k.wrong, calls: faulty.calls, ending: nothing}
	sent := 0
	for _, in := range report.Instances {
		if in.Refusal != "" {
			run.ending = refused
		}
		for _, q := range in.Processes {
			if q.Reason == judge.ReasonPassTimeout {
				run.ending = refused
			}
			sent += len(q.Signals)
		}
	}
	if err != nil {
		run.ending = refused
	}
	if len(k.World.Signals())+len(k.World.HangUps()) > 0 {
		run.ending = acted
	}
	for pid := range k.beside {
		if !slices.ContainsFunc(k.World.Signals(), func(s fakehost.Sent) bool { return s.ID.PID == pid }) {
			run.missed = append(run.missed, pid)
		}
	}
	blame := func(format string, args ...any) { run.faults = append(run.faults, fmt.Sprintf(format, args...)) }
	if k.wrong > 0 {
		blame("a wrong signal: %s", strings.Join(k.history, "; "))
	}
	if sent != len(k.World.Signals()) {
		blame("%d signals were sent, and %d reported", len(k.World.Signals()), sent)
	}
	if open > 0 {
		blame("%d descriptors were left open", open)
	}
	// A look that the kernel holds up is given a second more.
	if budget := time.Minute + time.Second + w.timing.KillAfter + w.timing.DrainTimeout + 2*10*time.Second; took > budget {
		blame("it took %v, more than %v", took, budget)
	}
	return run
}

// sweep is the runs over one world.
type sweep struct {
	world   faultWorld
	endings map[ending]int
	runs    int
	wrong   int
	faults  []string
}

// each makes one in so many of the runs over a world.
func (s *sweep) each(t *testing.T, share int) {
	s.endings = map[ending]int{}
	calm := passUnder(s.world, fault{}, -1, host{})
	if len(calm.missed) > 0 {
		s.faults = append(s.faults, fmt.Sprintf("%s: without any fault, %v were not signalled", s.world.name, calm.missed))
	}
	draw := rand.New(rand.NewPCG(1, 1))
	try := func(f fault, at int, change host, say string) {
		if draw.IntN(share) != 0 {
			return
		}
		var run faultRun
		if f.what == hangs {
			// Its time passes as soon as nothing else can.
			synctest.Test(t, func(*testing.T) { run = passUnder(s.world, f, at, change) })
		} else {
			run = passUnder(s.world, f, at, change)
		}
		if run.hit == "" {
			return
		}
		s.runs++
		s.endings[run.ending]++
		s.wrong += run.wrong
		for _, text := range run.faults {
			s.faults = append(s.faults, fmt.Sprintf("%s: %s at %s: %s", s.world.name, say, run.hit, text))
		}
	}
	now := s.world.build().now()
	for at := range calm.calls {
		for _, f := range faults {
			try(f, at, host{}, f.name)
		}
		for _, step := range s.world.host.steps(now) {
			try(fault{what: changes}, at, step.to, step.name)
		}
	}
}

func TestNoFaultSignalsTheWrongProcess(t *testing.T) {
	began := time.Now()
	worlds := faultWorlds()
	sweeps := make([]sweep, len(worlds))
	var wg sync.WaitGroup
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range worlds {
		sweeps[i].world = worlds[i]
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			sweeps[i].each(t, *faultShare)
		})
	}
	wg.Wait()

	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "world\truns\tnothing\trefused\tacted\twrong\n")
	all := sweep{endings: map[ending]int{}}
	for _, s := range sweeps {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\n", s.world.name, s.runs, s.endings[nothing], s.endings[refused], s.endings[acted], s.wrong)
		for i, text := range s.faults {
			if i == 5 {
				t.Errorf("%s: and %d more", s.world.name, len(s.faults)-i)
				break
			}
			t.Error(text)
		}
		all.runs += s.runs
		all.wrong += s.wrong
		for e, n := range s.endings {
			all.endings[e] += n
		}
	}
	fmt.Fprintf(table, "all %d\t%d\t%d\t%d\t%d\t%d\n", len(worlds), all.runs, all.endings[nothing], all.endings[refused], all.endings[acted], all.wrong)
	table.Flush()
	t.Logf("%v\n%s", time.Since(began).Round(time.Second), text.String())
	if len(worlds) < 20 || *faultShare == 1 && all.runs < 50000 || all.endings[acted] == 0 || all.endings[refused] == 0 || all.endings[nothing] == 0 {
		t.Errorf("%d runs over %d worlds, which ended %v: too little to show anything", all.runs, len(worlds), all.endings)
	}
}

// TestTheFaultSweepFails shows that it can: each row is a fault that no kernel
// has, or a limit that is too long.
func TestTheFaultSweepFails(t *testing.T) {
	worlds := faultWorlds()
	for _, tt := range []struct {
		name    string
		fault   fault
		at      int
		timeout time.Duration
		want    string
	}{
		{"what may not be looked at is taken for closed", fault{what: blind}, 0, 0, "a wrong signal"},
		{"a descriptor is not closed", fault{what: leaks}, 0, 0, "descriptors were left open"},
		{"a call hangs and nobody looks at the clock", fault{what: hangs}, 10, time.Hour, "it took"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var found []string
			for _, w := range worlds {
				if tt.timeout > 0 {
					w.timing.PassTimeout = tt.timeout
				}
				synctest.Test(t, func(*testing.T) {
					found = append(found, passUnder(w, tt.fault, tt.at, host{}).faults...)
				})
			}
			if !strings.Contains(strings.Join(found, "\n"), tt.want) {
				t.Errorf("found %q, want %q among it", found, tt.want)
			}
		})
	}
}
