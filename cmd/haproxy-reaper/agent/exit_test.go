package agent

import (
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// An instance that may not be signalled brings exit status 4, and is no failure of the
// run: any account can bring that about. So it hides neither a failure nor a survivor.
func TestAnInstanceThatMayNotBeSignalledIsToldAndHidesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		outcome judge.Outcome
		code    int
		failed  bool
	}{
		"beside an instance that was served": {judge.OutcomeTerminated, ExitPrivilege, false},
		"beside a survivor":                  {judge.OutcomeSurvived, ExitSurvivor, false},
		"beside a signal that failed":        {judge.OutcomeFailed, ExitFailed, true},
	} {
		var log strings.Builder
		f := &faults{log: slog.New(slog.NewTextHandler(&log, nil))}
		r := fixture.RefusedReport(judge.ReasonPrivilege, "process 6034 of user x may not be signalled", fixture.Overdue(6034, 3))
		served := fixture.ReportOf(fixture.Overdue(7034, 3))
		served.Instances[0].Processes[1].Outcome = row.outcome
		r.Instances = append(r.Instances, served.Instances...)
		r.Summary = judge.Summarize(r)
		f.addOutcomes(r, inspect.Privileges{EUID: 106})
		if f.status() != row.code || f.failed() != row.failed {
			t.Errorf("%s: exit status %d, failed %v", name, f.status(), f.failed())
		}
		for _, want := range []string{"an instance may not be signalled", "process 6034 of user x", "missing=CAP_KILL"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: nothing of %q in the log: %s", name, want, &log)
			}
		}
	}
}

// Processes that hide are a privilege that is missing, and never "no HAProxy".
func TestNoHAProxyInAHiddenProcIsAMissingPrivilege(t *testing.T) {
	w := newWorld(t, fixture.EmptyReport())
	w.status, w.hide = statusOf(1000), true
	if got := w.run("status"); got.code != ExitPrivilege {
		t.Errorf("no HAProxy in a hidden /proc: exit status %d, want %d", got.code, ExitPrivilege)
	}
}

func TestAPidfdThatCannotBeOpenedForWhateverReasonKeepsFromActing(t *testing.T) {
	p := inspect.Privileges{Caps: 1 << inspect.CapSysPtrace}
	for _, errno := range []error{unix.ENOSYS, unix.EPERM, unix.EMFILE} {
		if err := mayAct(p, fakeKernel{pidfdErr: errno}); err == nil {
			t.Errorf("%v: may act", errno)
		}
	}
	if err := mayAct(p, fakeKernel{}); err != nil {
		t.Error(err)
	}
}

// A line that is not understood is the caller's; a file that could not be read for
// want of descriptors is nobody's mistake.
func TestAConfigurationThatTheMachineCannotReadIsNoUsageError(t *testing.T) {
	for errno, want := range map[unix.Errno]int{unix.EMFILE: ExitFailed, unix.ENOMEM: ExitFailed, unix.EIO: ExitFailed, unix.EACCES: ExitUsage, unix.ENOENT: ExitUsage} {
		_, err := flags.Parse([]string{"reap", "--config", "some.conf"}, commandNames(), func(string) (string, bool) { return "", false },
			func(string, int) ([]byte, error) { return nil, errno })
		if err == nil {
			t.Fatalf("%v is no error", errno)
		}
		if got := settingsStatus(err); got != want {
			t.Errorf("%v: exit status %d, want %d", err, got, want)
		}
	}
}
