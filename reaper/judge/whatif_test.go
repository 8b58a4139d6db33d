package judge_test

import (
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestOnlyAReportIsReadAsOne(t *testing.T) {
	const head = `{"version":1,"time":"2026-11-22T12:00:00Z","instances":[`
	process := func(text string) string { return head + `{"processes":[` + text + `]}]}` }
	for _, tt := range []struct {
		name, text string
		want       string // a part of the error, "" for none
	}{
		{"one without instances", head + `]}`, ""},
		{"one with a process", process(`{"pid":7,"role":"residual","connections":{"client":0},"ports":[{"clients":0}]}`), ""},
		{"with blanks around it", " \n" + head + "]}\n\n", ""},
		{"nothing", "", "empty"},
		{"blanks", " \n", "empty"},
		{"the half of one", head, "cut short"},
		{"no JSON", "pid 7", "malformed: invalid character"},
		{"two of them", head + "]}" + head + "]}", "something follows"},
		{"one and a half", head + "]}" + `{"version":`, "something follows"},
		{"one of the next version", `{"version":2,"instances":[]}`, "version 2"},
		{"one of the next version, in which all may be otherwise", `{"version":2}`, "version 2"},
		{"one without a version", `{"instances":[]}`, "no report"},
		{"another document", `{"version":1}`, "no report"},
		{"another document yet", `{}`, "no report"},
		{"a list", `[]`, "no report"},
		{"a number", `7`, "no report"},
		{"instances of another kind", `{"version":1,"time":"2026-11-22T12:00:00Z","instances":7}`, "instances has a value of another kind, number"},
		{"a pid of another kind", process(`{"pid":"7"}`), "pid has a value of another kind, string"},
		{"one of no time", `{"version":1,"instances":[]}`, "when it was made"},
		{"one of the last year", `{"version":1,"time":"9000-12-31T23:59:59Z","instances":[]}`, ""},
		{"one of the year after", `{"version":1,"time":"9001-01-01T00:00:00Z","instances":[]}`, "when it was made"},
		{"a process of no role", process(`{"pid":7}`), "process 7 has no role"},
		{"a process of a role that is none", process(`{"pid":7,"role":"king"}`), "process 7 has no role"},
		{"less than no clients", process(`{"pid":7,"role":"residual","connections":{"client":-1}}`), "less than no connections"},
		{"less than no connections towards servers", process(`{"pid":7,"role":"residual","connections":{"server":-1}}`), "less than no connections"},
		{"less than no other connections", process(`{"pid":7,"role":"residual","connections":{"other":-1}}`), "less than no connections"},
		{"less than no former ones", process(`{"pid":7,"role":"residual","connections":{"former":-1}}`), "less than no connections"},
		{"less than no clients of a port", process(`{"pid":7,"role":"residual","ports":[{"clients":-1}]}`), "less than no connections"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := judge.ParseReport([]byte(tt.text))
			if tt.want == "" && err != nil {
				t.Fatal(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("error is %v, want one line with %q", err, tt.want)
			}
		})
	}
}

// What became of processes when the report was made says nothing of what would.
func TestASavedReportIsReconsideredAsIfNobodyHadBeenSignalled(t *testing.T) {
	r := saved("", 60, 60, 60, 60, 3600)
	outcomes := []judge.Outcome{judge.OutcomeTerminated, judge.OutcomeFailed, judge.OutcomeSurvived, judge.OutcomeDrained, ""}
	for i, o := range outcomes {
		p := &r.Instances[0].Processes[2+i]
		p.Outcome, p.Signals, p.DrainedConnections, p.Error = o, []string{"SIGTERM"}, 3, "why"
	}
	other := r.Instances[0]
	other.Name = "other.service"
	r.Instances = append(r.Instances, other)

	got := judge.Reconsider(r, judge.Policy{Deadline: time.Hour})
	if !got.WhatIf || len(got.Instances) != 2 {
		t.Fatalf("what if: %v, of %d instances", got.WhatIf, len(got.Instances))
	}
	for i := range outcomes {
		p := got.Instances[0].Processes[2+i]
		outcome, failed := judge.Outcome(""), "why" // of the look
		if i == 4 {
			outcome = judge.OutcomeDryRun
		}
		if i == 1 || i == 2 {
			failed = "" // of the signal
		}
		if p.Outcome != outcome || len(p.Signals) != 0 || p.DrainedConnections != 0 || p.Error != failed {
			t.Errorf("%s: outcome %q, error %q, %d drained, signals %v; want %q, %q", outcomes[i], p.Outcome, p.Error, p.DrainedConnections, p.Signals, outcome, failed)
		}
	}
	if want := (judge.Summary{Active: 2, Residual: 10, Due: 2}); got.Summary != want {
		t.Errorf("summary %+v, want %+v", got.Summary, want)
	}

	only := judge.Reconsider(r, judge.Policy{Deadline: time.Hour, Instances: []string{"other.service"}})
	if len(only.Instances) != 1 || only.Instances[0].Name != "other.service" {
		t.Errorf("of the one that was asked for: %d instances", len(only.Instances))
	}
}
