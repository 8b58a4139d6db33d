package agent

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestALiveReapByHandAsks(t *testing.T) {
	both := func() judge.Report {
		r, other := fixture.ReportOf(fixture.Overdue(6034, 3)), fixture.RefusedReport(judge.ReasonReloading, "x", fixture.Overdue(7034, 3))
		other.Instances[0].Name = "other.service"
		r.Instances = append(r.Instances, other.Instances...)
		r.Summary = judge.Summarize(r)
		return r
	}
	const asks = "terminate 1 process? [y/N] "
	for name, row := range map[string]struct {
		report  judge.Report
		args    string
		types   string
		asks    string // "" for no question
		signals bool
		code    int
	}{
		"and y is yes":                         {report: fixture.ReportOf(fixture.Overdue(6034, 3)), types: "y\n", asks: asks, signals: true},
		"and YES is yes":                       {report: fixture.ReportOf(fixture.Overdue(6034, 3)), types: " YES \n", asks: asks, signals: true},
		"and n is no":                          {report: fixture.ReportOf(fixture.Overdue(6034, 3)), types: "n\n", asks: asks},
		"and a bare return is no":              {report: fixture.ReportOf(fixture.Overdue(6034, 3)), types: "\n", asks: asks},
		"and anything else is no":              {report: fixture.ReportOf(fixture.Overdue(6034, 3)), types: "yesterday\n", asks: asks},
		"and the end of input is no":           {report: fixture.ReportOf(fixture.Overdue(6034, 3)), types: "\x04", asks: asks},
		"how many it would be":                 {report: fixture.ReportOf(fixture.Overdue(6034, 3), fixture.Overdue(6035, 0)), types: "y\n", asks: "terminate 2 processes? [y/N] ", signals: true},
		"about what is refused only for now":   {report: both(), types: "n\n", asks: "terminate 1 process, and 1 more, should what stands against it clear up? [y/N] ", code: ExitRefused},
		"when all is refused, only for now":    {report: fixture.RefusedReport(judge.ReasonReloading, "x", fixture.Overdue(6034, 3)), types: "n\n", asks: "terminate 1 process, should what stands against it clear up? [y/N] ", code: ExitRefused},
		"not with --yes":                       {report: fixture.ReportOf(fixture.Overdue(6034, 3)), args: "--yes", signals: true},
		"not in a dry run":                     {report: fixture.ReportOf(fixture.Overdue(6034, 3)), args: "--dry-run"},
		"not when nothing would be terminated": {report: fixture.ReportOf(fixture.Young(6034, 3)), signals: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person, terminal := fixture.Terminal(t)
			w := newWorld(t, row.report)
			w.stdin = terminal
			fmt.Fprint(person, row.types)
			got := w.run(append([]string{"reap", "-o", "json"}, strings.Fields(row.args)...)...)
			if got.code != row.code {
				t.Errorf("exit status %d, want %d", got.code, row.code)
			}
			if signals := slices.Contains(w.engine.calls, "signal"); signals != row.signals {
				t.Errorf("signalled: %v, want %v", signals, row.signals)
			}
			if row.asks == "" && strings.Contains(got.stderr, "[y/N]") || !strings.Contains(got.stderr, row.asks) {
				t.Errorf("want the question %q", row.asks)
			}
			if row.asks != "" && !strings.Contains(got.stderr, "residual    6034") {
				t.Error("the plan was not shown")
			}
			if !strings.HasPrefix(got.stdout, "{") {
				t.Errorf("standard output has more than the JSON: %q", got.stdout)
			}
			if t.Failed() {
				t.Log(got.stderr)
			}
		})
	}
}

func TestAPipeIsNoAnswer(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.env["SUDO_UID"] = "1000"
	w.stdin = strings.NewReader("y\n")
	if got := w.run("reap"); got.code != ExitUsage || slices.Contains(w.engine.calls, "signal") {
		t.Errorf("exit status %d after %q", got.code, w.engine.calls)
	}
}

func TestASignalWhileItAsksIsNo(t *testing.T) {
	person, terminal := fixture.Terminal(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	asked, answered := make(chan struct{}), make(chan bool)
	go func() {
		close(asked)
		answered <- readAnswer(ctx, terminal)
	}()
	<-asked
	cancel()
	select {
	case yes := <-answered:
		if yes {
			t.Error("it took the signal for a yes")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits for an answer")
	}
	// The reader ends with its terminal.
	fmt.Fprintln(person)
	if _, err := bufio.NewReader(person).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}
