package reaper_test

import (
	"context"
	"flag"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The model check: every interleaving, up to a number of steps, of a whole pass
// with what may happen on its host meanwhile. The pass is the real one, over
// inspect.Host, down to the kernel's calls; the host is the one of
// model_host_test.go.
//
// Before each call any sequence of steps may happen. A state is all that the
// pass has been told so far and all that is true on the host, at a call: two
// ways to the same state have the same future, so it is explored once. A step
// waits for a call that it can make a difference to, since before any other it
// is the same as after it.

var (
	modelSteps  = flag.Int("model.steps", 1, "how many steps may happen during a pass; 2 makes millions of states, and takes minutes")
	modelPasses = flag.Int("model.passes", 50, "how many passes to make of each scenario at most; 0 is all that there are")
	modelPairs  = flag.Bool("model.pairs", false, "take every guard away, alone and with every other, not only the pairs that are known to tell")
)

// scenario is a host that a pass may find, and how it goes about it.
type scenario struct {
	name   string
	host   host
	timing judge.Timing
}

// ordinaryHost: 101 was told to leave when 102 came.
func ordinaryHost(daemon bool) host {
	h := host{daemon: daemon}
	if !daemon {
		h = h.with(body{pid: masterPID, ppid: 1, ticks: ticks(50 * time.Minute), sort: master, ready: true}, 0)
	}
	h = h.with(body{pid: 101, ppid: h.parent(), ticks: ticks(49 * time.Minute), sort: worker, ready: true, told: true}, 0)
	return h.with(body{pid: 102, ppid: h.parent(), ticks: ticks(30 * time.Minute), sort: worker, ready: true, listens: true, named: []int{101}}, 0)
}

// after takes the steps of the given names.
func (h host) after(names ...string) host {
	for n, name := range names {
		steps := h.steps(ticks(time.Minute - time.Duration(n)*time.Second))
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		if i < 0 {
			panic("no step " + name)
		}
		h = steps[i].to
	}
	return h
}

func scenarios() []scenario {
	timing := judge.Timing{Settle: 150 * time.Millisecond, PassTimeout: time.Minute}
	var list []scenario
	for _, model := range []string{"master-worker", "master-worker 3.1", "daemon"} {
		h := ordinaryHost(model == "daemon")
		h.modern = model == "master-worker 3.1"
		for _, s := range []struct {
			name  string
			steps []string
		}{
			{"idle", nil},
			{"a reload has forked", []string{"a reload begins", "the new worker is 103"}},
			{"a bind conflict", []string{"a reload begins", "the new worker is 103", "the old worker is paused"}},
			{"a check outlives a reload", []string{
				"102 forks a check", "check 103 closes its descriptors",
				"a reload begins", "the new worker is 104", "the new worker is ready", "the old worker is told", "the reload ends",
			}},
			{"the new worker serves", []string{"a reload begins", "the new worker is 103", "the new worker is ready"}},
		} {
			list = append(list, scenario{model + ", " + s.name, h.after(s.steps...), timing})
		}
	}
	wedged := ordinaryHost(false)
	wedged.bodies[1].wedged = true
	timing.KillAfter = 300 * time.Millisecond
	drained := judge.Timing{Settle: 150 * time.Millisecond, PassTimeout: time.Minute, DrainRate: 1, DrainTimeout: 3 * time.Second}
	return append(list,
		scenario{"master-worker, wedged", wedged, timing},
		scenario{"master-worker, drained", ordinaryHost(false), drained},
		scenario{"daemon, drained", ordinaryHost(true), drained})
}

// turn is when the host becomes another one.
type turn struct {
	call int
	to   host
	say  string
	seen uint64 // what the pass had been told until then
}

// job is one way for a pass to go: the turns so far, and how many steps are left.
type job struct {
	turns []turn
	left  int
}

// search explores one scenario.
type search struct {
	scenario
	lies    []guard
	passes  int             // at most; 0 is no bound
	found   *atomic.Bool    // set by the first wrong signal, which then ends all searches
	seen    map[uint64]int8 // states, and the most steps that were left there
	jobs    []job
	runs    int
	right   int
	wrong   int
	astray  int    // passes that did not repeat what led to their state
	example string // of a wrong signal
}

func (s *search) explore(steps int) {
	order := rand.New(rand.NewPCG(1, 1))
	s.seen = map[uint64]int8{}
	s.jobs = []job{{left: steps}}
	for len(s.jobs) > 0 && (s.passes == 0 || s.runs < s.passes) && !(s.found != nil && s.found.Load()) {
		last := len(s.jobs) - 1
		if s.found != nil { // anywhere, rather than all that follows one state
			i := order.IntN(last + 1)
			s.jobs[i], s.jobs[last] = s.jobs[last], s.jobs[i]
		}
		j := s.jobs[last]
		s.jobs = s.jobs[:last]
		s.run(j)
	}
}

// run is one whole pass.
func (s *search) run(j job) {
	s.runs++
	k := newKernel(s.host, s.lies)
	k.kills = s.timing.KillAfter > 0
	call, known := 0, false
	turns := j.turns
	k.boundary = func(pids []int) {
		if len(turns) > 0 {
			if call == turns[0].call {
				if k.trace.Sum64() != turns[0].seen {
					s.astray++
				}
				k.become(turns[0].to)
				turns = turns[1:]
			}
		}
		if len(turns) == 0 && !known && (pids == nil || len(pids) > 0) {
			known = !s.arrive(k, j, call, pids)
		}
		call++
	}
	host := inspect.NewHost(k, []string{"haproxy"})
	host.Rights = &inspect.Rights{UIDs: []uint32{fakehost.UIDHAProxy}}
	p := &reaper.Pass{Host: host, Terminator: reaper.Signaller{Host: host}, Timing: s.timing, MasterSocket: "none"}
	_, _ = p.Run(context.Background())
	host.Close()
	s.right += k.right
	s.wrong += k.wrong
	if k.wrong > 0 && s.found != nil {
		s.found.Store(true)
	}
	if k.wrong > 0 && s.example == "" {
		var told []string
		for _, t := range j.turns {
			told = append(told, fmt.Sprintf("call %d: %s", t.call, t.say))
		}
		s.example = strings.Join(append(told, k.history...), "; ")
	}
}

// arrive notes a state, and what may happen there; false when all of it is known.
func (s *search) arrive(k *kernel, j job, call int, pids []int) bool {
	var hash maphash.Hash
	hash.SetSeed(seed)
	fmt.Fprint(&hash, k.trace.Sum64(), k.World.Boottime(), k.host.key())
	state := hash.Sum64()
	if left, seen := s.seen[state]; seen && left >= int8(j.left) {
		return false
	}
	s.seen[state] = int8(j.left)
	made := map[string]bool{}
	now := k.now()
	var grow func(h host, left int, say string)
	grow = func(h host, left int, say string) {
		if left == 0 {
			return
		}
		for _, next := range h.steps(now) {
			matters := pids == nil || slices.ContainsFunc(next.pids, func(pid int) bool { return slices.Contains(pids, pid) })
			if key := next.to.key(); matters && !made[key] {
				made[key] = true
				t := append(slices.Clone(j.turns), turn{call, next.to, say + next.name, k.trace.Sum64()})
				s.jobs = append(s.jobs, job{t, left - 1})
			}
			grow(next.to, left-1, say+next.name+", ")
		}
	}
	grow(k.host, j.left, "")
	return true
}

// exploreAll explores scenarios, several at once.
func exploreAll(list []scenario, lies []guard, steps, passes int, found *atomic.Bool) []*search {
	var all []*search
	var wg sync.WaitGroup
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, sc := range list {
		s := &search{scenario: sc, lies: lies, passes: passes, found: found}
		all = append(all, s)
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			s.explore(steps)
		})
	}
	wg.Wait()
	return all
}

func TestNoInterleavingSignalsTheWrongProcess(t *testing.T) {
	began := time.Now()
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "with %d steps\tstates\tpasses\tright signals\twrong signals\n", *modelSteps)
	var all search
	states := 0
	for _, s := range exploreAll(scenarios(), nil, *modelSteps, *modelPasses, nil) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\n", s.name, len(s.seen), s.runs, s.right, s.wrong)
		if s.wrong > 0 {
			t.Errorf("%s: %d wrong signals, such as %s", s.name, s.wrong, s.example)
		}
		if s.astray > 0 {
			t.Errorf("%s: %d of %d passes did not go the way they were sent", s.name, s.astray, s.runs)
		}
		states += len(s.seen)
		all.runs, all.right, all.wrong = all.runs+s.runs, all.right+s.right, all.wrong+s.wrong
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t%d\n", states, all.runs, all.right, all.wrong)
	table.Flush()
	t.Logf("%v\n%s", time.Since(began).Round(time.Second), text.String())
	if all.right == 0 {
		t.Error("nobody was ever signalled: the model shows nothing")
	}
}
