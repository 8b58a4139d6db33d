package systemd_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The first day of an operator: installed, it only watches; one line changed,
// it terminates; and HAProxy's own service notices nothing of either.
func TestTheTimerWatchesUntilOneLineIsChangedThenItReaps(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.install()
	m.serveTunnel()
	mainPID := m.show("haproxy.service", "MainPID")
	old, clients := m.reloadHolding(3)
	active, held := m.answering(), m.hold()
	m.atOnce()
	m.hurry()

	// As it ships.
	m.must("systemctl", "start", "haproxy-reaper.timer")
	m.untilMetrics(map[string]string{
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
	m.untilRuns(2)
	for _, pid := range old {
		m.wantJournal("would signal", "signal=SIGTERM", "pid="+pid+" ")
	}
	if got, want := m.workers(), append(slices.Clone(old), active); !slices.Equal(got, want) {
		t.Fatalf("after the dry runs the workers are %q, want %q", got, want)
	}
	for i, c := range clients {
		if err := c.echo(); err != nil {
			t.Errorf("after the dry runs the client of worker %s: %v", old[i], err)
		}
	}

	// TO GO LIVE.
	m.goLive()
	m.until(func() error {
		if got := m.workers(); !slices.Equal(got, []string{active}) {
			return fmt.Errorf("the workers are %q, want the active one, %s, alone", got, active)
		}
		return nil
	})
	m.untilMetrics(map[string]string{
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
		if line, err := c.lines.ReadString('\n'); err == nil {
			t.Errorf("the client of worker %s, which is gone, still hears %q", old[i], line)
		}
	}

	// HAProxy itself.
	if err := held.echo(); err != nil {
		t.Error("the connection held on the active worker:", err)
	}
	if got := m.answering(); got != active {
		t.Errorf("worker %s answers, want %s as before", got, active)
	}
	got := map[string]string{}
	for _, property := range []string{"ActiveState", "SubState", "NRestarts", "MainPID", "Result"} {
		got[property] = m.show("haproxy.service", property)
	}
	want := map[string]string{"ActiveState": "active", "SubState": "running", "NRestarts": "0", "MainPID": mainPID, "Result": "success"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("haproxy.service (-want +got):\n%s", diff)
	}

	// The agent's own service.
	m.must("systemctl", "stop", "haproxy-reaper.timer")
	m.must("systemctl", "start", "haproxy-reaper.service")
	if strings.Contains(m.journal(), "Failed") {
		t.Errorf("a run failed:\n%s", m.journal())
	}
}

// As they ship, the timer looks every minute, and each host has its own delay.
func TestTheTimerRunsAMinuteAfterTheLastRun(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.install()
	m.must("systemctl", "enable", "--now", "haproxy-reaper.timer")
	got := map[string]string{}
	for _, property := range []string{"AccuracyUSec", "RandomizedDelayUSec", "FixedRandomDelay", "UnitFileState", "ActiveState"} {
		got[property] = m.show("haproxy-reaper.timer", property)
	}
	want := map[string]string{"AccuracyUSec": "1s", "RandomizedDelayUSec": "15s", "FixedRandomDelay": "yes", "UnitFileState": "enabled", "ActiveState": "active"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("haproxy-reaper.timer (-want +got):\n%s", diff)
	}
	schedule := m.show("haproxy-reaper.timer", "TimersMonotonic")
	for _, part := range []string{"OnBootUSec=1min", "OnUnitInactiveUSec=1min"} {
		if !strings.Contains(schedule, part) {
			t.Errorf("the timer's schedule is %q, want %s in it", schedule, part)
		}
	}
}

// untilMetrics waits until the textfile says all of this.
func (m *machine) untilMetrics(want map[string]string) {
	m.t.Helper()
	m.until(func() error {
		all, got := m.metrics(), map[string]string{}
		for name := range want {
			if value, ok := all[name]; ok {
				got[name] = value
			}
		}
		if maps.Equal(want, got) {
			return nil
		}
		return fmt.Errorf("the textfile (-want +got):\n%s\nAll of it: %v", cmp.Diff(want, got), all)
	})
}

// untilRuns waits until the timer has started so many more runs.
func (m *machine) untilRuns(n int) {
	m.t.Helper()
	for range n {
		before := m.show("haproxy-reaper.timer", "LastTriggerUSecMonotonic")
		m.until(func() error {
			if m.show("haproxy-reaper.timer", "LastTriggerUSecMonotonic") == before {
				return fmt.Errorf("the timer has not started another run")
			}
			return nil
		})
	}
}

// wantJournal waits for a line with all of these words.
func (m *machine) wantJournal(words ...string) {
	m.t.Helper()
	m.until(func() error {
		for line := range strings.Lines(m.journal()) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return nil
			}
		}
		return fmt.Errorf("the journal has no line with %q:\n%s", words, m.journal())
	})
}
