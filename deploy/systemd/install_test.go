package systemd_test

import (
	"os"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
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
func install(m *machine.Machine) {
	m.T.Helper()
	m.Write("/usr/bin/haproxy-reaper", string(agent), 0o755)
	for _, unit := range []string{"haproxy-reaper.service", "haproxy-reaper.timer"} {
		m.Write(machine.UnitDir+unit, shipped(m.T, unit), 0o644)
	}
	m.Write(machine.ConfigFile, shipped(m.T, "haproxy-reaper.conf"), 0o644)
	m.Must("systemctl", "daemon-reload")
}
