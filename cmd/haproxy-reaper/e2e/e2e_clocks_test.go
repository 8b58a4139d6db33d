package e2e

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The kernel shifts start times by the time namespace of who reads them, and
// CLOCK_BOOTTIME too: ages are right on either side of the border.
func TestTimeNamespacesChangeNoAge(t *testing.T) {
	ahead := inTime(7200)
	for _, test := range []struct {
		name           string
		agent, haproxy []string
	}{
		{"the agent two hours ahead", ahead, nil},
		{"HAProxy two hours ahead", nil, ahead},
		{"both two hours ahead", ahead, ahead},
	} {
		for _, model := range models {
			t.Run(test.name+"/"+string(model), func(t *testing.T) {
				t.Parallel()
				b := newBed(t)
				s := b.startService("web", setup{model: model, wrap: test.haproxy})
				s.hold(1)
				old := s.active()
				b.until(func() error { return b.age(old, 3*time.Second) })
				s.reload()
				run := func(args ...string) *answer {
					args = append([]string{bedAgent}, append(args, "-o", "json")...)
					return b.answer(b.start(command{args: append(slices.Clone(test.agent), args...)}))
				}
				// The reload was less than an hour ago, whatever a clock says.
				a := run("reap", "--deadline", "1h").exits(agent.ExitOK)
				p := theOnly(t, a, judge.RoleResidual)
				age := secondsSince(t, old)
				if math.Abs(p.AgeSeconds-age) > a.took.Seconds()+1 {
					t.Errorf("%v seconds old, want %v", p.AgeSeconds, age)
				}
				if p.Verdict != judge.VerdictWait || p.ResidualSeconds == nil || *p.ResidualSeconds > p.AgeSeconds-2 || *p.ResidualSeconds < 0 {
					t.Errorf("%s, residual for %v of %v seconds", p.Verdict, p.ResidualSeconds, p.AgeSeconds)
				}
				before := b.processes()
				a = run("reap", "--deadline", "0s").exits(agent.ExitOK)
				if p := theOnly(t, a, judge.RoleResidual); p.PID != old.PID || p.Outcome != judge.OutcomeTerminated {
					t.Errorf("%+v", p)
				}
				b.stay(without(before, old)...)
				s.answers()
			})
		}
	}
}

// A time namespace whose clock began between the starts of two generations: the
// older one started before its zero, which the kernel tells as a number without
// a sign. By that the older would be the younger, and the instance is refused. A daemon
// that is younger and has no listener is of no instance.
func TestProcessesFromBeforeTheZeroOfATimeNamespaceAreNotTheYounger(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{model: model})
			s.hold(1)
			old := s.active()
			b.until(func() error { return b.age(old, 4*time.Second) })
			s.reload()
			active := s.active()
			// Whole seconds only.
			zero := int(inspect.TicksToBoottime(active.StartTicks) / time.Second)
			before := b.processes()
			args := append(inTime(-zero), bedAgent, "reap", "--deadline", "0s", "--settle", "1s", "-o", "json")
			a := b.answer(b.start(command{args: args}))
			a.exits(agent.ExitOK) // nothing is known to be due
			if in := a.report.Instances[0]; model == judge.ModelMasterWorker && (in.Refusal == "" || in.Confirmed) {
				t.Errorf("refusal %q, confirmed %v", in.Refusal, in.Confirmed)
			}
			if model == judge.ModelDaemon && theOnly(t, a, judge.RoleStranded).StrandedReason != judge.StrandedNoInstance {
				t.Error("the older one is not shown stranded, in no instance")
			}
			b.stay(before...)
			s.answers()
		})
	}
}

// inTime is a command that runs another in a time namespace, so many seconds
// ahead.
func inTime(seconds int) []string {
	return []string{"unshare", "--time", "--fork", fmt.Sprintf("--boottime=%d", seconds)}
}

// theOnly is the report's only process of a role.
func theOnly(t *testing.T, a *answer, role judge.Role) judge.Process {
	t.Helper()
	var found []judge.Process
	for _, i := range a.report.Instances {
		for _, p := range i.Processes {
			if p.Role == role {
				found = append(found, p)
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d processes are %s", len(found), role)
	}
	return found[0]
}

// secondsSince is a process's age, in seconds.
func secondsSince(t *testing.T, p process) float64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		t.Fatal(err)
	}
	return (time.Duration(now.Nano()) - inspect.TicksToBoottime(p.StartTicks)).Seconds()
}
