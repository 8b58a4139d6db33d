package judge

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Properties of what is decided, and of two looks, under a policy.

// I12: what puts a deadline off adds no target, and nor does giving up a rule.
func TestAMilderPolicyAddsNoTarget(t *testing.T) {
	t.Parallel()
	worlds, changed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		classified := Classify(w.look(), w.past())
		all := targets(Decide(classified, policy))
		milder := policy
		way := rapid.IntRange(0, len(mildenings)-1).Draw(t, "way")
		mildenings[way].change(&milder, drawDeadline(t))
		left := targets(Decide(classified, milder))
		if !subset(left, all) {
			t.Fatalf("%s: %v with %+v, %v with %+v\n%s", mildenings[way].says, all, policy, left, milder, describe(w, w.decide(milder)))
		}
		worlds++
		if len(left) < len(all) {
			changed++
		}
	})
	t.Logf("%d worlds, %d of them with fewer targets", worlds, changed)
	if worlds >= 1000 && changed*100 < worlds { // of fewer it may be chance
		t.Errorf("only %d of %d changes took a target away: they prove little", changed, worlds)
	}
}

// mildenings are the ways in which a policy can become milder, some by d.
var mildenings = []struct {
	says   string
	change func(p *Policy, d time.Duration)
}{
	{"a longer deadline", func(p *Policy, d time.Duration) { p.Deadline += d }},
	{"a longer deadline of every port, and of all others", func(p *Policy, d time.Duration) {
		p.Deadline += d
		ports := map[uint16]time.Duration{}
		for port, after := range p.DeadlineFor {
			ports[port] = after + d
		}
		p.DeadlineFor = ports
	}},
	{"a longer deadline for one port", func(p *Policy, d time.Duration) {
		p.DeadlineFor = map[uint16]time.Duration{22: max(p.Deadline, p.DeadlineFor[22]) + d, 443: max(p.Deadline, p.DeadlineFor[443])}
	}},
	{"jitter", func(p *Policy, d time.Duration) { p.DeadlineJitter += d }},
	{"a hard deadline, or a later one", func(p *Policy, d time.Duration) { p.HardDeadline += d }},
	{"clients that are longer taken for active", func(p *Policy, d time.Duration) { p.ActiveWithin += d }},
	{"a later end of the empty", func(p *Policy, d time.Duration) {
		if p.EmptyAfter != nil {
			later := *p.EmptyAfter + d
			p.EmptyAfter = &later
		}
	}},
	{"none for the empty", func(p *Policy, _ time.Duration) { p.EmptyAfter = nil }},
	{"a later end of the idle, or none", func(p *Policy, d time.Duration) {
		if p.IdleAfter > 0 && d > 0 {
			p.IdleAfter += d
		} else {
			p.IdleAfter = 0
		}
	}},
	{"more residual processes, or any number", func(p *Policy, d time.Duration) {
		if p.MaxResidual > 0 && d > 0 {
			p.MaxResidual++
		} else {
			p.MaxResidual = 0
		}
	}},
	{"less memory", func(p *Policy, _ time.Duration) { p.MinAvailableMemory /= 2 }},
}

// 3.2 comes first: no policy makes a target of what is not residual, or refused.
func TestNoPolicyOverridesARefusal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		policy.MaxTerminations = rapid.IntRange(0, 3).Draw(t, "cap")
		r := w.decide(policy)
		// A deadline of nothing makes every residual process a target that may be one.
		if all := targets(w.decide(Policy{})); !subset(targets(r), all) {
			t.Fatalf("%+v has %v, of %v that may be signalled\n%s", policy, targets(r), all, describe(w, r))
		}
		for _, in := range r.Instances {
			for _, p := range in.Processes {
				due := p.IsDue(r.Time) && in.Refusal == "" && p.Reason != ReasonMaxTerminations
				if due != (p.Verdict == VerdictTerminate) || (p.Role == RoleResidual) != (p.Due != nil) || p.Verdict == VerdictTerminate && p.Reason != p.DueReason {
					t.Fatalf("%+v\n%s", p, describe(w, r))
				}
			}
		}
	})
}

// I17: a cap only takes away, and what it leaves has been residual for longest,
// but for what the memory is needed of.
func TestACapLeavesTheLongestSuperseded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		all := targets(w.decide(policy))
		policy.MaxTerminations = rapid.IntRange(1, 3).Draw(t, "cap")
		capped := w.decide(policy)
		if !subset(targets(capped), all) {
			t.Fatalf("with a cap of %d %v, without one %v", policy.MaxTerminations, targets(capped), all)
		}
		for _, in := range capped.Instances {
			var taken, left []float64
			n := 0
			for _, p := range in.Processes {
				switch {
				case p.Stuck(): // outside the cap, below
					if p.Reason == ReasonMaxTerminations {
						t.Fatalf("%v is stuck, and waits for the cap\n%s", p.ProcID, describe(w, capped))
					}
				case p.Verdict == VerdictTerminate:
					n++
					if p.Reason != ReasonLowMemory {
						taken = append(taken, *p.ResidualSeconds)
					}
				case p.Reason == ReasonMaxTerminations && p.DueReason == ReasonLowMemory:
					t.Fatalf("%v has to wait, and the memory is needed\n%s", p.ProcID, describe(w, capped))
				case p.Reason == ReasonMaxTerminations:
					left = append(left, *p.ResidualSeconds)
				}
			}
			if n > policy.MaxTerminations {
				t.Fatalf("%d targets in an instance, the cap is %d", n, policy.MaxTerminations)
			}
			if len(left) > 0 && (n < policy.MaxTerminations || len(taken) > 0 && slices.Max(left) > slices.Min(taken)) {
				t.Fatalf("residual for %v seconds go, for %v stay", taken, left)
			}
		}
	})
}

// What is stuck changes nothing for the others: under a cap they go as if it was
// not there. (It counts for --max-residual, which is about what is there.)
func TestAStuckProcessKeepsNoOtherOneFromItsEnd(t *testing.T) {
	t.Parallel()
	worlds := 0
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		policy.MaxTerminations, policy.MaxResidual = rapid.IntRange(1, 2).Draw(t, "cap"), 0
		for range rapid.IntRange(1, 3).Draw(t, "stopped") {
			w.procs[rapid.IntRange(0, len(w.procs)-1).Draw(t, "process")].State = 'T'
		}
		r := Classify(w.look(), w.past())
		healthy := r
		healthy.Instances = slices.Clone(r.Instances)
		for i := range healthy.Instances {
			in := &healthy.Instances[i]
			others := slices.DeleteFunc(slices.Clone(in.Processes), func(p Process) bool { return p.Role == RoleResidual && p.Stuck() })
			if len(others) < len(in.Processes) && len(residuals(&Instance{Processes: others})) > 0 {
				worlds++
				in.Processes = others
			}
		}
		want, got := targets(Decide(healthy, policy)), targets(Decide(r, policy))
		if !subset(want, got) {
			t.Fatalf("without what is stuck %v go, with it %v\n%s", want, got, describe(w, Decide(r, policy)))
		}
	})
	if worlds == 0 {
		t.Error("nothing was ever stuck")
	}
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
		for _, a := range first.Instances {
			for _, b := range second.Instances {
				if a.key != b.key {
					continue
				}
				for i := range a.Processes {
					id := a.Processes[i].ProcID
					one, _ := a.VerdictOn(id)
					other, why := b.VerdictOn(id)
					both := one == VerdictTerminate && other == VerdictTerminate
					alone := func(in Instance) []inspect.ProcID { return targets(Report{Instances: []Instance{in}}) }
					if both != (slices.Contains(alone(a), id) && slices.Contains(alone(b), id)) {
						t.Fatalf("%v: %s, then %s; to be signalled %v, then %v", id, one, other, alone(a), alone(b))
					}
					if b.Find(id) == nil && (other != VerdictRefuse || why != ReasonChanged) {
						t.Fatalf("%v is in the second look no more, which says %s, %s", id, other, why)
					}
					if both {
						agreed++
					}
				}
				changed := !slices.Equal(idsOf(a, RoleActive), idsOf(b, RoleActive)) || currentMaster(a) != currentMaster(b)
				if SameActive(a, b) == changed {
					t.Fatalf("the same active: %v, %v", idsOf(a, RoleActive), idsOf(b, RoleActive))
				}
			}
		}
	})
	t.Logf("%d targets that two looks agreed on", agreed)
	if agreed == 0 {
		t.Error("no two looks agreed on a target")
	}
}

// currentMaster is the youngest master of an instance: it replaced the others.
func currentMaster(in Instance) (youngest inspect.ProcID) {
	for _, m := range idsOf(in, RoleMaster) {
		if m.StartTicks >= youngest.StartTicks {
			youngest = m
		}
	}
	return youngest
}

// I15: a dry run decides the same, and so does who reads the report from a file.
func TestADryRunAndASavedReportDecideTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		policy.MaxTerminations = rapid.IntRange(0, 2).Draw(t, "cap")
		r := Classify(w.look(), w.past())
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
