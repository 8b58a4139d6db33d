package judge_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// saved is a report as it stands in a file: one instance with the residual
// processes given by their seconds since superseded, pids from 11 on.
func saved(refusal judge.Reason, residual ...float64) judge.Report {
	in := judge.Instance{Name: "haproxy.service", Refusal: refusal, Processes: []judge.Process{
		{ProcID: inspect.ProcID{PID: 1, StartTicks: 1}, Role: judge.RoleMaster},
		{ProcID: inspect.ProcID{PID: 2, StartTicks: 2}, Role: judge.RoleActive},
	}}
	for i, s := range residual {
		in.Processes = append(in.Processes, judge.Process{ProcID: inspect.ProcID{PID: 11 + i, StartTicks: uint64(11 + i)}, Role: judge.RoleResidual, ResidualSeconds: &s})
	}
	return judge.Report{Version: 1, Time: noon, Instances: []judge.Instance{in}}
}

func TestDecide(t *testing.T) {
	type verdict struct {
		Verdict judge.Verdict
		Reason  judge.Reason
	}
	keep := map[int]verdict{1: {"keep", "master"}, 2: {"keep", "active"}}
	for _, tt := range []struct {
		name   string
		report judge.Report
		policy judge.Policy
		want   map[int]verdict // beside the master and the active, which are always kept
		sum    judge.Summary
	}{
		{"before its deadline a residual process waits", saved("", 1799), judge.Policy{Deadline: 30 * time.Minute},
			map[int]verdict{11: {"wait", "within_deadline"}}, judge.Summary{Active: 1, Residual: 1}},
		{"at its deadline it is terminated", saved("", 1800), judge.Policy{Deadline: 30 * time.Minute},
			map[int]verdict{11: {"terminate", "past_deadline"}}, judge.Summary{Active: 1, Residual: 1, Due: 1}},
		{"a deadline of 0s is at once", saved("", 0), judge.Policy{},
			map[int]verdict{11: {"terminate", "past_deadline"}}, judge.Summary{Active: 1, Residual: 1, Due: 1}},
		{"a refused instance is left alone, due or not", saved("starting", 1900, 10), judge.Policy{Deadline: 30 * time.Minute},
			map[int]verdict{11: {"refuse", "starting"}, 12: {"refuse", "starting"}}, judge.Summary{Active: 1, Residual: 2, Due: 1, Refused: 1}},
		{"over the cap the longest superseded go first", saved("", 100, 300, 200), judge.Policy{MaxTerminations: 2},
			map[int]verdict{11: {"wait", "max_terminations"}, 12: {"terminate", "past_deadline"}, 13: {"terminate", "past_deadline"}},
			judge.Summary{Active: 1, Residual: 3, Due: 3}},
		{"those that are not due take no place under the cap", saved("", 100, 300, 10), judge.Policy{Deadline: time.Minute, MaxTerminations: 2},
			map[int]verdict{11: {"terminate", "past_deadline"}, 12: {"terminate", "past_deadline"}, 13: {"wait", "within_deadline"}},
			judge.Summary{Active: 1, Residual: 3, Due: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, err := json.Marshal(tt.report)
			if err != nil {
				t.Fatal(err)
			}
			r := judge.Decide(tt.report, tt.policy)
			got := map[int]verdict{}
			for _, p := range r.Instances[0].Processes {
				got[p.PID] = verdict{p.Verdict, p.Reason}
			}
			for pid, v := range keep {
				tt.want[pid] = v
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.sum, r.Summary); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
			if after, _ := json.Marshal(tt.report); string(after) != string(before) {
				t.Error("the report that was given has changed")
			}
		})
	}
}

func TestNoRoleButResidualIsEverTerminated(t *testing.T) {
	for _, role := range judge.Roles {
		seconds := 1e9
		r := saved("")
		r.Instances[0].Processes[0].Role = role
		r.Instances[0].Processes[0].ResidualSeconds = &seconds
		got := judge.Decide(r, judge.Policy{}).Instances[0].Processes[0].Verdict
		if (got == judge.VerdictTerminate) != (role == judge.RoleResidual) {
			t.Errorf("verdict on a process whose role is %s: %s", role, got)
		}
	}
}

func TestASavedReportIsDecidedAgainUnderAnotherPolicy(t *testing.T) {
	first := judge.Decide(saved("", 100, 5000), judge.Policy{Deadline: time.Hour})
	text, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	var loaded judge.Report
	if err := json.Unmarshal(text, &loaded); err != nil {
		t.Fatal(err)
	}
	got := judge.Decide(loaded, judge.Policy{Deadline: time.Minute})
	want := judge.Decide(saved("", 100, 5000), judge.Policy{Deadline: time.Minute})
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(judge.Report{}, judge.Instance{})); diff != "" {
		t.Errorf("decided again (-want +got):\n%s", diff)
	}
	if got.Summary.Due != 2 {
		t.Errorf("%d due, want 2", got.Summary.Due)
	}
}
