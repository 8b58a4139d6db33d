package systemd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// The first day of an operator: installed, it only watches; one line changed,
// it terminates; and HAProxy's own service notices nothing of either.
func TestTheTimerWatchesUntilOneLineIsChangedThenItReaps(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	mainPID := m.Show("haproxy.service", "MainPID")
	old, clients := m.ReloadHolding(3)
	active, held := m.Answering(), m.Hold()
	m.AtOnce()
	m.Hurry()

	// As it ships.
	m.Must("systemctl", "start", "haproxy-reaper.timer")
	m.UntilMetrics(map[string]string{
		`dry_run`:   "1",
		`instances`: "1",
		`active_confirmed{unit="haproxy.service"}`:                           "1",
		`processes{state="active",unit="haproxy.service"}`:                   "1",
		`processes{state="residual",unit="haproxy.service"}`:                 "3",
		`overdue_processes{unit="haproxy.service"}`:                          "3",
		`connections{side="client",state="residual",unit="haproxy.service"}`: "3",
		`terminated_processes_total{unit="haproxy.service"}`:                 "0",
	})
	// A second run, and not one of them has signalled anybody.
	m.UntilRuns(2)
	for _, pid := range old {
		m.WantJournal("would signal", "signal=SIGTERM", "pid="+pid+" ")
	}
	if got, want := m.Workers(), append(slices.Clone(old), active); !slices.Equal(got, want) {
		t.Fatalf("after the dry runs the workers are %q, want %q", got, want)
	}
	for i, c := range clients {
		if err := c.Echo(); err != nil {
			t.Errorf("after the dry runs the client of worker %s: %v", old[i], err)
		}
	}

	// TO GO LIVE.
	m.GoLive()
	m.Until(func() error {
		if got := m.Workers(); !slices.Equal(got, []string{active}) {
			return fmt.Errorf("the workers are %q, want the active one, %s, alone", got, active)
		}
		return nil
	})
	m.UntilMetrics(map[string]string{
		`dry_run`: "0",
		`active_confirmed{unit="haproxy.service"}`:             "1",
		`processes{state="active",unit="haproxy.service"}`:     "1",
		`processes{state="residual",unit="haproxy.service"}`:   "0",
		`overdue_processes{unit="haproxy.service"}`:            "0",
		`terminated_processes_total{unit="haproxy.service"}`:   "3",
		`terminated_connections_total{unit="haproxy.service"}`: "6", // of each tunnel both ends
		`run_failures_total`:                                   "0",
	})
	for i, c := range clients {
		if line, err := c.Lines.ReadString('\n'); err == nil {
			t.Errorf("the client of worker %s, which is gone, still hears %q", old[i], line)
		}
	}

	// HAProxy itself.
	if err := held.Echo(); err != nil {
		t.Error("the connection held on the active worker:", err)
	}
	if got := m.Answering(); got != active {
		t.Errorf("worker %s answers, want %s as before", got, active)
	}
	got := map[string]string{}
	for _, property := range []string{"ActiveState", "SubState", "NRestarts", "MainPID", "Result"} {
		got[property] = m.Show("haproxy.service", property)
	}
	want := map[string]string{"ActiveState": "active", "SubState": "running", "NRestarts": "0", "MainPID": mainPID, "Result": "success"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("haproxy.service (-want +got):\n%s", diff)
	}

	// The agent's own service.
	m.Must("systemctl", "stop", "haproxy-reaper.timer")
	m.Must("systemctl", "start", "haproxy-reaper.service")
	if strings.Contains(m.Journal(), "Failed") {
		t.Errorf("a run failed:\n%s", m.Journal())
	}
}

// As they ship, the timer looks every minute, and each host has its own delay.
func TestTheTimerRunsAMinuteAfterTheLastRun(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.Must("systemctl", "enable", "--now", "haproxy-reaper.timer")
	got := map[string]string{}
	for _, property := range []string{"AccuracyUSec", "RandomizedDelayUSec", "FixedRandomDelay", "UnitFileState", "ActiveState"} {
		got[property] = m.Show("haproxy-reaper.timer", property)
	}
	want := map[string]string{"AccuracyUSec": "1s", "RandomizedDelayUSec": "15s", "FixedRandomDelay": "yes", "UnitFileState": "enabled", "ActiveState": "active"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("haproxy-reaper.timer (-want +got):\n%s", diff)
	}
	schedule := m.Show("haproxy-reaper.timer", "TimersMonotonic")
	for _, part := range []string{"OnBootUSec=1min", "OnUnitInactiveUSec=1min"} {
		if !strings.Contains(schedule, part) {
			t.Errorf("the timer's schedule is %q, want %s in it", schedule, part)
		}
	}
}
