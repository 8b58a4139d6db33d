package systemd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// What needs a person fails the unit, for everybody who asks systemd, and the
// timer goes on.
func TestWhatNeedsAPersonFailsTheUnitAndTheTimerGoesOn(t *testing.T) {
	for _, test := range []struct {
		name, status, says string
		// wedge says which process is stopped.
		wedge func(m *machine.Machine, old, active string) (pid string)
	}{
		{"a refusal that withholds a termination", "3", "reason=active_stopped",
			func(_ *machine.Machine, _, active string) string { return active }},
		{"a process that survives its signal", "5", "still there after its signal",
			func(_ *machine.Machine, old, _ string) string { return old }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t)
			install(m)
			m.ServeTunnel()
			old, _ := m.ReloadHolding(1)
			wedged := test.wedge(m, old[0], m.Answering())
			m.Must("kill", "-STOP", wedged)
			t.Cleanup(func() { m.Run("kill", "-CONT", wedged) })
			m.GoLive()
			m.AtOnce()
			m.Hurry()
			m.Must("systemctl", "start", "haproxy-reaper.timer")
			m.Until(func() error {
				got := m.Must("systemctl", "show", "--property=Result,ExecMainStatus", "haproxy-reaper.service")
				if got != "Result=exit-code\nExecMainStatus="+test.status {
					return fmt.Errorf("the result is %q, want exit status %s", got, test.status)
				}
				return nil
			})
			// With its priority, and no time of its own.
			if got := m.Must("journalctl", "--no-pager", "--output=cat", "--priority=4..4", "--unit=haproxy-reaper.service"); !strings.Contains(got, test.says) || strings.Contains(got, "time=") {
				t.Errorf("the warnings in the journal are\n%s\nwant one with %q", got, test.says)
			}
			m.UntilRuns(1)
			m.Must("kill", "-CONT", wedged)
			m.UntilMetrics(map[string]string{
				`terminated_processes_total{unit="haproxy.service"}`: "1",
				`run_failures_total`: "0",
			})
			m.Until(func() error {
				if got := m.Show("haproxy-reaper.service", "Result"); got != "success" {
					return fmt.Errorf("mended, the result is %q", got)
				}
				return nil
			})
		})
	}
}
