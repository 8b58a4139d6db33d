package text

import (
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestReportsPrintAsPublished(t *testing.T) {
	daemon := fixture.RefusedReport(judge.ReasonPaused, "process 7100 has paused listeners: tcp 0.0.0.0:443", fixture.Overdue(7034, 1))
	in := &daemon.Instances[0]
	in.Name, in.Model, in.Witnesses = "/etc/haproxy/edge.cfg", judge.ModelDaemon, []string{"sockets"}
	in.Processes[0].PID, in.Processes[0].Role, in.Processes[0].Reason = 7001, judge.RoleStranded, judge.ReasonStranded
	in.Processes[0].StrandedReason = judge.StrandedListening
	in.Processes[0].Listeners = []string{"tcp 0.0.0.0:8443"}
	in.Processes[1].State, in.Processes[1].Wedge = "T", judge.WedgeStopped
	in.Processes[1].Connections = judge.Connections{}
	in.Processes[1].IdleSeconds, in.Processes[1].PrivateBytes = nil, nil
	in.Processes[2].PID, in.Processes[2].Role, in.Processes[2].Reason, in.Processes[2].Listeners = 7100, judge.RolePaused, judge.ReasonPaused, nil

	both := fixture.ReportOf(fixture.Young(6030, 0), fixture.Overdue(6034, 3), fixture.Overdue(6035, 12))
	fixture.Outcomes(judge.OutcomeDryRun, judge.OutcomeDryRun, judge.OutcomeDryRun)(&both)
	both.Instances[0].Processes[1].Outcome = ""
	both.DryRun = true
	both.Instances = append(both.Instances, daemon.Instances...)
	both.Summary = judge.Summarize(both)

	after := fixture.ReportOf(fixture.Overdue(6034, 3), fixture.Overdue(6035, 12), fixture.Overdue(6036, 1), fixture.Overdue(6037, 1), fixture.Overdue(6038, 1))
	fixture.Outcomes(judge.OutcomeTerminated, judge.OutcomeKilled, judge.OutcomeSurvived, judge.OutcomeVanished, judge.OutcomeFailed)(&after)
	after.Instances[0].Processes[5].Error = "send SIGTERM: operation not permitted"

	h := Head{Policy: "deadline 30m (default)", DryRunFrom: "DRYRUN"}
	fixture.Golden(t, "testdata/dry-run.txt", Report(&both, h))
	fixture.Golden(t, "testdata/reap.txt", Report(&after, h))
	json, err := JSON(&both)
	if err != nil {
		t.Fatal(err)
	}
	fixture.Golden(t, "testdata/dry-run.json", string(json))
}
