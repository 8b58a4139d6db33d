package systemd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// systemd-analyze verify is content with a misspelt key, apart from a line on
// standard error.
func TestSystemdHasNothingToSayAboutTheUnits(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	verify := func(when string) {
		t.Helper()
		if out := m.Must(append([]string{"systemd-analyze", "verify", "--man=no"}, units...)...); out != "" {
			t.Errorf("systemd-analyze verify %s says:\n%s", when, out)
		}
	}
	verify("as they ship")
	for _, name := range []string{"other-user.conf", "several-users.conf"} {
		dropIn(m, "haproxy-reaper.service", name)
		dropIn(m, "haproxy-reaper-serve.service", name)
	}
	dropIn(m, "haproxy-reaper-serve.service", "socket-activation.conf")
	verify("with the drop-ins")

	t.Run("and it would say so of a misspelt key", func(t *testing.T) {
		m.Write(machine.UnitDir+"misspelt.service", strings.Replace(shipped(t, "haproxy-reaper.service"), "UMask=", "UMsk=", 1), 0o644)
		if out, _ := m.Run("systemd-analyze", "verify", "--man=no", "misspelt.service"); !strings.Contains(out, "UMsk") {
			t.Errorf("systemd-analyze verify says %q", out)
		}
	})
}

// The scale of systemd-analyze security is 0 (safe) to 100; HAProxy's own unit
// has 96.
func TestTheServicesAreHardened(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	for unit, most := range map[string]string{"haproxy-reaper.service": "15", "haproxy-reaper-serve.service": "21"} {
		out, err := m.Run("systemd-analyze", "security", "--no-pager", "--threshold="+most, unit)
		lines := strings.Split(out, "\n")
		t.Log(lines[len(lines)-1])
		if err != nil {
			t.Errorf("systemd-analyze security %s: %v\n%s", unit, err, out)
		}
	}
}

// systemd has no way to say a thing once for two units.
func TestBothServicesAreConfinedAlike(t *testing.T) {
	confinement := func(unit string) []string {
		_, text, _ := strings.Cut(shipped(t, unit), "\n[Service]\n")
		text, _, _ = strings.Cut(text, "\n[Install]\n")
		var settings []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				settings = append(settings, line)
			}
		}
		slices.Sort(settings)
		return settings
	}
	oneshot, serve := confinement("haproxy-reaper.service"), confinement("haproxy-reaper-serve.service")
	only := func(these, those []string) (list []string) {
		for _, setting := range these {
			if name, _, _ := strings.Cut(setting, "="); !slices.Contains(those, setting) && setting[0] != '-' {
				list = append(list, name)
			}
		}
		return slices.Compact(list)
	}
	// A pass for the one, a service with a network for the other.
	want := [][]string{
		{"ExecStart", "ExecStopPost", "IPAddressDeny", "RestrictAddressFamilies", "SuccessExitStatus", "TimeoutStartSec", "Type"},
		{"Environment", "ExecStart", "ExecStartPre", "KillMode", "NotifyAccess", "Restart", "RestartPreventExitStatus", "RestartSec",
			"RestrictAddressFamilies", "SystemCallFilter", "TimeoutAbortSec", "TimeoutStopSec", "Type", "WatchdogSec"},
	}
	if diff := cmp.Diff(want, [][]string{only(oneshot, serve), only(serve, oneshot)}); diff != "" {
		t.Errorf("settings of the one alone, and of the other (-want +got):\n%s", diff)
	}
}

// systemd before 246 has the calls of pidfds in no group of its filters: to allow them
// they are named.
func TestTheUnitsNameTheCallsThatTheAgentStandsOn(t *testing.T) {
	for _, unit := range []string{"haproxy-reaper.service", "haproxy-reaper-serve.service"} {
		_, filter, _ := strings.Cut(shipped(t, unit), "\nSystemCallFilter=")
		filter, _, _ = strings.Cut(filter, "\n")
		for _, call := range []string{"pidfd_open", "pidfd_send_signal", "pidfd_getfd", "kcmp"} {
			if !slices.Contains(strings.Fields(filter), call) {
				t.Errorf("%s allows %q, and does not name %s", unit, filter, call)
			}
		}
	}
}
