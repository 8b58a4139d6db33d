package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func failedSignal() judge.Report {
	r := fixture.ReportOf(fixture.Overdue(6034, 3))
	p := &r.Instances[0].Processes[1]
	p.Outcome, p.Error = judge.OutcomeFailed, "send SIGTERM: operation not permitted"
	return r
}

// TestRunsEndAsDocumented is one row for each way a run may end: what is on the
// host, what was asked, and the exit status and words that come of it.
func TestRunsEndAsDocumented(t *testing.T) {
	unprivileged := statusOf(1000)
	for name, row := range map[string]struct {
		report judge.Report
		err    error
		after  func(*judge.Report)
		args   string
		env    map[string]string
		status string // our privileges, "" for root's
		pidfd  error
		code   int
		stdout []string
		stderr []string // none: standard error is empty
	}{
		"status of a healthy service": {
			report: fixture.ReportOf(fixture.Young(6034, 3)), args: "status",
			stdout: []string{"deadline 30m (default)", "haproxy.service (master-worker): active confirmed", "within its deadline, due in 20m"},
		},
		"status is the default": {
			report: fixture.ReportOf(fixture.Young(6034, 3)), args: "--deadline 1h", stdout: []string{"deadline 1h (--deadline)", "1 instance: 1 active, 1 residual"},
		},
		"status without HAProxy": {
			report: fixture.EmptyReport(), args: "status", stdout: []string{"no HAProxy process found"},
		},
		"status without the instance that was named": {
			report: fixture.EmptyReport(), args: "status --instance web.service", stdout: []string{"no HAProxy instance of that name found: web.service"},
		},
		"status of a refused service": {
			report: fixture.RefusedReport(judge.ReasonNotListening, "the youngest, 6050, holds no socket in LISTEN", fixture.Overdue(6034, 3)), args: "status",
			stdout: []string{"refused: the youngest worker holds no listening socket", "overdue by 30m"},
		},
		"status of an unreadable executable": {
			report: fixture.EmptyReport("executable: /proc/7/exe: permission denied"), args: "status", status: unprivileged, code: ExitPrivilege,
			stdout: []string{"could not read executable: /proc/7/exe", "no HAProxy process could be told from the others"},
			stderr: []string{"CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"},
		},
		"status of an unreadable service": {
			report: fixture.RefusedReport(judge.ReasonUnreadable, "process 6001: executable: permission denied"), args: "status", status: unprivileged, code: ExitPrivilege,
			stdout: []string{"refused: a fact could not be read (process 6001"}, stderr: []string{"CAP_SYS_PTRACE"},
		},
		"status of a service that root cannot read for a moment": {
			report: fixture.RefusedReport(judge.ReasonUnreadable, "too many open files"), args: "status", stdout: []string{"too many open files"},
		},
		"status that could not list processes": {
			report: fixture.EmptyReport("processes: /proc: input/output error"), err: unix.EIO, args: "status", code: ExitFailed,
			stdout: []string{"could not read processes"}, stderr: []string{"the host could not be inspected"},
		},
		"status that may not list processes": {
			report: fixture.EmptyReport("processes: /proc: permission denied"), err: &inspect.ReadError{Fact: "processes", Path: "/proc", Err: unix.EACCES}, args: "status",
			code: ExitPrivilege, stdout: []string{"could not read processes"}, stderr: []string{"the host could not be inspected"},
		},
		"a dry run with nothing to do": {
			report: fixture.ReportOf(fixture.Young(6034, 3)), args: "reap --dry-run", stdout: []string{"dry run (--dry-run)"},
		},
		"a dry run that would terminate": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeDryRun), args: "reap -n",
			stdout: []string{"would terminate residual process 6034 of haproxy.service (3 client connections), superseded 1h0m ago"},
		},
		"a dry run by DRYRUN": {
			report: fixture.ReportOf(fixture.Overdue(6034, 1)), after: fixture.Outcomes(judge.OutcomeDryRun), args: "reap", env: map[string]string{"DRYRUN": "yes"},
			stdout: []string{"dry run (DRYRUN)", "would terminate residual process 6034 of haproxy.service (1 client connection), superseded 1h0m ago"},
		},
		"a dry run through sudo asks nobody": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeDryRun), args: "reap -n", env: map[string]string{"SUDO_UID": "1000"},
			stdout: []string{"would terminate"},
		},
		"a dry run that is refused what is due": {
			report: fixture.RefusedReport(judge.ReasonStray, "process 9", fixture.Overdue(6034, 3), fixture.Overdue(6035, 1)), args: "reap -n", code: ExitRefused,
			stdout: []string{"refused haproxy.service: a process that HAProxy would not have here (process 9); 2 due processes left alone"},
		},
		"a dry run without privileges": {
			report: fixture.RefusedReport(judge.ReasonUnreadable, "x"), args: "reap -n", status: unprivileged, code: ExitPrivilege,
			stdout: []string{"refused: a fact"}, stderr: []string{"CAP_SYS_PTRACE"},
		},
		"a dry run on a kernel without pidfds": {
			report: fixture.EmptyReport(), args: "reap -n", pidfd: unix.ENOSYS, stdout: []string{"no HAProxy process found"},
		},
		"a reap without HAProxy": {
			report: fixture.EmptyReport(), args: "reap", stdout: []string{"no HAProxy process found"},
		},
		"a reap that terminated": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeTerminated), args: "reap",
			stdout: []string{"terminated residual process 6034 of haproxy.service (3 client connections)\n", "1 terminated"},
		},
		"a reap that had to kill": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeKilled), args: "reap --kill-after 5s",
			stdout: []string{"killed residual process 6034 of haproxy.service (3 client connections), which outlived SIGTERM"},
		},
		"a reap that came too late": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeVanished), args: "reap",
			stdout: []string{"residual process 6034 of haproxy.service vanished before it was signalled"},
		},
		"a reap with a survivor": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeSurvived), args: "reap", code: ExitSurvivor,
			stdout: []string{"residual process 6034 of haproxy.service (3 client connections) survived its signals and is still there"},
		},
		"a reap whose signal failed": {
			report: failedSignal(), args: "reap", code: ExitFailed,
			stdout: []string{"failed to signal residual process 6034 of haproxy.service (3 client connections): send SIGTERM: operation not permitted"},
		},
		"a reap that is refused what is due": {
			report: fixture.RefusedReport(judge.ReasonReloading, "master 6001 is reloading", fixture.Overdue(6034, 3)), args: "reap", code: ExitRefused,
			stdout: []string{"refused haproxy.service: the master is in the middle of a reload (master 6001 is reloading); 1 due process left alone"},
		},
		"a reap that is refused nothing due": {
			report: fixture.RefusedReport(judge.ReasonReloading, "master 6001 is reloading", fixture.Young(6034, 3)), args: "reap", stdout: []string{"refused: the master"},
		},
		"a reap with the cap reached": {
			report: capped(), after: fixture.Outcomes(judge.OutcomeTerminated), args: "reap --max-terminations 1",
			stdout: []string{"terminated residual process 6034", "left 2 due processes of haproxy.service to a later pass: over the cap of one pass"},
		},
		"a reap with a survivor and a failed signal": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3), fixture.Overdue(6035, 3)), after: fixture.Outcomes(judge.OutcomeSurvived, judge.OutcomeFailed), args: "reap", code: ExitFailed,
			stdout: []string{"survived its signals", "failed to signal"},
		},
		"a reap without CAP_SYS_PTRACE": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), args: "reap", status: statusOf(0, inspect.CapKill, inspect.CapDACReadSearch), code: ExitPrivilege,
			stdout: []string{"haproxy.service"}, stderr: []string{"reap may not act", "missing privilege: CAP_SYS_PTRACE"},
		},
		"a reap without CAP_KILL and nothing to signal": {
			report: fixture.ReportOf(fixture.Young(6034, 3)), args: "reap", status: statusOf(0, inspect.CapSysPtrace, inspect.CapDACReadSearch), stdout: []string{"haproxy.service"},
		},
		"a reap on a kernel without pidfds": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), args: "reap", pidfd: unix.ENOSYS, code: ExitPrivilege,
			stdout: []string{"haproxy.service"}, stderr: []string{"pidfd_open(2), Linux 5.3: function not implemented"},
		},
		"a reap that does not know its privileges": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), args: "reap", status: "Name:\tx\n", code: ExitFailed,
			stdout: []string{"haproxy.service"}, stderr: []string{"line Uid or CapEff is missing"},
		},
		"a reap through sudo with nobody to answer": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), args: "reap", env: map[string]string{"SUDO_UID": "1000"}, code: ExitUsage,
			stdout: []string{"haproxy.service"}, stderr: []string{"a run by hand needs an answer or --yes"},
		},
		"a reap through sudo with --yes": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeTerminated), args: "reap -y", env: map[string]string{"SUDO_UID": "1000"},
			stdout: []string{"terminated"},
		},
		"a reap through sudo with nothing to ask": {
			report: fixture.ReportOf(fixture.Young(6034, 3)), args: "reap", env: map[string]string{"SUDO_UID": "1000"}, stdout: []string{"haproxy.service"},
		},
		"a pass that failed": {
			report: fixture.EmptyReport("processes: /proc: cannot allocate memory"), err: unix.ENOMEM, args: "reap", code: ExitFailed,
			stdout: []string{"could not read"}, stderr: []string{"the host could not be inspected"},
		},
		"output none": {
			report: fixture.ReportOf(fixture.Overdue(6034, 3)), after: fixture.Outcomes(judge.OutcomeSurvived), args: "reap -o none", code: ExitSurvivor,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, row.report)
			w.err, w.after, w.status, w.kernel.pidfdErr = row.err, row.after, row.status, row.pidfd
			for k, v := range row.env {
				w.env[k] = v
			}
			got := w.run(strings.Fields(row.args)...)
			if got.code != row.code {
				t.Errorf("exit status %d, want %d", got.code, row.code)
			}
			for _, want := range row.stdout {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("nothing of %q on standard output", want)
				}
			}
			for _, want := range row.stderr {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("nothing of %q on standard error", want)
				}
			}
			if len(row.stdout) == 0 && got.stdout != "" {
				t.Error("standard output is not empty")
			}
			if len(row.stderr) == 0 && got.stderr != "" {
				t.Error("standard error is not empty")
			}
			harmless := row.code == ExitUsage || row.code == ExitPrivilege || !strings.HasPrefix(row.args, "reap") || w.engine.settings.config.DryRun
			if harmless && slices.Contains(w.engine.calls, "signal") {
				t.Errorf("signals were possible: %q", w.engine.calls)
			}
			if t.Failed() {
				t.Logf("standard output:\n%s\nstandard error:\n%s", got.stdout, got.stderr)
			}
		})
	}
}

// capped is a report in which the cap of one leaves two due processes alone.
func capped() judge.Report {
	r := fixture.ReportOf(fixture.Overdue(6034, 3), fixture.Overdue(6035, 3), fixture.Overdue(6036, 0))
	for _, i := range []int{2, 3} {
		p := &r.Instances[0].Processes[i]
		p.Verdict, p.Reason = judge.VerdictWait, judge.ReasonMaxTerminations
	}
	return r
}

func TestTheWorstOfSeveralIsTheExitStatus(t *testing.T) {
	order := []int{ExitUsage, ExitPrivilege, ExitFailed, ExitSurvivor, ExitRefused}
	for i, high := range order {
		for _, low := range order[i:] {
			if got := worst([]int{low, ExitOK, high}); got != high {
				t.Errorf("%d and %d come to %d, want %d", low, high, got, high)
			}
		}
	}
	if got := worst(nil); got != ExitOK {
		t.Errorf("nothing comes to %d", got)
	}
}

// TestJSONIsPrintedWhateverHappened also holds that it is all there is on
// standard output.
func TestJSONIsPrintedWhateverHappened(t *testing.T) {
	for code, w := range map[int]*world{
		ExitOK:        newWorld(t, fixture.ReportOf(fixture.Young(6034, 3))),
		ExitFailed:    newWorld(t, failedSignal()),
		ExitUsage:     newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3))),
		ExitRefused:   newWorld(t, fixture.RefusedReport(judge.ReasonTie, "x", fixture.Overdue(6034, 3))),
		ExitPrivilege: newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3))),
		ExitSurvivor:  newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3))),
	} {
		t.Run(fmt.Sprintf("exit status %d", code), func(t *testing.T) {
			switch code {
			case ExitPrivilege:
				w.status = statusOf(0)
			case ExitSurvivor:
				w.after = fixture.Outcomes(judge.OutcomeSurvived)
			case ExitUsage:
				w.env["SUDO_UID"] = "1000"
			}
			got := w.run("reap", "-o", "json")
			if got.code != code {
				t.Errorf("exit status %d, want %d: %s", got.code, code, got.stderr)
			}
			var r judge.Report
			if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
				t.Fatalf("%v in %q", err, got.stdout)
			}
			if r.Version != 1 || len(r.Instances) != 1 || r.DryRun {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestALiveReapWithoutAPrivilegeOnlyLooks(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.status = statusOf(0, inspect.CapKill)
	w.run("reap", "--yes")
	if want := []string{"status", "close"}; !slices.Equal(w.engine.calls, want) || w.engine.settings.live {
		t.Errorf("it did %q, want %q, able to signal: %v", w.engine.calls, want, w.engine.settings.live)
	}
}

func TestADryRunHasAnEngineThatCannotSignal(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.run("reap", "--dry-run", "--yes")
	if want := []string{"run", "close"}; !slices.Equal(w.engine.calls, want) || w.engine.settings.live {
		t.Errorf("it did %q, want %q, able to signal: %v", w.engine.calls, want, w.engine.settings.live)
	}
}

func TestAReportThatCannotBePrintedIsAFault(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
		w.stdout = fullDisk{}
		got := w.run("reap", "-o", format)
		if got.code != ExitFailed || !strings.Contains(got.stderr, "no space left on device") {
			t.Errorf("%s: exit status %d, %q", format, got.code, got.stderr)
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, unix.ENOSPC }

func TestAnInterruptedPassStillReports(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.after = func(r *judge.Report) {
		p := &r.Instances[0].Processes[1]
		p.Verdict, p.Reason = judge.VerdictWait, judge.ReasonInterrupted
	}
	got := w.runContext(ctx, "reap", "--textfile", w.path("x.prom"))
	if got.code != ExitOK || !strings.Contains(got.stdout, "left 1 due process of haproxy.service to a later pass: the pass was interrupted") {
		t.Errorf("exit status %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	if _, err := os.Stat(w.path("x.prom")); err != nil {
		t.Error("the metrics were not written: ", err)
	}
}

func TestUsageErrorsAreOneCleanLine(t *testing.T) {
	w := newWorld(t, fixture.EmptyReport())
	got := w.run("reap", "--dead\nline\x1b[2J")
	if want := "haproxy-reaper: unknown flag: --dead\\nline\\x1b[2J\n"; got.code != ExitUsage || got.stderr != want || got.stdout != "" {
		t.Errorf("exit status %d, %q, want %q", got.code, got.stderr, want)
	}
}

func TestABadPolicyMakesNoPass(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	got := w.run("reap", "--yes", "--hard-deadline", "10m")
	want := answers{ExitUsage, "", "haproxy-reaper: --hard-deadline (10m) is shorter than the deadline of 30m (default)\n"}
	if got != want || w.engine != nil {
		t.Errorf("%+v, a pass was made: %v; want %+v", got, w.engine != nil, want)
	}
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	got := newWorld(t, fixture.EmptyReport()).run("reap", "--help")
	if got.code != ExitOK || got.stdout != usage() || got.stderr != "" {
		t.Errorf("exit status %d, %q", got.code, got.stderr)
	}
}

func TestTheSettingsReachTheEngine(t *testing.T) {
	args := "reap -y --deadline 2h --drain-rate 0.5 --drain-timeout 2m --kill-after 20s --max-terminations 3 --settle 1s --pass-timeout 30s --instance a --instance b --exe /x --master-socket none"
	w := newWorld(t, fixture.EmptyReport())
	w.run(strings.Fields(args)...)
	e := newHostEngine(w.engine.settings).(hostEngine)
	defer e.Close()
	got := fmt.Sprintf("%s %d %v %+v %s", e.Policy.Deadline, e.Policy.MaxTerminations, e.Policy.Instances, e.Timing, e.MasterSocket)
	want := "2h0m0s 3 [a b] {Settle:1s KillAfter:20s DrainRate:0.5 DrainTimeout:2m0s PassTimeout:30s} none"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, ok := e.Terminator.(reaper.Signaller); !ok {
		t.Errorf("a live run has a %T", e.Terminator)
	}
	w.run("reap", "-n")
	e = newHostEngine(w.engine.settings).(hostEngine)
	defer e.Close()
	if _, ok := e.Terminator.(reaper.DryRun); !ok {
		t.Errorf("a dry run has a %T", e.Terminator)
	}
}
