package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestARunWritesWhatItMayAndNoMore(t *testing.T) {
	const nothing, state, textfile, both = "", "state ", "textfile ", "state textfile "
	for name, row := range map[string]struct {
		args string // TEXTFILE and STATE stand for paths
		env  bool   // both are set as variables too
		want string
	}{
		"a live reap writes its state":                              {args: "reap", want: state},
		"a live reap writes both":                                   {args: "reap --textfile TEXTFILE --state-dir STATE", want: both},
		"a live reap writes what variables name":                    {args: "reap", env: true, want: both},
		"a dry run writes nothing by itself":                        {args: "reap -n", want: nothing},
		"a dry run writes nothing that only a variable names":       {args: "reap -n", env: true, want: nothing},
		"a dry run writes the textfile that its command line names": {args: "reap -n --textfile TEXTFILE", want: textfile},
		"a dry run writes the state that its command line names":    {args: "reap -n --state-dir STATE", want: state},
		"a dry run writes both that its command line names":         {args: "reap -n --state-dir STATE --textfile TEXTFILE", want: both},
		"status writes nothing":                                     {args: "status --state-dir STATE", env: true, want: nothing},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fixture.ReportOf(fixture.Young(6034, 3)))
			stateDir, metrics := w.path("state"), w.path("x.prom")
			if row.env {
				w.env["HAPROXY_REAPER_TEXTFILE"], w.env[stateVariable] = metrics, stateDir
			}
			args := strings.NewReplacer("TEXTFILE", metrics, "STATE", stateDir).Replace(row.args)
			if got := w.run(strings.Fields(args)...); got.code != ExitOK || got.stderr != "" {
				t.Fatalf("exit status %d: %s", got.code, got.stderr)
			}
			var wrote string
			if _, err := os.Stat(filepath.Join(stateDir, "state.json")); err == nil {
				wrote += state
			}
			if _, err := os.Stat(metrics); err == nil {
				wrote += textfile
			}
			if wrote != row.want {
				t.Errorf("it wrote %q, want %q", wrote, row.want)
			}
		})
	}
}

func TestCountersGoOnFromRunToRun(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.after = fixture.Outcomes(judge.OutcomeTerminated)
	args := []string{"reap", "--textfile", w.path("x.prom")}
	w.run(args...)
	w.run(args...)
	w.err = os.ErrDeadlineExceeded
	w.run(args...)
	b, err := os.ReadFile(w.path("x.prom"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"haproxy_reaper_runs_total 3\n",
		"haproxy_reaper_run_failures_total 1\n",
		`haproxy_reaper_terminated_processes_total{unit="haproxy.service"} 2` + "\n",
		"haproxy_reaper_dry_run 0\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("nothing of %q in\n%s", want, b)
		}
	}
}

func TestADryRunCountsNoTerminations(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.after = fixture.Outcomes(judge.OutcomeDryRun)
	w.run("reap", "-n", "--textfile", w.path("x.prom"))
	b, err := os.ReadFile(w.path("x.prom"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"haproxy_reaper_dry_run 1\n", `haproxy_reaper_terminated_processes_total{unit="haproxy.service"} 0` + "\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("nothing of %q in\n%s", want, b)
		}
	}
}

func TestARunRemembersForTheNext(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Young(6034, 3)))
	w.run("reap")
	w.run("status")
	id := inspect.ProcID{PID: 6034, StartTicks: 4305}
	if seen := w.engine.settings.earlier.Memory[id]; seen.Residual == 0 {
		t.Errorf("the next run remembers %v", w.engine.settings.earlier.Memory)
	}
}

func TestWhatCannotBeWrittenIsOneLineAndExitStatus1(t *testing.T) {
	for name, row := range map[string]struct{ args, want string }{
		"a state directory under a file": {args: "reap --state-dir FILE/state", want: "update the state"},
		"a textfile under a file":        {args: "reap --textfile FILE/x.prom", want: "write the metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
			w.after = fixture.Outcomes(judge.OutcomeTerminated)
			file := w.write("file", "")
			got := w.run(strings.Fields(strings.ReplaceAll(row.args, "FILE", file))...)
			if got.code != ExitFailed || strings.Count(got.stderr, "level=ERROR") != 1 || !strings.Contains(got.stderr, row.want) {
				t.Errorf("exit status %d: %s", got.code, got.stderr)
			}
			if !strings.Contains(got.stdout, "terminated residual process 6034") {
				t.Errorf("the reaping was affected: %s", got.stdout)
			}
		})
	}
}

func TestADamagedStateCostsAWarning(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Young(6034, 3)))
	if err := os.Mkdir(w.path("state"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("state/state.json", "{")
	for _, args := range []string{"status", "reap -n", "reap"} {
		got := w.run(strings.Fields(args)...)
		if got.code != ExitOK || !strings.Contains(got.stderr, "level=WARN") {
			t.Errorf("%s: exit status %d: %s", args, got.code, got.stderr)
		}
	}
	if got := w.run("reap"); got.stderr != "" {
		t.Errorf("a reap did not repair it: %s", got.stderr)
	}
}
