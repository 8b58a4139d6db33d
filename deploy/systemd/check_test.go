package systemd_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// finding is one of `haproxy-reaper check -o json`.
type finding struct {
	Name, Instance, Status, Message, Advice string
}

// check runs check in the machine, through the given program if any, and returns
// its findings on Debian's HAProxy and on the host, by name.
func (m *machine) check(through ...string) (findings map[string]finding, code int) {
	m.t.Helper()
	args := slices.Concat([]string{"--target", m.leader, "--all", "--"}, through, []string{"/usr/bin/haproxy-reaper", "check", "-o", "json"})
	cmd := exec.Command("nsenter", args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	var report struct {
		Version  int
		Findings []finding
	}
	if err := json.Unmarshal(out, &report); err != nil || report.Version != 1 {
		m.t.Fatalf("%q: version %d, %v in %q", args, report.Version, err, out)
	}
	findings = map[string]finding{}
	for _, f := range report.Findings {
		if f.Instance == "" || f.Instance == "haproxy.service" {
			findings[f.Name] = f
		}
	}
	return findings, cmd.ProcessState.ExitCode()
}

// wantUnit wants what check says of the unit to be what systemd itself says.
func (m *machine) wantUnit(findings map[string]finding, statuses map[string]string) {
	m.t.Helper()
	for name, property := range map[string]string{"unit_type": "Type", "unit_kill_mode": "KillMode", "unit_restart": "Restart"} {
		want := property + "=" + m.show("haproxy.service", property)
		f := findings[name]
		if head, _, _ := strings.Cut(f.Message, ":"); head != want || f.Status != statuses[name] {
			m.t.Errorf("%s is %s: %q; want %s with %s, as systemctl has it", name, f.Status, f.Message, statuses[name], want)
		}
	}
}

func TestCheckReadsTheUnitAsSystemdDoes(t *testing.T) {
	t.Parallel()
	m := boot(t)
	m.install()
	findings, code := m.check()
	if code != 0 {
		t.Errorf("exit status %d, want 0: %v", code, findings)
	}
	for name, want := range map[string]string{
		"cap_kill": "ok", "readable": "ok", "active_confirmed": "ok", "namespaces": "ok", "master_cli": "ok",
		"configuration": "ok", "hard_stop_after": "warning", "expose_fd_listeners": "ok", "mworker_max_reloads": "ok",
	} {
		if f := findings[name]; f.Status != want {
			t.Errorf("%s is %q: %q, want %s", name, f.Status, f.Message, want)
		}
	}
	m.wantUnit(findings, map[string]string{"unit_type": "ok", "unit_kill_mode": "ok", "unit_restart": "ok"})

	m.write("/etc/systemd/system/haproxy.service.d/local.conf", "[Service]\nKillMode=process\nRestart=on-failure\n", 0o644)
	m.write("/run/systemd/system/haproxy.service.d/zz.conf", "[Service]\nRestart=\nRestart=on-abort\n", 0o644)
	m.must("systemctl", "daemon-reload")
	findings, code = m.check()
	if code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	m.wantUnit(findings, map[string]string{"unit_type": "ok", "unit_kill_mode": "warning", "unit_restart": "warning"})

	// The files of a unit are for everybody to read.
	findings, code = m.check("runuser", "-u", "nobody", "--")
	if code != 4 {
		t.Errorf("as nobody the exit status is %d, want 4", code)
	}
	m.wantUnit(findings, map[string]string{"unit_type": "ok", "unit_kill_mode": "warning", "unit_restart": "warning"})
	if f := findings["master_cli"]; f.Status != "warning" || !strings.Contains(f.Message, "permission denied") {
		t.Errorf("as nobody master_cli is %s: %q", f.Status, f.Message)
	}
}
