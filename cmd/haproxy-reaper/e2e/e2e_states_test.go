package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

var isKilled = judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonPastDeadline, judge.OutcomeKilled}

// A debugger holds the residual process: SIGTERM waits, SIGKILL does not.
func TestResidualHeldByADebuggerIsKilledAfterTheTimeForThat(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	before := b.processes()
	b.debugged(old, func(tid int) error { return nil }, func() {
		b.agent("reap", "--deadline", "0s").exits(agent.ExitSurvivor).finds(old, isSurvivor)
		b.agent("reap", "--deadline", "0s", "--kill-after", "100ms").exits(agent.ExitOK).finds(old, isKilled).sent(old, "SIGTERM", "SIGKILL")
	})
	b.stay(without(before, old)...)
	s.answers()
}

// In a frozen cgroup of version 2 a signal that ends a process does so; in one
// of version 1 not even SIGKILL does, before it thaws.
func TestFrozenResidualIsTerminatedOrReportedAsASurvivor(t *testing.T) {
	for _, test := range []struct {
		name                  string
		dir, file, frozen, on string // where, what is written, what is read when it is frozen
		thawed                string
		outcome               judgement
		signals               []string
		code                  int
	}{
		{"version 2", "/sys/fs/cgroup/unified", "cgroup.freeze", "1", "1", "0", isTerminated, []string{"SIGTERM"}, agent.ExitOK},
		{"version 1", "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "FROZEN", "THAWED", isSurvivor, []string{"SIGTERM", "SIGKILL"}, agent.ExitSurvivor},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			old := s.makeResidual(1, 1)[0]
			before := b.processes()
			group := filepath.Join(test.dir, fmt.Sprintf("haproxy-reaper-test-%d", b.init.Process.Pid))
			if err := os.Mkdir(group, 0o755); err != nil {
				t.Fatal(err)
			}
			set := func(file, value string) error { return os.WriteFile(filepath.Join(group, file), []byte(value), 0) }
			t.Cleanup(func() {
				set(test.file, test.thawed)
				b.until(func() error { return b.gone(old) })
				b.until(func() error { return os.Remove(group) })
			})
			if err := cmp.Or(set("cgroup.procs", strconv.Itoa(b.outside(old))), set(test.file, test.frozen)); err != nil {
				t.Fatal(err)
			}
			b.until(func() error {
				if text, err := os.ReadFile(filepath.Join(group, test.file)); err != nil || strings.TrimSpace(string(text)) != test.on {
					return fmt.Errorf("the cgroup is %q, %v", text, err)
				}
				return nil
			})
			a := b.agent("reap", "--deadline", "0s", "--kill-after", "2s").exits(test.code)
			a.finds(old, test.outcome).sent(old, test.signals...).finds(s.active(), isActive)
			if err := set(test.file, test.thawed); err != nil {
				t.Fatal(err)
			}
			b.until(func() error { return b.gone(old) })
			b.stay(without(before, old)...)
			s.answers()
		})
	}
}

// A debugger, or the kernel, may hold an old worker amid its exit, when it has no
// signal handlers any more. It looks like one that is starting, and the others of
// its instance are terminated all the same.
func TestResidualHeldAmidItsExitDoesNotRefuseTheOthers(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(2, 1)
		before := b.processes()
		b.debugged(old[0], func(tid int) error { return untilItsEnd(tid, func() { s.release(old[0]) }) }, func() {
			b.agent("reap", "--deadline", "1h").exits(agent.ExitOK).finds(old[0], isWaited).finds(old[1], isWaited)
			a := b.agent("reap", "--deadline", "0s").exits(agent.ExitSurvivor).finds(old[0], isSurvivor).finds(old[1], isTerminated)
			a.finds(s.active(), isActive)
		})
		b.until(func() error { return b.gone(old[0]) })
		b.stay(without(before, old...)...)
		s.answers()
	})
}

// untilItsEnd lets a traced process go on until it is about to exit, for which
// leave gives it the reason.
func untilItsEnd(tid int, leave func()) error {
	if err := unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACEEXIT); err != nil {
		return fmt.Errorf("set options: %w", err)
	}
	leave()
	for signal := 0; ; {
		if err := unix.PtraceCont(tid, signal); err != nil {
			return fmt.Errorf("go on: %w", err)
		}
		var status unix.WaitStatus
		switch _, err := unix.Wait4(tid, &status, unix.WALL, nil); {
		case err != nil || !status.Stopped():
			return fmt.Errorf("wait: %v %v", status, err)
		case status.TrapCause() == unix.PTRACE_EVENT_EXIT:
			return nil
		}
		if signal = int(status.StopSignal()); status.StopSignal() == unix.SIGTRAP {
			signal = 0
		}
	}
}

// outside is a process's pid in this process's PID namespace.
func (b *bed) outside(p process) int {
	b.t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid_for_children", b.init.Process.Pid))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, dir := range dirs {
		status, _ := os.ReadFile(dir + "/status")
		_, list, _ := strings.Cut(string(status), "\nNSpid:")
		list, _, _ = strings.Cut(list, "\n")
		fields := strings.Fields(list)
		if ns, _ := os.Readlink(dir + "/ns/pid"); ns == ours && fields[len(fields)-1] == strconv.Itoa(p.PID) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			return pid
		}
	}
	b.t.Fatalf("%v is not to be seen from outside", p.ProcID)
	return 0
}

// debugged holds the first thread of a process by ptrace(2), does something to
// it, and lets go of it after f.
func (b *bed) debugged(p process, do func(tid int) error, f func()) {
	b.t.Helper()
	tid := b.outside(p)
	held, done, ended := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // a tracer is a thread
		defer runtime.UnlockOSThread()
		err := func() error {
			if err := unix.PtraceSeize(tid); err != nil {
				return fmt.Errorf("seize: %w", err)
			}
			if err := unix.PtraceInterrupt(tid); err != nil {
				return fmt.Errorf("interrupt: %w", err)
			}
			var status unix.WaitStatus
			if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
				return fmt.Errorf("wait: %v %v", status, err)
			}
			return do(tid)
		}()
		held <- err
		if err != nil {
			return
		}
		<-done
		// Whoever was killed meanwhile waits for its tracer.
		if unix.PtraceDetach(tid) != nil {
			unix.Wait4(tid, nil, unix.WALL, nil)
		}
	}()
	if err := <-held; err != nil {
		b.t.Fatal("hold by ptrace: ", err)
	}
	defer func() { close(done); <-ended }()
	f()
}
