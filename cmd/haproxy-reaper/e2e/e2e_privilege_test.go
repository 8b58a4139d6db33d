package e2e

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestWithoutPrivilegesStatusShowsWhatItMayAndSaysWhatItCouldNotRead(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		s.makeResidual(1, 1)
		before := b.processes()
		a := b.answer(b.startAgent(command{args: []string{"status"}, uid: bedNobody})).exits(4).says("CAP_SYS_PTRACE")
		var seen []int
		for _, i := range a.report.Instances {
			for _, p := range i.Processes {
				seen = append(seen, p.PID)
				if p.Verdict == judge.VerdictTerminate {
					t.Errorf("verdict on %v, of which the sockets are unknown: %q", p.ProcID, p.Verdict)
				}
				if p.Role != judge.RoleMaster && p.Connections.Client != nil {
					t.Errorf("clients of %v: %d, want unknown", p.ProcID, *p.Connections.Client)
				}
			}
		}
		for _, p := range before {
			if !slices.Contains(seen, p.PID) {
				t.Errorf("%v %q is not in the report", p.ProcID, p.args)
			}
		}
		b.stay(before...)
	})
}

func TestWithoutPrivilegesALivePassSignalsNobodyAndNamesWhatItLacks(t *testing.T) {
	root := []string{"setpriv", "--bounding-set"}
	for _, test := range []struct {
		name  string
		wrap  []string
		uid   uint32
		lacks string
	}{
		{"as an unprivileged user", nil, bedNobody, "CAP_SYS_PTRACE"},
		{"as root without the right to look", append(slices.Clone(root), "-sys_ptrace"), 0, "CAP_SYS_PTRACE"},
		{"as root without the right to signal", append(slices.Clone(root), "-kill"), 0, "CAP_KILL"},
		{"as the user of the workers", []string{"setpriv", "--reuid=haproxy", "--regid=haproxy", "--clear-groups"}, 0, "CAP_SYS_PTRACE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			s.makeResidual(1, 1)
			before := b.processes()
			args := append(slices.Clone(test.wrap), bedAgent, "reap", "--deadline", "0s", "-o", "json")
			b.answer(b.start(command{args: args, uid: test.uid})).exits(4).says(test.lacks)
			b.stay(before...)
		})
	}
}

// A dry run has no use for the right to signal, so it can be made unable to.
func TestDryRunNeedsNoRightToSignal(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	before := b.processes()
	b.answer(b.start(command{args: []string{"setpriv", "--bounding-set", "-kill",
		bedAgent, "reap", "--dry-run", "--deadline", "0s", "-o", "json"}})).exits(0).finds(old, wouldTerminate)
	b.stay(before...)
}

func TestPassByHandThroughSudoAsksBeforeItSignals(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	before := b.processes()
	sudo := func(args ...string) *answer {
		t.Helper()
		return b.answer(b.startAgent(command{args: args, env: []string{"SUDO_UID=1000"}}))
	}
	sudo("reap", "--deadline", "0s").exits(2) // nobody there to answer
	b.stay(before...)
	sudo("reap", "--deadline", "0s", "--dry-run").exits(0).finds(old, wouldTerminate)
	b.stay(before...)
	sudo("reap", "--deadline", "1h").exits(0).finds(old, isWaited) // nothing to ask
	sudo("reap", "--deadline", "0s", "--yes").exits(0).finds(old, isTerminated)
	b.stay(without(before, old)...)
}

func TestPassAtATerminalDoesWhatItIsAnswered(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	before := b.processes()
	atTerminal := func(answer string) *answer {
		t.Helper()
		keyboard, terminal := fixture.Terminal(t)
		if _, err := io.WriteString(keyboard, answer); err != nil {
			t.Fatal(err)
		}
		return b.answer(b.startAgent(command{args: []string{"reap", "--deadline", "0s"}, stdin: terminal}))
	}
	for _, no := range []string{"n\n", "\n", "maybe\n", "\x04"} { // the last is end of file
		a := atTerminal(no)
		b.stay(before...)
		if a.code != 0 && no != "\x04" {
			t.Errorf("answered %q: exit status %d, want 0", no, a.code)
		}
		if no == "n\n" {
			a.finds(old, judgement{judge.RoleResidual, judge.VerdictWait, judge.ReasonDeclined, ""})
			a.says(fmt.Sprint(old.PID)) // the plan
		}
	}
	atTerminal("y\n").exits(0).finds(old, isTerminated)
	b.stay(without(before, old)...)
}
