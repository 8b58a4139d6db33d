package systemd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// Processes of an unprivileged account that look like HAProxy, at the limits of the
// kernel. The service has 256 MiB and 1,024 descriptors, and its system call filter.
func TestHostileProcessesKeepTheServiceFromNoResidual(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, "--bind=/dev/fuse")
	install(m)
	m.ServeTunnel()
	m.GoLive()
	m.AtOnce()
	m.Write("/usr/local/bin/hostile", buildHostile(t), 0o755)
	m.Must("mkdir", "-p", "/usr/local/stranger")
	m.Must("cp", "/usr/local/bin/hostile", "/usr/local/stranger/haproxy")
	terminated := 0
	m.Must("mkdir", "-p", "/run/stranger/fuse")
	m.Must("truncate", "--size=1T", "/run/stranger/sparse")
	const fuse = "HOSTILE_FUSE=/run/stranger/fuse"
	for _, attack := range []struct {
		name, processes string
		variables       []string
	}{
		{"groups", "20", []string{"HOSTILE_GROUPS=65536"}},
		{"arguments", "12", []string{"HOSTILE_PIECES=345000"}},
		{"descriptors", "100", []string{"HOSTILE_COPIES=10000"}},
		{"datagrams", "20", []string{"HOSTILE_DATAGRAMS=19000"}},
		{"processes", "1200", nil},
		{"names", "1000", []string{"HOSTILE_NAME=200"}},
		{"configuration-of-the-service", "100", []string{"HOSTILE_CONFIG=/etc/haproxy/haproxy.cfg"}},
		{"configuration-without-end", "50", []string{"HOSTILE_CONFIG=/run/stranger/sparse"}},
		{"files-that-never-close", "2", []string{fuse}},
		{"programs-that-never-begin", "20", []string{fuse, "HOSTILE_EXEC=1"}},
	} {
		unit := "hostile-" + attack.name + ".service"
		m.ReloadHolding(1)
		command := []string{"systemd-run", "--quiet", "--unit=" + unit, "--property=Type=exec", "--property=LimitNOFILE=20000:20000", "--property=TasksMax=infinity", "--property=StandardOutput=file:/run/" + unit,
			"--setenv=HOSTILE_EXE=/usr/local/stranger/haproxy"}
		for _, variable := range attack.variables {
			command = append(command, "--setenv="+variable)
		}
		m.Must(append(command, "/usr/local/bin/hostile", attack.processes)...)
		m.Until(func() error {
			if m.Read("/run/"+unit) != "ready\n" {
				return errors.New("the hostile processes are not there")
			}
			return nil
		})
		if out, err := m.Run("systemctl", "start", "haproxy-reaper.service"); err != nil {
			t.Errorf("%s: the service fails: %s", attack.name, out)
		}
		if got := m.Workers(); len(got) != 1 {
			t.Errorf("%s: the workers are %v, want the active alone", attack.name, got)
		}
		terminated++
		m.UntilMetrics(map[string]string{
			`terminated_processes_total{unit="haproxy.service"}`: fmt.Sprint(terminated),
			`active_confirmed{unit="haproxy.service"}`:           "1",
			`stranger{unit="haproxy.service"}`:                   "0",
		})
		m.Must("systemctl", "stop", unit)
	}
}

// buildHostile builds the program of the end-to-end tests.
func buildHostile(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "hostile")
	source := filepath.Join("..", "..", "cmd", "haproxy-reaper", "e2e", "testdata", "hostile.c")
	if text, err := exec.Command("gcc", "-Wall", "-Werror", "-O1", "-static", "-o", out, source).CombinedOutput(); err != nil {
		t.Fatalf("build the hostile program: %v\n%s", err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}
