package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// boot boots the machine with all releases in it, the agent installed as it
// ships and live, and no service started.
func boot(t *tester, s settings, all []cell) *machine.Machine {
	var options []string
	for _, c := range all {
		option := "--bind-ro=" + c.root + ":" + c.mountedRoot()
		if len(options) == 0 || options[len(options)-1] != option {
			options = append(options, option)
		}
	}
	m := machine.Boot(t, options...)
	// Debian's own service would be one more instance, without any load.
	m.Must("systemctl", "disable", "--now", "haproxy.service")
	m.Must("install", "--directory", "--mode=755", sharedDir)
	for _, c := range all {
		m.Write(filepath.Join(sharedDir, c.name()+".cfg"), c.configuration(), 0o644)
		m.Write("/etc/systemd/system/"+c.unit(), c.service(), 0o644)
	}
	installAgent(m, s)
	m.Must("systemctl", "daemon-reload")
	return m
}

// installAgent installs the agent as it ships, makes it live, and hurries what
// is meant for minutes.
func installAgent(m *machine.Machine, s settings) {
	binary, err := os.ReadFile(s.agent)
	if err != nil {
		m.T.Fatal(err)
	}
	m.Write("/usr/bin/haproxy-reaper", string(binary), 0o755)
	for _, name := range []string{"haproxy-reaper.service", "haproxy-reaper.timer", "haproxy-reaper-serve.service"} {
		m.Write(machine.UnitDir+name, read(m, name), 0o644)
	}
	m.Write("/usr/lib/tmpfiles.d/haproxy-reaper.conf", read(m, "tmpfiles.conf"), 0o644)
	m.Must("systemd-tmpfiles", "--create", "haproxy-reaper.conf")
	m.Write(machine.ConfigFile, read(m, "haproxy-reaper.conf"), 0o644)
	m.GoLive()
	m.Configure("#HAPROXY_REAPER_DEADLINE=30m", fmt.Sprintf("HAPROXY_REAPER_DEADLINE=%v\nHAPROXY_REAPER_INTERVAL=1s", s.deadline))
	// One that is wedged does not hear SIGTERM.
	m.Configure("#HAPROXY_REAPER_KILL_AFTER=0s", "HAPROXY_REAPER_KILL_AFTER=1s")
	m.Hurry()
	m.Write("/etc/systemd/system/haproxy-reaper-serve.service.d/hurry.conf", "[Service]\nRestart=always\nRestartSec=100ms\n", 0o644)
}

// read is a file of deploy/systemd.
func read(m *machine.Machine, name string) string {
	content, err := os.ReadFile(filepath.Join("deploy/systemd", name))
	if err != nil {
		m.T.Fatal(err)
	}
	return string(content)
}
