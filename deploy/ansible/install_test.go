package ansible_test

import (
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

func TestTheRoleInstallsConfiguresAndEnables(t *testing.T) {
	t.Parallel()
	f := bootFleet(t)
	const first = `"haproxy_reaper_spread": "10min", "haproxy_reaper_drop_ins": ["several-users"]`
	install(f, first)
	for i, m := range f.Hosts {
		enabled, _ := m.Run("systemctl", "is-enabled", "haproxy-reaper.timer")
		active, _ := m.Run("systemctl", "is-active", "haproxy-reaper.timer")
		if enabled != "enabled" || active != "active" {
			t.Errorf("host %d: the timer is %s, %s", i+1, enabled, active)
		}
		if got := m.Show("haproxy-reaper.timer", "RandomizedDelayUSec"); got != "10min" {
			t.Errorf("host %d: the timer is spread over %s", i+1, got)
		}
		if got := m.Show("haproxy-reaper.service", "User"); got != "root" {
			t.Errorf("host %d: with the drop-in several-users, the service is %s's", i+1, got)
		}
		if got, want := settingsOf(m.Read(machine.ConfigFile)), "HAPROXY_REAPER_DRY_RUN=true\nHAPROXY_REAPER_MAX_TERMINATIONS=5\n"; got != want {
			t.Errorf("host %d is configured\n%swant\n%s", i+1, got, want)
		}
		m.Must("systemctl", "start", "haproxy-reaper.service")
		m.UntilMetrics(map[string]string{"dry_run": "1", "instances": "1"})
	}

	for host, r := range install(f, first) {
		if r.changed != 0 {
			t.Errorf("the second time, %s has %d changes", host, r.changed)
		}
	}

	t.Run("goes live with one setting", func(t *testing.T) {
		install(f, `"haproxy_reaper_settings": {"dry-run": false, "max-terminations": 1, "deadline": "1h"},
			"haproxy_reaper_service": "[Service]\nNice=5"`)
		for i, m := range f.Hosts {
			want := "HAPROXY_REAPER_DEADLINE=1h\nHAPROXY_REAPER_DRY_RUN=false\nHAPROXY_REAPER_MAX_TERMINATIONS=1\n"
			if got := settingsOf(m.Read(machine.ConfigFile)); got != want {
				t.Errorf("host %d is configured\n%swant\n%s", i+1, got, want)
			}
			m.Must("systemctl", "start", "haproxy-reaper.service")
			m.UntilMetrics(map[string]string{"dry_run": "0"})
			if got := m.Show("haproxy-reaper.timer", "RandomizedDelayUSec"); got != "15s" {
				t.Errorf("host %d: without a spread of its own the timer is spread over %s", i+1, got)
			}
			if user, nice := m.Show("haproxy-reaper.service", "User"), m.Show("haproxy-reaper.service", "Nice"); user != "haproxy" || nice != "5" {
				t.Errorf("host %d: with a drop-in of one's own and no other, the service is %s's and has nice %s", i+1, user, nice)
			}
		}
	})
	t.Run("stops at the first host with a setting that the agent does not understand", func(t *testing.T) {
		before := f.Hosts[0].Read(machine.ConfigFile)
		said, hosts := ansible(f, "install.yml", `{"haproxy_reaper_package": "`+play+`haproxy-reaper.deb", "haproxy_reaper_settings": {"deadlin": "1h"}}`)
		if !strings.Contains(said, "unknown setting HAPROXY_REAPER_DEADLIN") {
			t.Error("Ansible does not say what is wrong")
		}
		if _, went := hosts["h2"]; hosts["h1"].failed != 1 || went {
			t.Errorf("the recap is %+v, want a failure of h1 and nothing of h2", hosts)
		}
		if got := f.Hosts[0].Read(machine.ConfigFile); got != before {
			t.Errorf("the configuration is now\n%s", got)
		}
	})
}

func TestTheFolderIsClean(t *testing.T) {
	t.Parallel()
	f := machine.BootFleet(t, 0)
	m := f.Control
	copyFolder(f)
	lint := func() (string, error) {
		return m.Run("env", "--chdir="+play, "HOME=/root", "PATH=/usr/bin:/bin", "ansible-lint", "--offline", "--strict", "--profile=production", "--nocolor")
	}
	if out, err := lint(); err != nil {
		t.Errorf("ansible-lint: %v\n%s", err, out)
	}
	m.Write(play+"wrong.yml", "- hosts: all\n  tasks:\n    - shell: echo\n", 0o644)
	if out, err := lint(); err == nil {
		t.Errorf("and it has nothing to say about a bad playbook:\n%s", out)
	}
}
