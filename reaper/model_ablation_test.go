package reaper_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
)

// ablations show, for a guard, that the model can fail: without it a wrong signal
// follows in so many steps, where without the others alone none does. The guards
// overlap on purpose: most are missed only where another is gone too.
//
// Strays have no row. What they make a pass wait for is harmless in this model:
// it has no stray that means another one's harm.
var ablations = []struct {
	guard    guard
	others   []guard
	scenario string
	steps    int
}{
	{byPidfd, nil, "master-worker, idle", 2},
	{byIdentity, nil, "master-worker, idle", 2},
	{bySecond, nil, "master-worker, wedged", 2},
	{byListener, nil, "master-worker 3.1, the new worker serves", 0},
	{byPaused, nil, "master-worker, a bind conflict", 1},
	{byReady, []guard{byActive, byPaused}, "master-worker 3.1, a bind conflict", 0},
	{byReload, []guard{byReady, byListener}, "master-worker, a reload has forked", 0},
	{byActive, []guard{byReady, byPaused}, "master-worker 3.1, a bind conflict", 0},
	{byParent, []guard{byList}, "master-worker, a check outlives a reload", 0},
	{byList, []guard{byParent}, "master-worker, a check outlives a reload", 0},
}

func TestTheModelFailsWithoutItsGuards(t *testing.T) {
	shown := map[guard]bool{byStray: true}
	for _, a := range ablations {
		shown[a.guard] = true
		list := slices.DeleteFunc(scenarios(), func(s scenario) bool { return s.name != a.scenario })
		try := func(without []guard) *search {
			return exploreAll(list, without, a.steps, 3000, new(atomic.Bool))[0]
		}
		s := try(append(slices.Clone(a.others), a.guard))
		if s.wrong == 0 {
			t.Errorf("without %q, and %q, no wrong signal in %d passes: %s", a.guard, a.others, s.runs, a.scenario)
		}
		if len(a.others) > 0 {
			if o := try(a.others); o.wrong > 0 {
				t.Errorf("without %q, with %q, a wrong signal: %s: %s", a.others, a.guard, a.scenario, o.example)
			}
		}
		t.Logf("without %q, and %q: %s: pass %d: %s", a.guard, a.others, a.scenario, s.runs, s.example)
	}
	for _, g := range guards {
		if !shown[g] {
			t.Errorf("nothing shows that the guard %q is needed", g)
		}
	}
}

// TestEveryPairOfGuards prints the whole table: each guard taken away, alone and
// with every other. It takes minutes, and so runs when it is asked for.
func TestEveryPairOfGuards(t *testing.T) {
	if !*modelPairs {
		return
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for i := range guards {
		for j := i; j < len(guards); j++ {
			without := slices.Compact([]guard{guards[i], guards[j]})
			runs, example := 0, ""
			for _, s := range exploreAll(scenarios(), without, 2, *modelPasses, new(atomic.Bool)) {
				runs += s.runs
				if s.example != "" {
					example = s.name + ": " + s.example
				}
			}
			fmt.Fprintf(table, "%v\t%d passes\t%s\n", without, runs, example)
		}
	}
	table.Flush()
	t.Logf("without\n%s", text.String())
	if !strings.Contains(text.String(), string(stranger)) {
		t.Error("no stranger was ever signalled")
	}
}
