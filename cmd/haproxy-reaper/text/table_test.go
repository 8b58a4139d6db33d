package text

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// linesOf are those of a text, which must be clean.
func linesOf(t *testing.T, text string) []string {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	list := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range list {
		if strings.TrimRight(line, " ") != line {
			t.Errorf("spaces at the end of %q", line)
		}
	}
	return list
}

// huge is a report with the largest value that each column may have to hold.
func huge() judge.Report {
	long := strings.Repeat("a-very-long-name/", 15)
	var all []judge.Process
	for _, role := range judge.Roles {
		for _, verdict := range []judge.Verdict{judge.VerdictKeep, judge.VerdictWait, judge.VerdictTerminate, judge.VerdictRefuse} {
			p := fixture.Overdue(4194304, math.MaxInt64)
			p.Role, p.Verdict, p.Reason = role, verdict, judge.ReasonStranded
			p.User, p.State, p.Error = "_haproxy-of-a-customer", "D", "send SIGTERM: "+long+long
			p.AgeSeconds, p.ResidualSeconds, p.IdleSeconds = 1e300, new(1e300), new(1e300)
			p.Due = new(fixture.Noon.AddDate(-200, 0, 0))
			p.PrivateBytes = new(uint64(math.MaxUint64))
			p.Listeners = []string{"unix /" + long, "tcp [2001:db8:1111:2222:3333:4444:5555:6666]:65535", "udp [2001:db8:1111:2222:3333:4444:5555:6666]:65535", "x", "y"}
			p.Outcome = judge.OutcomeTerminated
			all = append(all, p)
		}
	}
	r := fixture.RefusedReport(judge.ReasonTooMany, long, all...)
	r.Host, r.Errors, r.CanSignal, r.DryRun = long, []string{long}, false, true
	r.Instances[0].Name, r.Instances[0].Witnesses = long, []string{"sockets", "arguments", "cli"}
	return r
}

func TestTheTableKeepsTo100Columns(t *testing.T) {
	for name, report := range map[string]judge.Report{"huge values": huge(), "unknown values": unknownReport(), "errors alone": fixture.EmptyReport(strings.Repeat("word ", 100))} {
		t.Run(name, func(t *testing.T) {
			from := strings.Repeat("/folder", 40)
			h := Head{Policy: "deadline 290y364d23h59m59s999ms (" + from + ":1)", DryRunFrom: from + ":2"}
			sentence := map[string]bool{}
			for _, s := range sentences(&report) {
				sentence[s] = true
			}
			for _, line := range linesOf(t, Report(&report, h)) {
				if n := utf8.RuneCountInString(line); n > Columns && !sentence[line] {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}

// unknownReport is a report of processes of which nothing could be read.
func unknownReport() judge.Report {
	r := fixture.ReportOf()
	r.Instances[0].Processes = nil
	for _, role := range judge.Roles {
		r.Instances[0].Processes = append(r.Instances[0].Processes, judge.Process{Role: role, Verdict: judge.VerdictKeep, Reason: judge.Reason(role)})
	}
	return r
}

func TestWhatIsUnknownIsNeverZero(t *testing.T) {
	var b strings.Builder
	r := unknownReport()
	writeTable(&b, &r)
	rows := map[string]string{"master": "- - - - -", "active": "- ? ? - ?", "residual": "? ? ? ? ?"}
	for _, line := range linesOf(t, b.String()) {
		cells := strings.Fields(line)
		if len(cells) < 10 || rows[cells[0]] == "" {
			continue
		}
		if got, want := strings.Join(cells[4:9], " "), rows[cells[0]]; got != want {
			t.Errorf("%s: superseded, clients, servers, idle and memory are %s, want %s", cells[0], got, want)
		}
		delete(rows, cells[0])
	}
	if len(rows) > 0 {
		t.Errorf("no rows for %v in\n%s", rows, &b)
	}
}

// TestNothingAProcessChoosesReachesTheTerminal puts an escape sequence and a
// line break in every string of a report.
func TestNothingAProcessChoosesReachesTheTerminal(t *testing.T) {
	const evil = "x\x1b[2J\nrefused\u202e\xff\u0085"
	r := fixture.ReportOf(fixture.Overdue(6034, 3), fixture.Overdue(6035, 3))
	r.Errors = []string{"x"}
	r.Instances[0].Refusal = judge.ReasonStray
	r.Instances[0].Processes[1].Outcome = judge.OutcomeFailed
	r.Instances[0].Processes[2].Outcome = judge.OutcomeDryRun
	poison(reflect.ValueOf(&r).Elem(), evil)
	h := Head{Policy: evil, DryRunFrom: evil, SavedReport: evil, Instances: []string{evil}}
	text := Report(&r, h) + EmptyLine(&judge.Report{}, h.Instances)
	for _, bad := range []string{"\x1b", "\nrefused\n", "\u202e", "\xff", "\u0085"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q is in\n%q", bad, text)
		}
	}
	if !strings.Contains(text, `x\x1b[2J\nrefused\u202e\xff\u0085`) {
		t.Errorf("the names are not there at all:\n%s", text)
	}
}

// poison sets every plain string, and appends to every list of them.
func poison(v reflect.Value, evil string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				poison(v.Field(i), evil)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), evil)
		}
	case reflect.String:
		if v.Type().Name() == "string" && len(v.String()) != 1 { // the state is one letter, checked where it is read
			v.SetString(evil)
		}
	}
}
