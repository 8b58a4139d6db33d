package machine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Command is a program that will run in the machine.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", m.leader, "--all", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0"}
	cmd.Dir = "/"
	return cmd
}

// Run runs a program in the machine and returns what it wrote.
func (m *Machine) Run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	out, err := m.Command(ctx, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Must is run for a program that has to succeed.
func (m *Machine) Must(args ...string) string {
	m.T.Helper()
	out, err := m.Run(args...)
	if err != nil {
		m.T.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// Show is a property of a unit.
func (m *Machine) Show(unit, property string) string {
	m.T.Helper()
	return m.Must("systemctl", "show", "--value", "--property="+property, unit)
}

// Path is a file of the machine as it can be opened from here.
func (m *Machine) Path(name string) string {
	return "/proc/" + m.leader + "/root" + name
}

// Write writes a file of the machine, its folder included.
func (m *Machine) Write(name, content string, mode os.FileMode) {
	m.T.Helper()
	if err := os.MkdirAll(filepath.Dir(m.Path(name)), 0o755); err != nil {
		m.T.Fatal(err)
	}
	if err := os.WriteFile(m.Path(name), []byte(content), mode); err != nil {
		m.T.Fatal(err)
	}
}

// Read reads a file of the machine, empty when it is not there.
func (m *Machine) Read(name string) string {
	m.T.Helper()
	content, err := os.ReadFile(m.Path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.T.Fatal(err)
	}
	return string(content)
}

// Until polls for a condition that says what it still waits for, nil when it
// has come.
func (m *Machine) Until(condition func() error) {
	m.T.Helper()
	for end := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			m.T.Fatalf("after %v: %v", Patience, err)
		}
	}
}
