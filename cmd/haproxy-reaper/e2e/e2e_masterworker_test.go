package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestFailedReloadLeavesTheActiveInPlaceAndTheOlderResidualIsReaped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		b.write(s.config, b.read(s.config)+"\nthis is no keyword\n")
		s.startReload()
		b.until(func() error {
			text, err := s.showProc()
			if err == nil && !failedToReload(text) {
				err = errors.New("the master has not failed to reload yet: " + text)
			}
			return err
		})
		b.stay(before...)
		probe := s.probe()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		b.stay(without(before, old)...)
		probe.unbroken(b)
	})
}

// failedToReload tells from `show proc` whether the last reload failed: since 2.5
// it says so, before there are old workers only.
func failedToReload(proc string) bool {
	return strings.Contains(proc, "[failed: 1]") || strings.Contains(proc, "[was: ") && strings.Contains(proc, "# workers\n# old workers")
}

// Whatever moment of a pass a reload falls into, nothing but a worker that was
// told to stop leaves by it.
func TestReloadDuringThePassNeverCostsTheWorkerThatServes(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		master := s.master().ProcID
		probe := s.probe()
		for range 6 {
			s.makeResidual(1, 1)
			s.hold(1) // the reload makes a residual process of this one too
			former := ids(s.workers())
			job := b.startAgent(command{args: []string{"reap", "--deadline", "0s"}})
			// Nothing is waited for here: the moment is meant to be any.
			time.Sleep(time.Duration(rand.Int64N(int64(1200 * time.Millisecond))))
			s.startReload()
			a := b.answer(job)
			if a.code != 0 && a.code != 3 {
				t.Errorf("exit status %d, want 0 or 3: %s", a.code, a.stderr.String())
			}
			b.until(func() error { return s.restored(former) })
		}
		probe.unbroken(b)
		if now := s.master().ProcID; now != master {
			t.Errorf("the master was %v and is %v", master, now)
		}
		b.agent("reap", "--deadline", "0s").exits(0)
		b.until(func() error { return s.serving(nil, nil) })
	})
}

func TestReloadStormNeverCostsTheWorkerThatServes(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		master := s.master().ProcID
		probe := s.probe()
		reaped := 0
		for range 3 {
			job := b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--settle", "500ms"}})
			for running := true; running; {
				former := s.workers()
				s.hold(1)
				s.startReload()
				b.until(func() error { return s.restored(ids(former)) })
				select {
				case <-job.done:
					running = false
				default:
				}
			}
			a := b.answer(job)
			if a.code != 0 && a.code != 3 {
				t.Errorf("exit status %d, want 0 or 3: %s", a.code, a.stderr.String())
			}
			reaped += a.report.Summary.Terminated
		}
		probe.unbroken(b)
		t.Logf("%d residual processes reaped between reloads", reaped)
		if now := s.master().ProcID; now != master {
			t.Errorf("the master was %v and is %v", master, now)
		}
		b.agent("reap", "--deadline", "0s").exits(0)
		b.until(func() error { return s.serving(nil, nil) })
	})
}

// Between fork and exec a check's child is the youngest HAProxy and holds the
// listeners of the worker that forked it.
func TestExternalCheckStormNeitherHidesNorEndangersTheActive(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{
			model:  model,
			global: "    external-check\n    insecure-fork-wanted\n",
			sections: `
backend checked
    option external-check
    external-check command /bin/true
    server-template s 1-20 127.0.0.1:9 check inter 50ms
`})
		for range 4 {
			old := s.makeResidual(1, 1)[0]
			active := s.active()
			// A busy machine shows a check amid its end, or a daemon with its signals
			// blocked, for longer than a pass waits: then it refuses, as it shall.
			var a *answer
			b.until(func() error {
				a = b.agent("reap", "--deadline", "0s")
				if in := a.instance(active); in.Model == "" || in.Refusal != "" {
					return fmt.Errorf("refused: %s %s", in.Refusal, in.RefusalDetail)
				}
				return nil
			})
			a.exits(0).finds(old, isTerminated).finds(active, isActive)
			if diff := cmp.Diff([]inspect.ProcID{active.ProcID}, ids(s.workers())); diff != "" {
				t.Errorf("workers (-want +got):\n%s", diff)
			}
			for _, p := range a.instance(active).Processes {
				if p.Role == judge.RoleCheck && p.Verdict != judge.VerdictKeep {
					t.Errorf("verdict on the check %v: %q", p.ProcID, p.Verdict)
				}
			}
			// HAProxy 2.6 amid such checks loses some connections by itself, with
			// nobody signalling: no prober here, one that is answered will do.
			s.answers()
		}
	})
}

func TestProgramOfTheMasterIsNeverSignalled(t *testing.T) {
	hasPrograms := func(r release) bool { return !r.since(3, 3) }
	inReleases(t, hasPrograms, func(t *testing.T, b *bed) {
		global := ""
		if b.since(3, 1) {
			global = "    expose-deprecated-directives\n"
		}
		s := b.startService("web", setup{global: global, sections: `
program sleeper
    command /bin/sleep 1000
program service
    command /usr/sbin/haproxy -db -f ` + bedDir + `/inner.cfg
`, files: map[string]string{
			bedDir + "/inner.cfg": "defaults\n timeout client 1h\nfrontend inner\n mode tcp\n bind 127.0.0.1:8001\n",
		}})
		// A reload starts the programs again; in 2.2 the inner HAProxy has a worker
		// of its own.
		innerServes := func() error {
			c, err := b.dial("127.0.0.1:8001")
			if err != nil {
				return err
			}
			return c.Close()
		}
		b.until(innerServes)
		started := b.processes()
		old := s.makeResidual(1, 1)[0]
		wanted := 1
		if !b.since(2, 3) {
			wanted = 2
		}
		b.until(func() error {
			inner := 0
			for _, p := range b.processes() {
				if !slices.Contains(p.args, bedDir+"/inner.cfg") {
					continue
				}
				inner++
				if slices.ContainsFunc(started, func(q process) bool { return q.ProcID == p.ProcID }) {
					return fmt.Errorf("%v of before the reload is still there", p.ProcID)
				}
			}
			if inner != wanted { // it listens before it forks
				return fmt.Errorf("%d processes of the inner HAProxy, want %d", inner, wanted)
			}
			return innerServes()
		})
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		programs := 0
		for _, p := range a.instance(s.active()).Processes {
			if p.Role == judge.RoleProgram {
				programs++
			}
		}
		if programs == 0 {
			t.Error("no program in the report")
		}
		b.stay(without(before, old)...)
	})
}

func TestInstanceWithoutAMasterCLIIsJudgedByTheOtherWitnesses(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		asked := b.agent("status").exits(0).instance(old).Witnesses
		unasked := b.agent("reap", "--deadline", "0s", "--master-socket", "none").exits(0).finds(old, isTerminated).instance(old).Witnesses
		if !slices.Contains(asked, "cli") || slices.Contains(unasked, "cli") {
			t.Errorf("witnesses %q with the CLI, %q without", asked, unasked)
		}
		b.stay(without(before, old)...)
	})
}

// A connection to a stopped master is accepted by the kernel and never answered.
func TestMasterThatDoesNotAnswerIsNoWitnessAndHoldsNobodyUp(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		b.signal(s.master(), "STOP")
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		if a.took > 20*time.Second {
			t.Errorf("the pass took %v", a.took)
		}
		b.signal(s.master(), "CONT")
		b.until(func() error { return b.gone(old) })
		b.stay(without(before, old)...)
	})
}
