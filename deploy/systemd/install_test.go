package systemd_test

import (
	"os"
	"strings"
	"testing"
)

// Where a package puts what this folder ships.
const (
	configFile = "/etc/haproxy-reaper/haproxy-reaper.conf"
	unitDir    = "/usr/lib/systemd/system/"
	textfile   = "/var/lib/prometheus/node-exporter/haproxy-reaper.prom"
)

// shipped is a file of this folder.
func shipped(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// install installs the agent, its units and its configuration as they ship.
// The timer is neither enabled nor started.
func (m *machine) install() {
	m.t.Helper()
	m.write("/usr/bin/haproxy-reaper", string(agent), 0o755)
	for _, unit := range []string{"haproxy-reaper.service", "haproxy-reaper.timer"} {
		m.write(unitDir+unit, shipped(m.t, unit), 0o644)
	}
	m.write(configFile, shipped(m.t, "haproxy-reaper.conf"), 0o644)
	m.must("systemctl", "daemon-reload")
}

// configure changes one line of the configuration, as an operator would.
func (m *machine) configure(old, new string) {
	m.t.Helper()
	content := m.read(configFile)
	if n := strings.Count(content, old+"\n"); n != 1 {
		m.t.Fatalf("the configuration has the line %q %d times, want once:\n%s", old, n, content)
	}
	m.write(configFile, strings.Replace(content, old+"\n", new+"\n", 1), 0o644)
}

// goLive is the one line that the configuration tells an operator to change.
func (m *machine) goLive() {
	m.t.Helper()
	m.configure("HAPROXY_REAPER_DRY_RUN=true", "HAPROXY_REAPER_DRY_RUN=false")
}

// atOnce makes every residual process due, so that no test waits for half an
// hour.
func (m *machine) atOnce() {
	m.t.Helper()
	m.configure("#HAPROXY_REAPER_DEADLINE=30m", "HAPROXY_REAPER_DEADLINE=0s")
}

// hurry makes the timer run several times a second instead of every minute.
func (m *machine) hurry() {
	m.t.Helper()
	m.write("/etc/systemd/system/haproxy-reaper.timer.d/hurry.conf", `[Timer]
OnBootSec=
OnActiveSec=0
OnUnitInactiveSec=200ms
AccuracySec=10ms
RandomizedDelaySec=0
`, 0o644)
	m.must("systemctl", "daemon-reload")
}

// journal is what the agent has logged through its unit.
func (m *machine) journal() string {
	m.t.Helper()
	return m.must("journalctl", "--no-pager", "--output=cat", "--unit=haproxy-reaper.service")
}

// metrics are the samples of the textfile, by name and labels.
func (m *machine) metrics() map[string]string {
	m.t.Helper()
	samples := map[string]string{}
	for line := range strings.Lines(m.read(textfile)) {
		line = strings.TrimSpace(line)
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			samples[strings.TrimPrefix(line[:at], "haproxy_reaper_")] = line[at+1:]
		}
	}
	return samples
}
