package reaper

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Properties of what is decided, and of two looks, under a policy.

// I12: a longer deadline never adds a target, and a cap neither.
func TestALongerDeadlineAndACapAddNoTarget(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		classified := Classify(w.look(), w.memory)
		short, longer := drawDeadline(t), drawDeadline(t)
		policy := Policy{Deadline: short, MaxTerminations: rapid.IntRange(0, 3).Draw(t, "cap")}
		all := targets(Decide(classified, Policy{Deadline: short}))
		if long := targets(Decide(classified, Policy{Deadline: short + longer})); !subset(long, all) {
			t.Fatalf("a deadline of %v has %v, one of %v has %v", short+longer, long, short, all)
		}
		capped := Decide(classified, policy)
		if !subset(targets(capped), all) {
			t.Fatalf("with a cap of %d %v, without one %v", policy.MaxTerminations, targets(capped), all)
		}
		for _, in := range capped.Instances { // I17
			var taken, left []float64
			for _, p := range in.Processes {
				switch {
				case p.Verdict == VerdictTerminate:
					taken = append(taken, *p.ResidualSeconds)
				case p.Reason == ReasonMaxTerminations:
					left = append(left, *p.ResidualSeconds)
				}
			}
			if policy.MaxTerminations > 0 && len(taken) > policy.MaxTerminations {
				t.Fatalf("%d targets in an instance, the cap is %d", len(taken), policy.MaxTerminations)
			}
			if len(left) > 0 && (len(taken) < policy.MaxTerminations || slices.Max(left) > slices.Min(taken)) {
				t.Fatalf("residual for %v seconds go, for %v stay", taken, left)
			}
		}
	})
}

// I13: two looks signal what both would, and nothing when the active or the
// master changed between them.
func TestTwoLooksSignalWhatBothWould(t *testing.T) {
	t.Parallel()
	agreed := 0
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		first := w.decide(Policy{})
		later := w.clone()
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			later.addOddity(t)
		}
		later.sort()
		second := later.decide(Policy{})
		approved := map[inspect.ProcID]bool{}
		for _, id := range targets(first) {
			approved[id] = rapid.IntRange(0, 3).Draw(t, "approved") > 0
		}
		for _, a := range first.Instances {
			for _, b := range second.Instances {
				if a.key != b.key {
					continue
				}
				both := confirmed(a, b, approved)
				for _, p := range both.Processes {
					if isTarget(p) && !(approved[p.ProcID] && slices.Contains(targets(first), p.ProcID) && slices.Contains(targets(second), p.ProcID)) {
						t.Fatalf("%v is signalled, of %v and %v, approved %v", p.ProcID, targets(first), targets(second), approved)
					}
				}
				changed := !slices.Equal(idsOf(a, RoleActive), idsOf(b, RoleActive)) || !slices.Equal(idsOf(a, RoleMaster), idsOf(b, RoleMaster))
				if sameActive(a, b) == changed {
					t.Fatalf("the same active: %v, %v", idsOf(a, RoleActive), idsOf(b, RoleActive))
				}
				if slices.ContainsFunc(both.Processes, isTarget) {
					agreed++
				}
			}
		}
	})
	t.Logf("%d instances with targets that two looks agreed on", agreed)
	if agreed == 0 {
		t.Error("no two looks agreed on a target")
	}
}

// I15: a dry run decides the same, and so does who reads the report from a file.
func TestADryRunAndASavedReportDecideTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), Policy{Deadline: drawDeadline(t), MaxTerminations: rapid.IntRange(0, 2).Draw(t, "cap")}
		r := Classify(w.look(), w.memory)
		want := targets(Decide(r, policy))
		r.DryRun = true
		if got := targets(Decide(r, policy)); !slices.Equal(got, want) {
			t.Fatalf("dry run %v, live %v", got, want)
		}
		text, err := json.Marshal(Decide(r, Policy{Deadline: time.Minute}))
		if err != nil {
			t.Fatal(err)
		}
		var saved Report
		if err := json.Unmarshal(text, &saved); err != nil {
			t.Fatal(err)
		}
		if got := targets(Decide(saved, policy)); !slices.Equal(got, want) {
			t.Fatalf("saved %v, at once %v", got, want)
		}
	})
}
