package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// bedNobody is the uid of an unprivileged user who runs nothing but trouble.
const bedNobody = 65534

// answer is what one run of the agent came to.
type answer struct {
	*job
	b      *bed
	code   int
	report judge.Report // of -o json
}

// agent runs the agent with -o json to its end.
func (b *bed) agent(args ...string) *answer {
	b.t.Helper()
	return b.answer(b.startAgent(command{args: args}))
}

// startAgent starts the agent with -o json, as root unless told otherwise.
func (b *bed) startAgent(c command) *job {
	b.t.Helper()
	c.args = append([]string{bedAgent}, append(slices.Clone(c.args), "-o", "json")...)
	return b.start(c)
}

// advises wants a text of status, wherever the lines of it break.
func (b *bed) advises(want string) {
	b.t.Helper()
	j := b.start(command{args: []string{bedAgent, "status"}})
	j.wait(b.t)
	if got := strings.Join(strings.Fields(j.stdout.String()), " "); !strings.Contains(got, want) {
		b.t.Errorf("status does not say %q:\n%s", want, j.stdout.String())
	}
}

// answer waits for an agent and reads its report, where there is one.
func (b *bed) answer(j *job) *answer {
	b.t.Helper()
	a := &answer{job: j, b: b, code: j.wait(b.t)}
	if text := j.stdout.String(); text != "" {
		if err := json.Unmarshal([]byte(text), &a.report); err != nil {
			b.t.Fatalf("%q: report: %v in %q", j.cmd.Args, err, text)
		}
	}
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("%q: exit status %d after %v\n%s%s", j.cmd.Args, a.code, j.took, j.stderr.String(), j.stdout.String())
		}
	})
	return a
}

// exits wants an exit status.
func (a *answer) exits(want int) *answer {
	a.b.t.Helper()
	if a.code != want {
		a.b.t.Errorf("%q: exit status %d, want %d", a.cmd.Args, a.code, want)
	}
	return a
}

// says wants a text on standard error.
func (a *answer) says(want string) *answer {
	a.b.t.Helper()
	if !strings.Contains(a.stderr.String(), want) {
		a.b.t.Errorf("%q: nothing of %q on standard error:\n%s", a.cmd.Args, want, a.stderr.String())
	}
	return a
}

// instance is the report's instance that the process belongs to.
func (a *answer) instance(p process) judge.Instance {
	a.b.t.Helper()
	for _, i := range a.report.Instances {
		for _, q := range i.Processes {
			if q.ProcID == p.ProcID {
				return i
			}
		}
	}
	a.b.t.Fatalf("no instance of the report has %v %q", p.ProcID, p.args)
	return judge.Instance{}
}

// process is what the report says of a process.
func (a *answer) process(p process) judge.Process {
	a.b.t.Helper()
	for _, q := range a.instance(p).Processes {
		if q.ProcID == p.ProcID {
			return q
		}
	}
	panic("unreachable")
}

// judgement is what a test usually wants to know of a process.
type judgement struct {
	Role    judge.Role
	Verdict judge.Verdict
	Reason  judge.Reason
	Outcome judge.Outcome
}

// finds wants a judgement on a process.
func (a *answer) finds(p process, want judgement) *answer {
	a.b.t.Helper()
	q := a.process(p)
	got := judgement{q.Role, q.Verdict, q.Reason, q.Outcome}
	if diff := cmp.Diff(want, got); diff != "" {
		a.b.t.Errorf("%q: %v %q (-want +got):\n%s", a.cmd.Args, p.ProcID, p.args, diff)
	}
	return a
}

// sent wants exactly these signals reported as sent to a process.
func (a *answer) sent(p process, want ...string) *answer {
	a.b.t.Helper()
	if got := a.process(p).Signals; !slices.Equal(got, want) {
		a.b.t.Errorf("%q: signals sent to %v: %q, want %q", a.cmd.Args, p.ProcID, got, want)
	}
	return a
}

// refuses wants the instance of a process refused for one of the reasons.
func (a *answer) refuses(p process, reasons ...judge.Reason) *answer {
	a.b.t.Helper()
	if i := a.instance(p); !slices.Contains(reasons, i.Refusal) {
		a.b.t.Errorf("%q: %s refused for %q (%s), want one of %q", a.cmd.Args, i.Name, i.Refusal, i.RefusalDetail, reasons)
	}
	return a
}

// summary wants the report's summary.
func (a *answer) summary(want judge.Summary) *answer {
	a.b.t.Helper()
	if diff := cmp.Diff(want, a.report.Summary); diff != "" {
		a.b.t.Errorf("%q: summary (-want +got):\n%s", a.cmd.Args, diff)
	}
	return a
}

// Judgements that return in many tests.
var (
	isMaster = judgement{judge.RoleMaster, judge.VerdictKeep, judge.ReasonMaster, ""}
	isActive = judgement{judge.RoleActive, judge.VerdictKeep, judge.ReasonActive, ""}
	isWaited = judgement{judge.RoleResidual, judge.VerdictWait, judge.ReasonWithinDeadline, ""}

	wouldTerminate = judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonPastDeadline, judge.OutcomeDryRun}
	isTerminated   = judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonPastDeadline, judge.OutcomeTerminated}
)

// stay wants exactly these HAProxys in the bed, and no other.
func (b *bed) stay(want ...process) {
	b.t.Helper()
	if diff := cmp.Diff(ids(want), ids(b.processes())); diff != "" {
		b.t.Errorf("processes in the bed (-want +got):\n%s", diff)
	}
}

// without is the list of processes but for some.
func without(all []process, some ...process) []process {
	return slices.DeleteFunc(slices.Clone(all), func(p process) bool {
		return slices.ContainsFunc(some, func(q process) bool { return p.ProcID == q.ProcID })
	})
}

// planned are the processes of a report with a verdict to terminate.
func (a *answer) planned() (list []inspect.ProcID) {
	for _, i := range a.report.Instances {
		for _, p := range i.Processes {
			if p.Verdict == judge.VerdictTerminate {
				list = append(list, p.ProcID)
			}
		}
	}
	return list
}

// lockHeld says that an agent does not hold the lock of live runs.
func (b *bed) lockHeld(j *job) error {
	dir := fmt.Sprintf("/proc/%d/fd", j.cmd.Process.Pid)
	links, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, link := range links {
		if to, _ := os.Readlink(dir + "/" + link.Name()); to == "/run/haproxy-reaper/lock" {
			info, err := os.ReadFile(fmt.Sprintf("%sinfo/%s", dir, link.Name()))
			if err == nil && strings.Contains(string(info), "FLOCK") {
				return nil
			}
		}
	}
	return fmt.Errorf("%q does not hold the lock", j.cmd.Args)
}
