package systemd_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// finding is one of `haproxy-reaper check -o json`.
type finding struct {
	Name, Instance, Status, Message, Advice string
}

// check runs check in the machine, through the given program if any, and returns
// its findings on Debian's HAProxy and on the host, by name.
func check(m *machine.Machine, through ...string) (findings map[string]finding, code int) {
	m.T.Helper()
	args := append(slices.Clone(through), "/usr/bin/haproxy-reaper", "check", "-o", "json")
	cmd := m.Command(m.T.Context(), args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.T.Fatal(err)
	}
	var report struct {
		Version  int
		Findings []finding
	}
	if err := json.Unmarshal(out, &report); err != nil || report.Version != 1 {
		m.T.Fatalf("%q: version %d, %v in %q", args, report.Version, err, out)
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
func wantUnit(m *machine.Machine, findings map[string]finding, statuses map[string]string) {
	m.T.Helper()
	for name, property := range map[string]string{"unit_type": "Type", "unit_kill_mode": "KillMode", "unit_restart": "Restart"} {
		want := property + "=" + m.Show("haproxy.service", property)
		f := findings[name]
		if head, _, _ := strings.Cut(f.Message, ":"); head != want || f.Status != statuses[name] {
			m.T.Errorf("%s is %s: %q; want %s with %s, as systemctl has it", name, f.Status, f.Message, statuses[name], want)
		}
	}
}

func TestCheckReadsTheUnitAsSystemdDoes(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	findings, code := check(m)
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
	wantUnit(m, findings, map[string]string{"unit_type": "ok", "unit_kill_mode": "ok", "unit_restart": "ok"})

	m.Write("/etc/systemd/system/haproxy.service.d/local.conf", "[Service]\nKillMode=process\nRestart=on-failure\n", 0o644)
	m.Write("/run/systemd/system/haproxy.service.d/zz.conf", "[Service]\nRestart=\nRestart=on-abort\n", 0o644)
	m.Must("systemctl", "daemon-reload")
	findings, code = check(m)
	if code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
	wantUnit(m, findings, map[string]string{"unit_type": "ok", "unit_kill_mode": "warning", "unit_restart": "warning"})

	// The files of a unit are for everybody to read.
	findings, code = check(m, "runuser", "-u", "nobody", "--")
	if code != 4 {
		t.Errorf("as nobody the exit status is %d, want 4", code)
	}
	wantUnit(m, findings, map[string]string{"unit_type": "ok", "unit_kill_mode": "warning", "unit_restart": "warning"})
	if f := findings["master_cli"]; f.Status != "warning" || !strings.Contains(f.Message, "could be read") {
		t.Errorf("as nobody master_cli is %s: %q", f.Status, f.Message)
	}
}

// withoutUser takes the user away that HAProxy and the services run as.
func withoutUser(m *machine.Machine) {
	m.T.Helper()
	m.Must("systemctl", "stop", "haproxy")
	m.Must("userdel", "haproxy")
}

// Installed by hand, on a host whose HAProxy comes later or runs as another user.
func TestCheckSaysThatTheServicesHaveNoUser(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	withoutUser(m)
	findings, code := check(m)
	if f := findings["service_user"]; f.Status != "failure" || f.Message != "/etc/passwd has no user haproxy, as which haproxy-reaper.service runs: it does not start" || code != 1 {
		t.Errorf("exit status %d, service_user is %s: %q", code, f.Status, f.Message)
	}
	m.Must("systemd-analyze", "verify", "--man=no", "haproxy-reaper.service")

	// The way out that it names.
	m.Write("/usr/lib/sysusers.d/haproxy-reaper.conf", shipped(t, "sysusers.conf"), 0o644)
	m.Must("systemd-sysusers", "haproxy-reaper.conf")
	m.Must("systemctl", "start", "haproxy-reaper.service")
	findings, code = check(m)
	if f := findings["service_user"]; f.Status != "ok" || code != 0 {
		t.Errorf("with the user: exit status %d, service_user is %s: %q", code, f.Status, f.Message)
	}

	// The workers run as another user.
	dropIn(m, "haproxy-reaper.service", "other-user.conf")
	m.Must("systemctl", "start", "haproxy")
	findings, _ = check(m)
	if f := findings["service_user"]; f.Status != "warning" || !strings.Contains(f.Message, "haproxy-reaper.service runs as www-data, and no worker") {
		t.Errorf("with another user: service_user is %s: %q", f.Status, f.Message)
	}
}
