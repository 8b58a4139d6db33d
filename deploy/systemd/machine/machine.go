// Package machine boots a Debian for a test, with systemd as its process 1 and
// Debian's own haproxy.service in it, and says what a test of the agent in it
// does and waits for. Only tests use it.
package machine

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience is how long anything is waited for: far more than it takes, for a
// machine that is busy with other things.
const Patience = time.Minute

// A Machine is a Debian of its own for one test, booted by systemd-nspawn: its
// systemd is process 1, its network is a loopback, its files are an overlay on
// a root that is never written to. Machines side by side do not meet.
type Machine struct {
	T      testing.TB
	Name   string // its own, and that of its cgroups
	leader string // pid of its process 1, as seen from here
	netns  *os.File
}

// Boot boots a machine and waits until its systemd says that it is up. It is
// powered off at the end of the test. The options are systemd-nspawn's, for what
// not every machine has.
func Boot(t testing.TB, options ...string) *Machine {
	t.Helper()
	return boot(t, "HAPROXY_REAPER_BED", options...)
}

// boot boots the root that a variable names.
func boot(t testing.TB, variable string, options ...string) *Machine {
	t.Helper()
	root := os.Getenv(variable)
	if root == "" {
		t.Fatal(variable + " names no root to boot: run scripts/test")
	}
	if os.Geteuid() != 0 {
		t.Fatal("booting a systemd needs root: run scripts/test as root")
	}
	if _, err := exec.LookPath("systemd-nspawn"); err != nil {
		t.Fatal("systemd-nspawn is missing: run scripts/test")
	}

	// Not t.TempDir, whose names may be too long for the address of a socket.
	dir, err := os.MkdirTemp("", "machine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	console, err := os.Create(filepath.Join(dir, "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()

	name := filepath.Base(dir)
	groups := ownCgroups(t, name)
	// There is no machined to register with, and no unit of the host's to be
	// in: the machine gets cgroups of its own. pidfd_getfd is no call that
	// systemd-nspawn would let a guest make; on a real host nobody asks it.
	nspawn := exec.Command("sh", "-c",
		"for group in "+strings.Join(groups, " ")+`; do echo $$ >"$group/cgroup.procs" || exit; done; exec systemd-nspawn "$@"`,
		"sh", "--quiet", "--directory="+root, "--machine="+name, "--boot",
		"--register=no", "--keep-unit", "--notify-ready=yes", "--link-journal=no",
		"--private-network", "--volatile=overlay", "--console=pipe",
		"--system-call-filter=pidfd_getfd")
	nspawn.Args = append(nspawn.Args, options...)
	nspawn.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + notify.LocalAddr().String()}
	nspawn.Stdout, nspawn.Stderr = console, console
	exited := start(t, nspawn)

	m := &Machine{T: t, Name: name}
	t.Cleanup(func() {
		if t.Failed() && m.leader != "" {
			journal, _ := m.Run("journalctl", "--no-pager", "--lines=60", "--unit=haproxy*")
			t.Logf("the machine's journal ends with:\n%s", journal)
		}
		powerOff(t, nspawn, exited)
	})

	var up bool
	for deadline := time.Now().Add(Patience); !up || m.leader == ""; {
		select {
		case <-exited:
			text, _ := os.ReadFile(console.Name())
			t.Fatalf("systemd-nspawn ended: %v\n%s", nspawn.ProcessState, text)
		default:
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(console.Name())
			t.Fatalf("the machine did not boot in %v:\n%s", Patience, text)
		}
		buf := make([]byte, 4096)
		notify.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := notify.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("read what systemd-nspawn says:", err)
		}
		for line := range strings.Lines(string(buf[:n])) {
			line = strings.TrimSpace(line)
			if pid, ok := strings.CutPrefix(line, "X_NSPAWN_LEADER_PID="); ok {
				m.leader = pid
			}
			up = up || line == "READY=1"
		}
	}
	if m.netns, err = os.Open("/proc/" + m.leader + "/ns/net"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.netns.Close() })
	return m
}

// start starts a child that the kernel ends when the tests end in any way.
func start(t testing.TB, cmd *exec.Cmd) (exited <-chan struct{}) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The signal comes when the thread that made the child ends, so the
		// thread waits for the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return done
}

// powerOff asks the machine to power off, which SIGTERM means to
// systemd-nspawn, and pulls the plug where that takes too long.
func powerOff(t testing.TB, nspawn *exec.Cmd, exited <-chan struct{}) {
	nspawn.Process.Signal(syscall.SIGTERM)
	select {
	case <-exited:
	case <-time.After(Patience):
		t.Error("the machine did not power off in", Patience)
		nspawn.Process.Kill()
		<-exited
	}
}

// Leader is the pid of the machine's process 1, as seen from here.
func (m *Machine) Leader() int {
	m.T.Helper()
	pid, err := strconv.Atoi(m.leader)
	if err != nil {
		m.T.Fatal(err)
	}
	return pid
}

// PullThePlug ends the machine as a power cut would: with its process 1 the
// kernel ends all others.
func (m *Machine) PullThePlug() {
	m.T.Helper()
	if err := syscall.Kill(m.Leader(), syscall.SIGKILL); err != nil {
		m.T.Fatal(err)
	}
}
