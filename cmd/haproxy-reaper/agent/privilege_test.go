package agent

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

func TestPrivilegesAreReadFromStatus(t *testing.T) {
	for name, row := range map[string]struct {
		status string
		want   privileges
		bad    bool
	}{
		"root":                         {status: "Name:\tx\nUid:\t0\t0\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n", want: privileges{0, 0, 0x1ffffffffff}},
		"another effective user":       {status: "Uid:\t0\t106\t0\t0\nCapEff:\t0000000000080004\n", want: privileges{0, 106, 0x80004}},
		"no capabilities line":         {status: "Uid:\t0\t0\t0\t0\n", bad: true},
		"no user line":                 {status: "CapEff:\t0\n", bad: true},
		"a user that is no number":     {status: "Uid:\t0\tx\t0\t0\nCapEff:\t0\n", bad: true},
		"a real user that is none":     {status: "Uid:\tx\t0\t0\t0\nCapEff:\t0\n", bad: true},
		"a short user line":            {status: "Uid:\t0\nCapEff:\t0\n", bad: true},
		"capabilities of no number":    {status: "Uid:\t0\t0\t0\t0\nCapEff:\tall\n", bad: true},
		"capabilities without a value": {status: "Uid:\t0\t0\t0\t0\nCapEff:\n", bad: true},
		"nothing":                      {status: "", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePrivileges([]byte(row.status))
			if (err != nil) != row.bad || err == nil && got != row.want {
				t.Errorf("got %+v, %v; want %+v, an error: %v", got, err, row.want, row.bad)
			}
		})
	}
}

func TestOurOwnPrivilegesCanBeRead(t *testing.T) {
	p, err := readPrivileges(inspect.Linux{})
	if err != nil {
		t.Fatal(err)
	}
	if int(p.euid) != os.Geteuid() {
		t.Errorf("user %d, want %d", p.euid, os.Geteuid())
	}
}

func FuzzPrivilegesAreReadOrRefused(f *testing.F) {
	f.Add([]byte("Uid:\t0\t0\t0\t0\nCapEff:\t0000000000080004\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		p, err := parsePrivileges(status)
		if err != nil {
			return
		}
		again, err := parsePrivileges(fmt.Appendf(nil, "Uid:\t%d\t%d\nCapEff:\t%016x\n", p.ruid, p.euid, p.caps))
		if err != nil || again != p {
			t.Errorf("%+v, written and read again: %+v, %v", p, again, err)
		}
	})
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	p := privileges{caps: 1 << capKill}
	missing := p.missing(capSysPtrace, capDACReadSearch, capKill)
	if want := []capability{capSysPtrace, capDACReadSearch}; !slices.Equal(missing, want) || names(missing) != "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH" {
		t.Errorf("missing %v", names(missing))
	}
}

// An instance that may not be signalled brings exit status 4, and is no failure of the
// run: any account can bring that about. So it hides neither a failure nor a survivor.
func TestAnInstanceThatMayNotBeSignalledIsToldAndHidesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		outcome reaper.Outcome
		code    int
		failed  bool
	}{
		"beside an instance that was served": {reaper.OutcomeTerminated, ExitPrivilege, false},
		"beside a survivor":                  {reaper.OutcomeSurvived, ExitSurvivor, false},
		"beside a signal that failed":        {reaper.OutcomeFailed, ExitFailed, true},
	} {
		var log strings.Builder
		f := &faults{log: slog.New(slog.NewTextHandler(&log, nil))}
		r := refusedReport(reaper.ReasonPrivilege, "process 6034 of user x may not be signalled", overdue(6034, 3))
		served := reportOf(overdue(7034, 3))
		served.Instances[0].Processes[1].Outcome = row.outcome
		r.Instances = append(r.Instances, served.Instances...)
		r.Summary = reaper.Summarize(r)
		f.addOutcomes(r, privileges{euid: 106})
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

func TestAHiddenProcIsToldFromOneWithoutHAProxy(t *testing.T) {
	hiding := fakeKernel{files: map[string]string{"/proc/1/comm": ""}}
	showing := fakeKernel{files: map[string]string{"/proc/1/comm": "systemd\n"}}
	root := privileges{caps: 1 << capSysPtrace}
	for name, row := range map[string]struct {
		have   privileges
		kernel fakeKernel
		want   bool
	}{
		"nobody under hidepid":        {privileges{euid: 1000}, hiding, true},
		"nobody on an ordinary /proc": {privileges{euid: 1000}, showing, false},
		"root, who sees all":          {root, showing, false},
		"root, whose pid 1 is unread": {root, hiding, false},
	} {
		if got := hidden(row.have, row.kernel); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
	w := newWorld(t, emptyReport())
	w.status, w.hide = statusOf(1000), true
	if got := w.run("status"); got.code != ExitPrivilege {
		t.Errorf("no HAProxy in a hidden /proc: exit status %d, want %d", got.code, ExitPrivilege)
	}
}

func TestAPidfdThatCannotBeOpenedForWhateverReasonKeepsFromActing(t *testing.T) {
	p := privileges{caps: 1 << capSysPtrace}
	for _, errno := range []error{unix.ENOSYS, unix.EPERM, unix.EMFILE} {
		if err := p.mayAct(fakeKernel{pidfdErr: errno}); err == nil {
			t.Errorf("%v: may act", errno)
		}
	}
	if err := p.mayAct(fakeKernel{}); err != nil {
		t.Error(err)
	}
}
