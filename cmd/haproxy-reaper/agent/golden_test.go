package agent

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

var update = flag.Bool("update", false, "write anew the files that the tests compare with")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	asPublished(t, filepath.Join("testdata", name), got)
}

// asPublished compares with a file that is kept in the repository.
func asPublished(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update if this is meant:\n%s", path, diff)
	}
}

func TestHelpIsAsPublished(t *testing.T) { golden(t, "help.txt", usage()) }

func TestReportsPrintAsPublished(t *testing.T) {
	daemon := refusedReport(reaper.ReasonPaused, "process 7100 has paused listeners: tcp 0.0.0.0:443", overdue(7034, 1))
	in := &daemon.Instances[0]
	in.Name, in.Model, in.Witnesses = "/etc/haproxy/edge.cfg", reaper.ModelDaemon, []string{"sockets"}
	in.Processes[0].PID, in.Processes[0].Role, in.Processes[0].Reason = 7001, reaper.RoleStranded, reaper.ReasonStranded
	in.Processes[0].StrandedReason = reaper.StrandedListening
	in.Processes[0].Listeners = []string{"tcp 0.0.0.0:8443"}
	in.Processes[1].State, in.Processes[1].Wedge = "T", reaper.WedgeStopped
	in.Processes[1].Connections = reaper.Connections{}
	in.Processes[1].IdleSeconds, in.Processes[1].PrivateBytes = nil, nil
	in.Processes[2].PID, in.Processes[2].Role, in.Processes[2].Reason, in.Processes[2].Listeners = 7100, reaper.RolePaused, reaper.ReasonPaused, nil

	both := reportOf(young(6030, 0), overdue(6034, 3), overdue(6035, 12))
	outcomes(reaper.OutcomeDryRun, reaper.OutcomeDryRun, reaper.OutcomeDryRun)(&both)
	both.Instances[0].Processes[1].Outcome = ""
	both.DryRun = true
	both.Instances = append(both.Instances, daemon.Instances...)
	both.Summary = reaper.Summarize(both)

	after := reportOf(overdue(6034, 3), overdue(6035, 12), overdue(6036, 1), overdue(6037, 1), overdue(6038, 1))
	outcomes(reaper.OutcomeTerminated, reaper.OutcomeKilled, reaper.OutcomeSurvived, reaper.OutcomeVanished, reaper.OutcomeFailed)(&after)
	after.Instances[0].Processes[5].Error = "send SIGTERM: operation not permitted"

	c, err := parse("reap", map[string]string{"DRYRUN": "1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "dry-run.txt", renderText(&both, c))
	golden(t, "reap.txt", renderText(&after, c))
	json, err := renderJSON(&both)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "dry-run.json", string(json))
}
