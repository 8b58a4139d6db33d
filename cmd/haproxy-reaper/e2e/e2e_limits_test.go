package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// rivals starts two processes of an unprivileged account beside a service. The younger
// names the older in its list, and the older still has a client.
func (s *service) rivals() (old, young process) {
	s.b.t.Helper()
	daemons := service{b: s.b, config: s.config, setup: setup{model: judge.ModelDaemon}}
	old = daemons.intrude()
	s.b.client("127.0.0.1:8100")
	young = daemons.intrude(old)
	return old, young
}

func TestTwoProcessesOfAnotherAccountKeepNoResidualOfTheServiceAlive(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, text: anybodys, env: asHAProxy})
		theirs, _ := s.rivals()
		old := s.makeResidual(1, 1)[0]
		before := b.processes()
		a := b.passWithin("reap", "--deadline", "0s").exits(agent.ExitPrivilege).says("CAP_KILL").says(fmt.Sprintf("process %d of user nobody", theirs.PID))
		a.finds(old, isTerminated)
		a.refuses(theirs, judge.ReasonPrivilege)
		a.finds(theirs, judgement{judge.RoleResidual, judge.VerdictRefuse, judge.ReasonPrivilege, ""})
		b.stay(without(before, old)...)
		b.passWithin("status", "--deadline", "0s").exits(agent.ExitOK).refuses(theirs, judge.ReasonUnreadable)
	})
}

func TestServeGoesOnBesideProcessesThatItMayNotSignal(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{text: anybodys, env: asHAProxy})
	theirs, _ := s.rivals()
	serve := b.startServeAs(command{args: b.wrappedAsShipped("serve", "--interval", "200ms", "--deadline", "3s")})
	for n := range 2 {
		old := s.makeResidual(1, 1)[0]
		b.until(func() error { return b.gone(old) })
		s.release(old)
		serve.has(fmt.Sprintf(`haproxy_reaper_terminated_processes_total{unit=%q}`, unit), float64(n+1))
	}
	got := serve.metrics()
	if got["haproxy_reaper_runs_total"] < 2 || got["haproxy_reaper_run_failures_total"] != 0 {
		t.Errorf("%v runs, %v of them failed", got["haproxy_reaper_runs_total"], got["haproxy_reaper_run_failures_total"])
	}
	refusals := 0.0
	for name, n := range got {
		if strings.HasPrefix(name, `haproxy_reaper_refusals_total{reason="privilege"`) {
			refusals += n
		}
	}
	if refusals == 0 {
		t.Error("no refusal for want of a privilege is counted")
	}
	if b.gone(theirs) == nil {
		t.Error("the stranger is gone")
	}
}

// Any account of a host can start such processes. Each test is one limit of the kernel.
func TestHostileProcessesCostABoundedPassAndKeepNoResidual(t *testing.T) {
	for _, tt := range []struct {
		name      string
		processes int
		variables []string
	}{
		{"in 12,000 groups", 2, []string{"HOSTILE_GROUPS=12000"}},
		{"in all groups that there may be", 100, []string{"HOSTILE_GROUPS=65536"}},
		{"with 345,000 arguments", 12, []string{"HOSTILE_PIECES=345000"}},
		{"with 19,000 descriptors of one socket", 200, []string{"HOSTILE_COPIES=19000"}},
		{"more than there are descriptors", 1200, nil},
		{"with 19,000 listening sockets", 30, []string{"HOSTILE_SOCKETS=19000"}},
		{"with 19,000 datagram sockets of one port", 30, []string{"HOSTILE_DATAGRAMS=19000"}},
		{"with a file open whose close is never answered", 2, []string{"HOSTILE_FUSE=" + bedDir + "/fuse"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			old, active := s.makeResidual(1, 1)[0], s.active()
			b.mkdir(bedDir + "/fuse")
			b.hostile(tt.processes, tt.variables...)
			a := b.passWithin("reap", "--deadline", "0s", "--pass-timeout", "10s").exits(agent.ExitOK)
			a.finds(old, isTerminated).finds(active, isActive)
			b.until(func() error {
				if _, err := os.Stat(b.path(fmt.Sprintf("/proc/%d", old.PID))); err == nil {
					return fmt.Errorf("%v is still there", old.ProcID)
				}
				return nil
			})
			seen := 0
			for _, in := range a.report.Instances {
				for _, p := range in.Processes {
					if p.UID == bedNobody {
						seen++
					}
				}
			}
			if seen != tt.processes {
				t.Errorf("%d of %d hostile processes are in the report, as their user's", seen, tt.processes)
			}
			for _, args := range [][]string{{"status"}, {"check"}} {
				if a := b.passWithin(args...); a.code != agent.ExitOK {
					t.Errorf("%q: exit status %d", args, a.code)
				}
			}
			if in := a.instance(active); slices.ContainsFunc(in.Processes, func(p judge.Process) bool { return p.UID == bedNobody }) {
				t.Errorf("%s has processes of strangers", in.Name)
			}
		})
	}
}

// All limits at once. The bounds are those of the unit, and of "Strangers" in reaper/README.md.
func TestAThousandHostileProcessesOfEveryKindAtOnceKeepNoResidual(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	name := s.unit()
	old, active := s.makeResidual(1, 1)[0], s.active()
	b.mkdir(bedDir + "/fuse")
	const sparse = bedDir + "/sparse"
	b.run(command{args: []string{"truncate", "--size=1T", sparse}})
	thousand := 0
	for _, of := range []struct {
		processes int
		variables []string
	}{
		{100, []string{"HOSTILE_GROUPS=65536"}},
		{150, []string{"HOSTILE_PIECES=345000"}},
		{200, []string{"HOSTILE_COPIES=19000"}},
		{20, []string{"HOSTILE_SOCKETS=19000"}},
		{20, []string{"HOSTILE_DATAGRAMS=19000"}},
		{2, []string{"HOSTILE_FUSE=" + bedDir + "/fuse"}},
		{308, []string{"HOSTILE_NAME=200"}},
		{100, []string{"HOSTILE_CONFIG=" + s.config}},
		{50, []string{"HOSTILE_CONFIG=" + sparse}},
		{50, []string{"HOSTILE_CONFIG=/proc/kmsg"}},
	} {
		b.hostile(of.processes, of.variables...)
		thousand += of.processes
	}
	a := b.passWithin("reap", "--deadline", "0s", "--textfile", bedState+"/reaper.prom").exits(agent.ExitOK)
	a.finds(old, isTerminated).finds(active, isActive)
	if thousand != 1000 {
		t.Errorf("%d hostile processes", thousand)
	}
	in := a.instance(active)
	if in.Name != name || slices.ContainsFunc(in.Processes, func(p judge.Process) bool { return p.UID == bedNobody }) {
		t.Errorf("the service is %q and alone %q, with the processes %v", in.Name, name, in.Processes)
	}
	text := b.read(bedState + "/reaper.prom")
	for _, want := range []string{
		fmt.Sprintf("haproxy_reaper_terminated_processes_total{unit=%q} 1\n", name),
		fmt.Sprintf("haproxy_reaper_active_confirmed{unit=%q} 1\n", name),
		fmt.Sprintf("haproxy_reaper_stranger{unit=%q} 0\n", name),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	for _, args := range [][]string{{"status"}, {"check"}} {
		if a := b.passWithin(args...); a.code != agent.ExitOK {
			t.Errorf("%q: exit status %d", args, a.code)
		}
	}
}

// A duplicate of such a file could never be closed. An agent that may signal all looks
// at every descriptor of a stranger's process, and duplicates sockets alone.
func TestAFileWhoseCloseIsNeverAnsweredHoldsUpNoAgentOfRoots(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	b.mkdir(bedDir + "/fuse")
	b.hostile(2, "HOSTILE_FUSE="+bedDir+"/fuse")
	b.agent("reap", "--deadline", "0s", "--pass-timeout", "10s").exits(agent.ExitOK).finds(old, isTerminated)
	b.agent("status").exits(agent.ExitOK)
}

// The kernel lets a look at a process wait while it executes a program
// (exec_update_lock of execve(2)). Such a program closes a file first that is never
// closed.
func TestAProgramThatNeverBeginsHoldsUpNoPass(t *testing.T) {
	for _, as := range []string{"as shipped", "as root"} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			old := s.makeResidual(1, 1)[0]
			b.mkdir(bedDir + "/fuse")
			b.hostile(20, "HOSTILE_EXEC=1", "HOSTILE_FUSE="+bedDir+"/fuse")
			run := b.passWithin
			if as == "as root" {
				run = b.agent
			}
			run("reap", "--deadline", "0s", "--pass-timeout", "20s").exits(agent.ExitOK).finds(old, isTerminated)
			run("status", "--pass-timeout", "20s").exits(agent.ExitOK)
			want := agent.ExitOK
			if as == "as root" { // which may have to serve any user's processes, and says so
				want = agent.ExitPrivilege
			}
			run("check").exits(want)
		})
	}
}

// A worker that was taken over is a process of the agent's own user. A pass waits for
// that until its time is over, ends, and says so.
func TestAProgramThatNeverBeginsOfTheWorkersUserEndsThePassInTime(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 1)
	b.mkdir(bedDir + "/fuse")
	b.hostile(1, "HOSTILE_EXEC=1", "HOSTILE_FUSE="+bedDir+"/fuse", fmt.Sprintf("HOSTILE_UID=%d", uidOf(t, "haproxy")))
	a := b.passWithin("reap", "--deadline", "0s", "--pass-timeout", "3s").exits(agent.ExitFailed).says("the host could not be inspected")
	if a.took > 10*time.Second {
		t.Errorf("the pass took %v", a.took)
	}
}
