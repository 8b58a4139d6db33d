package systemd_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// shipped is a file of this folder.
func shipped(t testing.TB, name string) string {
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
	for _, unit := range units {
		m.Write(machine.UnitDir+unit, shipped(m.T, unit), 0o644)
	}
	m.Write(machine.ConfigFile, shipped(m.T, "haproxy-reaper.conf"), 0o644)
	m.Write("/usr/lib/tmpfiles.d/haproxy-reaper.conf", shipped(m.T, "tmpfiles.conf"), 0o644)
	m.Must("systemd-tmpfiles", "--create", "haproxy-reaper.conf")
	// As deploy/README.md says it: node_exporter's folder is root's.
	m.Must("mkdir", "--parents", filepath.Dir(machine.Textfile))
	m.Must("ln", "--symbolic", "../../../../run/haproxy-reaper/haproxy-reaper.prom", machine.Textfile)
	m.Must("systemctl", "daemon-reload")
}

// units is every unit of this folder.
var units = []string{"haproxy-reaper.service", "haproxy-reaper.timer", "haproxy-reaper-serve.service", "haproxy-reaper-serve.socket"}

// dropIn adds a shipped drop-in to a unit, as an operator would.
func dropIn(m *machine.Machine, unit, name string) {
	m.T.Helper()
	addDropIn(m, unit, name, shipped(m.T, "drop-ins/"+name))
}

// addDropIn adds a drop-in of the test's own.
func addDropIn(m *machine.Machine, unit, name, content string) {
	m.T.Helper()
	m.Write("/etc/systemd/system/"+unit+".d/"+name, content, 0o644)
	m.Must("systemctl", "daemon-reload")
}
