package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// A local user runs thousands of programs named haproxy, whose names would fill the
// state and the metrics. Under the limits of the shipped unit the service is reaped,
// its series are its own, and nothing starts again at each run.
func TestAUserWithThousandsOfInstancesTakesNothingFromTheService(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "haproxy")
	if out, err := exec.Command("gcc", "-Wall", "-Werror", "-static", "-O1", "-o", program, "../../cmd/haproxy-reaper/e2e/testdata/strangers.c").CombinedOutput(); err != nil {
		t.Fatalf("build the strangers: %v\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.GoLive()
	m.AtOnce()
	m.Write("/usr/local/bin/haproxy", string(content), 0o755)
	const strangers = 3600
	m.Must("systemd-run", "--quiet", "--scope", "--unit=session-9.scope", "--property=TasksMax=infinity",
		"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", fmt.Sprintf("exec /usr/local/bin/haproxy many %d >/dev/null 2>&1", strangers))
	for n := range 3 {
		m.ReloadHolding(1)
		m.Must("systemctl", "start", "haproxy-reaper.service")
		m.UntilMetrics(map[string]string{
			`runs_total`:         fmt.Sprint(n + 1),
			`run_failures_total`: "0",
			`terminated_processes_total{unit="haproxy.service"}`: fmt.Sprint(n + 1),
			`active_confirmed{unit="haproxy.service"}`:           "1",
			`stranger{unit="haproxy.service"}`:                   "0",
			`stranger{unit="(others)"}`:                          "1",
			`stranger_instances`:                                 "256", // those that are read
		})
	}
}
