package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
)

// A filter of system calls may answer EPERM to one of the two calls of a signal: what
// a look tells then, and what the metrics and check say of it.
func TestAFilterAgainstSignalsIsSeenBeforeOneIsDue(t *testing.T) {
	for name, test := range map[string]struct {
		calls   []int
		finding check.Name
	}{
		"no filter":         {[]int{unix.SYS_REBOOT}, ""},
		"pidfd_open":        {[]int{unix.SYS_PIDFD_OPEN}, check.FindPidfdOpen},
		"pidfd_send_signal": {[]int{unix.SYS_PIDFD_SEND_SIGNAL}, check.FindPidfdSendSignal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			s.makeResidual(1, 1)
			before := b.processes()
			run := func(args ...string) *job {
				j := b.start(command{args: refusing(test.calls, args...)})
				j.wait(t)
				return j
			}
			can := test.finding == ""

			if a := b.answer(run("status", "-o", "json")); a.report.CanSignal != can {
				t.Errorf("status: can signal is %v, want %v", a.report.CanSignal, can)
			}
			const says = "no process can be signalled"
			if j := run("status"); strings.Contains(j.stdout.String(), says) == can {
				t.Errorf("status says %q", j.stdout.String())
			}
			run("reap", "--dry-run", "--deadline", "0s", "--textfile", "/run/bed/metrics.prom")
			want := "haproxy_reaper_can_signal 0\n"
			if can {
				want = "haproxy_reaper_can_signal 1\n"
			}
			if text := b.read("/run/bed/metrics.prom"); !strings.Contains(text, want) {
				t.Errorf("the metrics have no %q", want)
			}

			j := run("check", "-o", "json")
			var r check.Report
			if err := json.Unmarshal([]byte(j.stdout.String()), &r); err != nil {
				t.Fatalf("%v in %q", err, j.stdout.String())
			}
			for _, name := range []check.Name{check.FindPidfdOpen, check.FindPidfdSendSignal} {
				i := slices.IndexFunc(r.Findings, func(f check.Finding) bool { return f.Name == name })
				// Without a pidfd the other call cannot be tried.
				refused := name == test.finding || test.finding == check.FindPidfdOpen
				if f := r.Findings[i]; (f.Status == check.Failure) != refused {
					t.Errorf("check says of %s: %s, %s", name, f.Status, f.Message)
				}
			}
			if code := j.cmd.ProcessState.ExitCode(); (code == agent.ExitPrivilege) == can {
				t.Errorf("check: exit status %d", code)
			}
			b.stay(before...)
		})
	}
}
