package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

func TestTheServiceKeepsItsFilesToItself(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.GoLive()
	m.Must("systemctl", "start", "haproxy-reaper.service")
	for name, want := range map[string]os.FileMode{
		"/var/lib/haproxy-reaper": os.ModeDir | 0o700,
		// Kept after the run, so that every run takes the same lock, which nobody
		// else may open and so hold.
		"/run/haproxy-reaper":      os.ModeDir | 0o755,
		"/run/haproxy-reaper/lock": 0o600,
		// For node exporter to read.
		machine.Textfile: 0o644,
	} {
		info, err := os.Stat(m.Path(name))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestWithoutHAProxyTheServiceSucceeds(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.GoLive()
	m.Must("systemctl", "stop", "haproxy.service")
	m.Must("systemctl", "start", "haproxy-reaper.service")
	m.UntilMetrics(map[string]string{"instances": "0"})
}

func TestARunThatFindsTheLockHeldIsASuccess(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.GoLive()
	m.Must("systemctl", "start", "haproxy-reaper.service")
	lock := exec.Command("flock", "--nonblock", m.Path("/run/haproxy-reaper/lock"), "sh", "-c", "echo held; cat")
	release, err := lock.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	held, err := lock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Start(); err != nil {
		t.Fatal(err)
	}
	defer lock.Wait()
	defer release.Close()
	if n, err := held.Read(make([]byte, 8)); n == 0 {
		t.Fatal("take the lock:", err)
	}
	m.Must("systemctl", "start", "haproxy-reaper.service")
	m.WantJournal("holds the lock")
}

func TestAMistakeInTheConfigurationFailsTheRunAndTheTimerGoesOn(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.Hurry()
	m.Configure("HAPROXY_REAPER_MAX_TERMINATIONS=5", "HAPROXY_REAPER_MAX_TERMINATIONS=many")
	m.Must("systemctl", "start", "haproxy-reaper.timer")
	m.UntilRuns(1)
	m.Until(func() error {
		// In one question: another run may be under way at the next.
		if got := strings.Fields(m.Must("systemctl", "show", "--property=Result,ExecMainStatus", "haproxy-reaper.service")); !slices.Equal(got, []string{"Result=exit-code", "ExecMainStatus=2"}) {
			return fmt.Errorf("the service ended with %q, want exit status 2", got)
		}
		return nil
	})
	m.WantJournal("haproxy-reaper.conf", "MAX_TERMINATIONS")

	// More often than systemd's start limit would bear: put right, it works.
	m.UntilRuns(6)
	m.Configure("HAPROXY_REAPER_MAX_TERMINATIONS=many", "HAPROXY_REAPER_MAX_TERMINATIONS=5")
	m.Until(func() error {
		if got := m.Show("haproxy-reaper.service", "Result"); got != "success" {
			return fmt.Errorf("put right, the service ends with %q", got)
		}
		return nil
	})
}
