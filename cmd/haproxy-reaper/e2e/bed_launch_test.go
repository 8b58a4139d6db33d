package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// This file starts HAProxy by command lines of a test's own: those of start
// scripts and supervisors, which a service of the bed does not know.

// oldEnough is the age from which a later process of equal arguments cannot be
// of the same generation.
const oldEnough = 1500 * time.Millisecond

// shell is a command that runs a script by the shell of HAProxy's root.
func (b *bed) shell(uid int, script string) []string {
	return b.haproxyAs(uid, "/bin/sh", "-c", script)
}

// brings runs a command to its end and waits for what comes of it: one process
// more, which serves.
func (b *bed) brings(c command) process {
	b.t.Helper()
	before := ids(b.processes())
	c.log = b.log
	b.run(c)
	return b.came(before, true)
}

// comes is brings for a process that holds no listener.
func (b *bed) comes(c command) process {
	b.t.Helper()
	before := ids(b.processes())
	c.log = b.log
	b.run(c)
	return b.came(before, false)
}

// came waits for exactly one process that was not there before, which is ready,
// has its user and no HAProxy for a child, and listens or not as wanted.
func (b *bed) came(before []inspect.ProcID, listens bool) process {
	b.t.Helper()
	var found []process
	b.until(func() error {
		listening, all := b.listening(), b.processes()
		found = slices.DeleteFunc(slices.Clone(all), func(p process) bool {
			parent := slices.ContainsFunc(all, func(q process) bool { return q.ppid == p.PID })
			return slices.Contains(before, p.ProcID) || parent || !p.ready() || p.uid == 0 || p.holds(listening) != listens
		})
		if len(found) != 1 {
			return fmt.Errorf("%d processes came, not 1", len(found))
		}
		return nil
	})
	return found[0]
}

// bringsMaster runs a command to its end and waits for a master and its worker,
// which serves.
func (b *bed) bringsMaster(c command) (master, worker process) {
	b.t.Helper()
	before := ids(b.processes())
	c.log = b.log
	b.run(c)
	b.until(func() error {
		listening, all := b.listening(), b.processes()
		for _, p := range all {
			for _, m := range all {
				if p.ppid == m.PID && !slices.Contains(before, p.ProcID) && p.ready() && p.uid != 0 && p.holds(listening) &&
					m.ready() && m.has(m.caught, unix.SIGTERM) {
					master, worker = m, p
					return nil
				}
			}
		}
		return errors.New("no master with a worker that serves came")
	})
	return master, worker
}

// silent says that a process is gone, or still listens.
func (b *bed) silent(p process) error {
	listening := b.listening()
	for _, q := range b.processes() {
		if q.ProcID == p.ProcID {
			if q.holds(listening) {
				return fmt.Errorf("%v still listens", p.ProcID)
			}
			return nil
		}
	}
	return fmt.Errorf("%v is gone", p.ProcID)
}

// client opens a connection to an address and sees it answered. It is held
// until the test ends.
func (b *bed) client(address string) net.Conn {
	b.t.Helper()
	c, err := b.dial(address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := echo(c); err != nil {
		b.t.Fatalf("through %s: %v", address, err)
	}
	return c
}

// tcpConfig is a configuration of one frontend, with further lines of its
// global section.
func tcpConfig(bind, backend, global string) string {
	text := strings.ReplaceAll(tcpOnly, "127.0.0.1:8000", bind)
	text = strings.ReplaceAll(text, "    nbthread 2\n", "    nbthread 2\n"+global)
	return strings.ReplaceAll(text, "BACKEND", backend)
}

// mkdir makes a folder of the bed.
func (b *bed) mkdir(name string) {
	b.t.Helper()
	if err := os.Mkdir(b.path(name), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

// supervisor is a program that starts others as its children, in its own
// session.
type supervisor struct {
	b     *bed
	lines io.Writer
}

// supervisor starts a supervisor.
func (b *bed) supervisor() supervisor {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.start(command{args: []string{"sh", "-c", `while read -r line <&3; do eval "$line" 3<&- & done`}, files: []*os.File{r}, log: b.log})
	r.Close()
	b.t.Cleanup(func() { w.Close() })
	return supervisor{b, w}
}

// brings starts a child and waits until it serves.
func (s supervisor) brings(args ...string) process {
	s.b.t.Helper()
	before := ids(s.b.processes())
	for i, arg := range args {
		args[i] = "'" + arg + "'"
	}
	if _, err := fmt.Fprintln(s.lines, "exec "+strings.Join(args, " ")); err != nil {
		s.b.t.Fatal(err)
	}
	return s.b.came(before, true)
}

// unitGroup makes a cgroup that looks like a unit's, and returns a command that
// runs another one in it.
func (b *bed) unitGroup(unit string) (wrap []string) {
	b.t.Helper()
	root := "/sys/fs/cgroup/systemd"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	dir := filepath.Join(root, fmt.Sprintf("haproxy-reaper-test-%d", b.init.Process.Pid))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		b.t.Fatal(err)
	} else if err == nil {
		b.t.Cleanup(func() { os.Remove(dir) })
	}
	dir = filepath.Join(dir, unit)
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		b.until(func() error { // a group is removed when all have left it
			list, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			if err != nil {
				return err
			}
			for _, pid := range strings.Fields(string(list)) {
				os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(pid), 0) // it may be gone
			}
			return os.Remove(dir)
		})
	})
	return []string{"sh", "-c", `echo 0 >` + dir + `/cgroup.procs && exec "$@"`, "sh"}
}

// evidence is what the report says stands for a process having been told to
// stop.
func (a *answer) evidence(p process) []string {
	a.b.t.Helper()
	var report struct {
		Instances []struct {
			Processes []struct {
				inspect.ProcID
				Evidence []string `json:"evidence"`
			} `json:"processes"`
		} `json:"instances"`
	}
	if err := json.Unmarshal([]byte(a.stdout.String()), &report); err != nil {
		a.b.t.Fatal(err)
	}
	for _, i := range report.Instances {
		for _, q := range i.Processes {
			if q.ProcID == p.ProcID {
				return q.Evidence
			}
		}
	}
	a.b.t.Fatalf("%v is not in the report", p.ProcID)
	return nil
}

// shows wants a piece of evidence among those for a process.
func (a *answer) shows(p process, want string) *answer {
	a.b.t.Helper()
	if got := a.evidence(p); !slices.Contains(got, want) {
		a.b.t.Errorf("%q: evidence for %v: %q, want %q among it", a.cmd.Args, p.ProcID, got, want)
	}
	return a
}

// toldBy is the evidence of a list of -sf.
func toldBy(namer process) string { return "told by " + strconv.Itoa(namer.PID) }

// serves wants the instance of a process confirmed, not refused, and the process
// to be its active one. It returns the instance's name.
func (a *answer) serves(p process) (name string) {
	a.b.t.Helper()
	a.finds(p, isActive)
	in := a.instance(p)
	if !in.Confirmed || in.Refusal != "" {
		a.b.t.Errorf("%q: instance %q of %v: confirmed %v, refusal %q (%s)", a.cmd.Args, in.Name, p.ProcID, in.Confirmed, in.Refusal, in.RefusalDetail)
	}
	return in.Name
}

// raisesNoAlert wants every instance of the report that is one to be confirmed:
// the alert on a service that nothing confirms goes by that.
func (a *answer) raisesNoAlert() *answer {
	a.b.t.Helper()
	for _, in := range a.report.Instances {
		if in.Model != "" && !in.Confirmed {
			a.b.t.Errorf("%q: instance %q is not confirmed: %q (%s)", a.cmd.Args, in.Name, in.Refusal, in.RefusalDetail)
		}
	}
	return a
}

// spares wants a process to get no signal and to stay where it is.
func (a *answer) spares(p process) *answer {
	a.b.t.Helper()
	if q := a.process(p); q.Verdict == "terminate" || len(q.Signals) > 0 {
		a.b.t.Errorf("%q: %v %q is %s, %s (%s), signals %q", a.cmd.Args, p.ProcID, p.args, q.Role, q.Verdict, q.Reason, q.Signals)
	}
	if err := a.b.gone(p); err == nil {
		a.b.t.Errorf("%q: %v %q is gone", a.cmd.Args, p.ProcID, p.args)
	}
	return a
}

// stopped waits until a process is stopped by SIGSTOP.
func (b *bed) stopped(p process) {
	b.t.Helper()
	b.signal(p, "STOP")
	b.until(func() error {
		for _, q := range b.processes() {
			if q.ProcID == p.ProcID && q.state == 'T' {
				return nil
			}
		}
		return fmt.Errorf("%v is not stopped", p.ProcID)
	})
}

// chown gives a file of the bed to another user.
func (b *bed) chown(name string, uid int) {
	b.t.Helper()
	if err := unix.Chown(b.path(name), uid, uid); err != nil {
		b.t.Fatal(err)
	}
}

// session is the session that a process is in.
func (p process) session(b *bed) int {
	b.t.Helper()
	_, rest, _ := strings.Cut(b.read(fmt.Sprintf("/proc/%d/stat", p.PID)), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 4 {
		b.t.Fatalf("%v is gone", p.ProcID)
	}
	id, err := strconv.Atoi(fields[3])
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}
