package reaper_test

import (
	"context"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// withForbidden is a host with a service, and two processes of another account. The
// younger one names the older, and the agent may not signal it.
func withForbidden() *fakehost.World {
	w, _ := reloaded()
	old := fakehost.Daemon(w, "/home/x.cfg", 300, ticks(50*time.Minute), nil)
	young := fakehost.Daemon(w, "/home/x.cfg", 301, ticks(10*time.Minute), []int{300}, fakehost.Listen(8443))
	w.Change(func() {
		for _, p := range []*fakehost.Proc{old, young} {
			p.UID, p.Cgroup, p.Forbidden = 5001, "/user.slice/user-5001.slice/session-2.scope", true
		}
	})
	return w
}

func TestAProcessThatMayNotBeSignalledRefusesItsOwnInstanceAlone(t *testing.T) {
	w := withForbidden()
	p := pass(t, w)
	p.Policy.Deadline = time.Minute
	var asked []int
	p.Approve = func(r judge.Report) (bool, error) {
		for _, in := range r.Instances {
			for _, q := range in.Processes {
				if q.Verdict == judge.VerdictTerminate {
					asked = append(asked, q.PID)
				}
			}
		}
		return true, nil
	}
	r := run(t, p)
	if got, want := signalled(w), []string{"101 terminated", "102 terminated"}; !equal(got, want) {
		t.Errorf("signalled %v, want %v", got, want)
	}
	if len(asked) != 2 {
		t.Errorf("asked about %v", asked)
	}
	got := process(t, r, 300)
	if got.Role != judge.RoleResidual || got.Verdict != judge.VerdictRefuse || got.Reason != judge.ReasonPrivilege || got.Outcome != "" {
		t.Errorf("process 300: %s, %s for %q, %q", got.Role, got.Verdict, got.Reason, got.Outcome)
	}
	if r.Summary.Terminated != 2 || r.Summary.Refused != 1 {
		t.Errorf("summary %+v", r.Summary)
	}
}

func TestWithoutAnythingDueNoPrivilegeIsMissed(t *testing.T) {
	w := withForbidden()
	p := pass(t, w)
	p.Policy.Deadline = 24 * time.Hour
	for _, in := range run(t, p).Instances {
		if in.Refusal != "" {
			t.Errorf("%s is refused for %q", in.Name, in.Refusal)
		}
	}
}

func TestALookAndADryRunNeedNoRightToSignal(t *testing.T) {
	w := withForbidden()
	p := pass(t, w)
	p.Policy.Deadline = time.Minute
	p.Terminator = reaper.DryRun{}
	r, err := p.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []judge.Report{r, run(t, p)} {
		if got := process(t, r, 300); got.Verdict != judge.VerdictTerminate {
			t.Errorf("process 300: %s for %q", got.Verdict, got.Reason)
		}
	}
}
