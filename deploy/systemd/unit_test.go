package systemd_test

import (
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// systemd-analyze verify is content with a misspelt key, apart from a line on
// standard error.
func TestSystemdHasNothingToSayAboutTheUnits(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	if out := m.Must("systemd-analyze", "verify", "--man=no", "haproxy-reaper.service", "haproxy-reaper.timer"); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}

	t.Run("and it would say so of a misspelt key", func(t *testing.T) {
		m.Write(machine.UnitDir+"misspelt.service", strings.Replace(shipped(t, "haproxy-reaper.service"), "UMask=", "UMsk=", 1), 0o644)
		if out, _ := m.Run("systemd-analyze", "verify", "--man=no", "misspelt.service"); !strings.Contains(out, "UMsk") {
			t.Errorf("systemd-analyze verify says %q", out)
		}
	})
}

// The scale of systemd-analyze security is 0 (safe) to 100; HAProxy's own unit
// has 96.
func TestTheServiceIsHardened(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	out, err := m.Run("systemd-analyze", "security", "--no-pager", "--threshold=25", "haproxy-reaper.service")
	lines := strings.Split(out, "\n")
	t.Log(lines[len(lines)-1])
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
