package agent

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// savedBy is what a command prints with -o json.
func savedBy(t *testing.T, report judge.Report, args string) string {
	t.Helper()
	got := newWorld(t, report).run(strings.Fields(args + " -o json")...)
	if got.stdout == "" {
		t.Fatalf("%s: nothing on standard output, %s", args, got.stderr)
	}
	return got.stdout
}

func TestWhatIfDecidesASavedReportAgain(t *testing.T) {
	w := newWorld(t, fixture.EmptyReport())
	saved := savedBy(t, fixture.ReportOf(fixture.Young(6034, 3), fixture.Young(6040, 0)), "status")
	file := w.write("status.json", saved)
	for _, args := range []string{"status --deadline 5m --from " + file, "--deadline 5m --from -"} {
		w.stdin = strings.NewReader(saved)
		got := w.run(strings.Fields(args)...)
		if got.code != ExitOK || got.stderr != "" || w.engine != nil {
			t.Fatalf("%s: exit status %d, %q", args, got.code, got.stderr)
		}
		for _, want := range []string{
			"what if: as seen at 2026-11-22 12:00:00 UTC (", "host fe-01, deadline 5m (--deadline)",
			"would terminate residual process 6034 of haproxy.service (3 client connections), superseded 10m ago",
			"process 6034 of haproxy.service: terminate (past_deadline), in the file wait (within_deadline)",
			"1 instance: 1 active, 2 residual, 2 due, 0 terminated, 0 refused",
		} {
			if !strings.Contains(strings.ReplaceAll(got.stdout, "\n    ", " "), want) {
				t.Errorf("%s: nothing of %q in\n%s", args, want, got.stdout)
			}
		}
		if strings.Contains(got.stdout, "process 6001 of") {
			t.Errorf("the master is decided as in the file, and is named as changed:\n%s", got.stdout)
		}
	}
}

func TestWhatIfInJSONSaysThatItIsOne(t *testing.T) {
	w := newWorld(t, fixture.EmptyReport())
	file := w.write("status.json", savedBy(t, fixture.ReportOf(fixture.Young(6034, 3)), "status"))
	got := w.run("status", "--from", file, "--deadline", "1m", "-o", "json")
	var r judge.Report
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
		t.Fatal(err)
	}
	p := r.Instances[0].Processes[1]
	if !r.WhatIf || !r.Time.Equal(fixture.Noon) || r.DeadlineSeconds != 60 || p.Verdict != judge.VerdictTerminate || p.Outcome != judge.OutcomeDryRun {
		t.Errorf("what_if %v of %v, deadline %v, verdict %s, outcome %s", r.WhatIf, r.Time, r.DeadlineSeconds, p.Verdict, p.Outcome)
	}
	// It can be saved and decided once more, and comes to the first again.
	again := w.run("status", "--from", w.write("again.json", got.stdout), "-o", "json")
	plain := w.run("status", "--from", file, "-o", "json")
	if diff := cmp.Diff(plain, again, cmp.AllowUnexported(answers{})); diff != "" {
		t.Errorf("(-once +twice):\n%s", diff)
	}
}

// What a live pass did is undone: the question is what it would have done.
func TestWhatIfOfALivePassIsAsIfNobodyHadBeenSignalled(t *testing.T) {
	live := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	live.after = fixture.Outcomes(judge.OutcomeTerminated)
	saved := live.run("reap", "--yes", "-o", "json").stdout
	w := newWorld(t, fixture.EmptyReport())
	got := w.run("status", "--deadline", "2h", "--from", w.write("reap.json", saved))
	for _, want := range []string{"1 residual, 0 due, 0 terminated", "process 6034 of haproxy.service: wait (within_deadline), in the file terminate (past_deadline)"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("nothing of %q in\n%s", want, got.stdout)
		}
	}
}

func TestWhatIfOfOneInstance(t *testing.T) {
	w := newWorld(t, fixture.EmptyReport())
	file := w.write("status.json", savedBy(t, fixture.ReportOf(fixture.Young(6034, 3)), "status"))
	got := w.run("status", "--from", file, "--instance", "other.service")
	if got.code != ExitOK || !strings.Contains(got.stdout, "no HAProxy instance of that name found: other.service") {
		t.Errorf("exit status %d\n%s", got.code, got.stdout)
	}
}

func TestABadFileIsOneLineAndExitStatus1(t *testing.T) {
	good := savedBy(t, fixture.ReportOf(fixture.Young(6034, 3)), "status")
	for name, row := range map[string]struct{ content, want string }{
		"another version":        {strings.Replace(good, `"version": 1`, `"version": 2`, 1), "a report of version 2, and this program knows version 1"},
		"cut short":              {good[:len(good)/2], "malformed: cut short"},
		"empty":                  {"", "empty"},
		"no JSON":                {"Nov 22 12:00:00 haproxy-reaper: nothing to do", "malformed: invalid character 'N' looking for beginning of value"},
		"two of them":            {good + good, "malformed: something follows the report"},
		"another document":       {`{"version":1,"status":"ok","findings":[]}`, "no report of status or reap"},
		"no version":             {`{"instances":[]}`, "no report of status or reap"},
		"no object":              {`[1]`, "no report of status or reap"},
		"text for a number":      {strings.Replace(good, `"residual_seconds": 600`, `"residual_seconds": "600"`, 1), "malformed: instances.processes.residual_seconds has a value of another kind, string"},
		"a number beyond all":    {strings.Replace(good, `"residual_seconds": 600`, `"residual_seconds": 1e999`, 1), "malformed: instances.processes.residual_seconds has a value of another kind, number 1e999"},
		"a role of no kind":      {strings.Replace(good, `"role": "residual"`, `"role": "zombie"`, 1), "malformed: process 6034 has no role that this program knows"},
		"less than no clients":   {strings.Replace(good, `"client": 3`, `"client": -3`, 1), "malformed: process 6034 has less than no connections"},
		"no time":                {`{"version":1,"instances":[]}`, "malformed: it does not say when it was made"},
		"a time beyond all":      {strings.Replace(good, `"time": "2026`, `"time": "9999`, 1), "malformed: it does not say when it was made"},
		"larger than any report": {strings.Repeat(" ", maxReport+1), "too large: more than 32.0 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fixture.EmptyReport())
			file := w.write("saved.json", row.content)
			for _, from := range []string{file, "-"} {
				w.stdin = strings.NewReader(row.content)
				got := w.run("status", "--from", from)
				if got.code != ExitFailed || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(strings.ReplaceAll(got.stderr, `\"`, `"`), row.want) {
					t.Errorf("--from %s: exit status %d, %q, want 1 and %q in one line", from, got.code, got.stdout+got.stderr, row.want)
				}
			}
		})
	}
	w := newWorld(t, fixture.EmptyReport())
	if got := w.run("status", "--from", w.path("nothing.json")); got.code != ExitFailed || !strings.Contains(got.stderr, "no such file") {
		t.Errorf("a file that is not there: exit status %d, %q", got.code, got.stderr)
	}
}

func TestOnlyStatusDecidesASavedReport(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	want := answers{ExitUsage, "", "haproxy-reaper: --from: reap is about this host as it is, status decides again what was saved\n"}
	if diff := cmp.Diff(want, w.run("reap", "--yes", "--from", "x.json"), cmp.AllowUnexported(answers{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClientsAreStatussToList(t *testing.T) {
	got := newWorld(t, fixture.EmptyReport()).run("reap", "--clients", "--dry-run")
	if want := "haproxy-reaper: --clients: reap does not list them, status does\n"; got.code != ExitUsage || got.stderr != want {
		t.Errorf("exit status %d, %q, want %d, %q", got.code, got.stderr, ExitUsage, want)
	}
}

// FuzzSavedReport: whatever is in a file, it is decided or refused in one line.
func FuzzSavedReport(f *testing.F) {
	printed, err := text.JSON(fixture.ReportOf(fixture.Young(6034, 3)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(printed)
	f.Add([]byte(`{"version":1,"time":"2026-11-22T12:00:00Z","instances":[{"processes":[{"role":"residual","residual_seconds":-1e308}]}]}`))
	f.Add([]byte(`{"version":1,"instances":null}`))
	policy := judge.Policy{
		Deadline: time.Hour, DeadlineFor: map[uint16]time.Duration{22: time.Minute}, DeadlineJitter: time.Hour, HardDeadline: 2 * time.Hour,
		EmptyAfter: new(time.Minute), IdleAfter: time.Minute, MaxResidual: 2, MinAvailableMemory: 50, MaxTerminations: 1,
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := judge.ParseReport(b)
		if err != nil {
			if line := text.Escape(err.Error()); strings.ContainsAny(line, "\n\r\x00\x1b") {
				t.Errorf("the error is not one clean line: %q", line)
			}
			return
		}
		decided := judge.Reconsider(r, policy)
		if _, err := text.JSON(&decided); err != nil {
			t.Errorf("cannot be printed: %v", err)
		}
		if printed := text.Report(&decided, text.Head{}); strings.ContainsAny(printed, "\x00\x1b\r") {
			t.Errorf("not clean: %q", printed)
		}
	})
}
