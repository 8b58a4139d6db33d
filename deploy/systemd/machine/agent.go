package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// Where a package puts the agent's files, and the units say it writes.
const (
	ConfigFile = "/etc/haproxy-reaper/haproxy-reaper.conf"
	UnitDir    = "/usr/lib/systemd/system/"
	Textfile   = "/var/lib/prometheus/node-exporter/haproxy-reaper.prom"
)

// Configure changes one line of the configuration, as an operator would.
func (m *Machine) Configure(old, new string) {
	m.T.Helper()
	content := m.Read(ConfigFile)
	if n := strings.Count(content, old+"\n"); n != 1 {
		m.T.Fatalf("the configuration has the line %q %d times, want once:\n%s", old, n, content)
	}
	m.Write(ConfigFile, strings.Replace(content, old+"\n", new+"\n", 1), 0o644)
}

// GoLive is the one line that the configuration tells an operator to change.
func (m *Machine) GoLive() {
	m.T.Helper()
	m.Configure("HAPROXY_REAPER_DRY_RUN=true", "HAPROXY_REAPER_DRY_RUN=false")
}

// AtOnce makes every residual process due, so that no test waits for half an
// hour.
func (m *Machine) AtOnce() {
	m.T.Helper()
	m.Configure("#HAPROXY_REAPER_DEADLINE=30m", "HAPROXY_REAPER_DEADLINE=0s")
}

// Hurry makes the timer run several times a second instead of every minute.
func (m *Machine) Hurry() {
	m.T.Helper()
	m.Write("/etc/systemd/system/haproxy-reaper.timer.d/hurry.conf", `[Timer]
OnBootSec=
OnActiveSec=0
OnUnitInactiveSec=200ms
AccuracySec=10ms
RandomizedDelaySec=0
`, 0o644)
	m.Must("systemctl", "daemon-reload")
}

// Journal is what the agent has logged through its unit.
func (m *Machine) Journal() string {
	m.T.Helper()
	return m.Must("journalctl", "--no-pager", "--output=cat", "--unit=haproxy-reaper.service")
}

// Metrics are the samples of the textfile, by name and labels.
func (m *Machine) Metrics() map[string]string {
	m.T.Helper()
	samples := map[string]string{}
	for line := range strings.Lines(m.Read(Textfile)) {
		line = strings.TrimSpace(line)
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			samples[strings.TrimPrefix(line[:at], "haproxy_reaper_")] = line[at+1:]
		}
	}
	return samples
}

// UntilMetrics waits until the textfile says all of this.
func (m *Machine) UntilMetrics(want map[string]string) {
	m.T.Helper()
	m.Until(func() error {
		all, got := m.Metrics(), map[string]string{}
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

// UntilRuns waits until the timer has started so many more runs.
func (m *Machine) UntilRuns(n int) {
	m.T.Helper()
	for range n {
		before := m.Show("haproxy-reaper.timer", "LastTriggerUSecMonotonic")
		m.Until(func() error {
			if m.Show("haproxy-reaper.timer", "LastTriggerUSecMonotonic") == before {
				return fmt.Errorf("the timer has not started another run")
			}
			return nil
		})
	}
}

// WantJournal waits for a line with all of these words.
func (m *Machine) WantJournal(words ...string) {
	m.T.Helper()
	m.Until(func() error {
		for line := range strings.Lines(m.Journal()) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return nil
			}
		}
		return fmt.Errorf("the journal has no line with %q:\n%s", words, m.Journal())
	})
}
