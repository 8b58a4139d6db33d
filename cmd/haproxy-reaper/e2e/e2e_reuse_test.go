package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A pid that is used again is the oldest way to kill a stranger. Here the
// residual process leaves at a call of a pass, another gets its pid before that
// call is made, and the pass goes on: at every so manyth call, and at the very
// call that signals. Nobody may be signalled from then on.
func TestPidUsedAgainAtAnyCallOfAPassIsNeverSignalled(t *testing.T) {
	for _, successor := range []struct {
		name string
		next func(s *service, pid int) process
		step int // primes: the calls of one sweep are not those of another
	}{
		{"by a stranger", (*service).strangerAs, 31},
		{"by the service's next active worker", (*service).reloadAs, 37},
	} {
		for _, model := range models {
			t.Run(successor.name+"/"+string(model), func(t *testing.T) {
				t.Parallel()
				b := newBed(t)
				s := b.startService("web", setup{model: model})
				at, points := 0, 0
				for last := false; !last; at += successor.step {
					old := s.makeResidual(1, 1)[0]
					var next process
					change := func() {
						s.release(old)
						b.until(func() error { return b.gone(old) })
						next = successor.next(s, old.PID)
						if next.StartTicks != 0 {
							points++
						}
					}
					a := b.supervise([]string{"reap", "--deadline", "0s"}, func(n int, _ *job, c heldCall) {
						// The last sweep ends at the call that signals.
						if n == at || next.PID == 0 && c.signals() {
							last = n != at
							change()
						}
						if next.PID != 0 {
							b.wantsNoSignal(c, fmt.Sprintf("pid %d changed hands at call %d", old.PID, at))
						}
					})
					if next.PID == 0 {
						t.Fatalf("call %d never came", at)
					}
					if !slices.Contains([]int{agent.ExitOK, agent.ExitRefused}, a.code) {
						t.Errorf("changed at call %d: exit status %d", at, a.code)
					}
					if next.StartTicks != 0 && b.startOf(old.PID) != next.StartTicks {
						t.Errorf("changed at call %d: pid %d is gone", at, old.PID)
					}
					s.answers()
					if next.StartTicks != 0 && next.args == nil {
						b.run(command{args: []string{"sh", "-c", fmt.Sprintf("kill -KILL %d", next.PID)}})
					}
				}
				if points < 8 {
					t.Errorf("the pid changed hands at %d calls only", points)
				}
				t.Logf("at %d calls", points)
			})
		}
	}
}

// wantsNoSignal fails the test if a call would send one to anybody who is there.
func (b *bed) wantsNoSignal(c heldCall, when string) {
	b.t.Helper()
	if !c.signals() {
		return
	}
	if c.number != unix.SYS_PIDFD_SEND_SIGNAL {
		b.t.Errorf("%s: a signal by a bare pid: call %d %v", when, c.number, c.args)
		return
	}
	if pid, err := c.behind(c.args[0]); err != nil || pid > 0 {
		b.t.Errorf("%s: signal %d to process %d, %v", when, c.args[1], pid, err)
	}
}

// startOf is the start of whoever has a pid in the bed, 0 for nobody.
func (b *bed) startOf(pid int) uint64 {
	p, err := readProcess(b.path("/proc/" + strconv.Itoa(pid)))
	if err != nil {
		return 0
	}
	return p.StartTicks
}

// isThread tells whether a pid is that of a thread, which is a successor too: the
// agent itself starts some, and so does HAProxy.
func (b *bed) isThread(pid int) bool {
	text, _ := os.ReadFile(b.path(fmt.Sprintf("/proc/%d/status", pid))) // nobody has it, else
	_, group, found := strings.Cut(string(text), "\nTgid:\t")
	return found && !strings.HasPrefix(group, fmt.Sprintf("%d\n", pid))
}

// strangerAs starts a program that has nothing to do with HAProxy under a pid,
// unless a thread is faster: then it is the pid alone.
func (s *service) strangerAs(pid int) process {
	s.b.t.Helper()
	found := process{ProcID: inspect.ProcID{PID: pid}}
	s.b.until(func() error {
		if s.b.isThread(pid) {
			return nil
		}
		const script = `echo %d >/proc/sys/kernel/ns_last_pid; sleep 1000 >/dev/null 2>&1 & test $! = %d || kill $!`
		s.b.run(command{args: []string{"sh", "-c", fmt.Sprintf(script, pid-1, pid)}})
		if name, _ := os.ReadFile(s.b.path(fmt.Sprintf("/proc/%d/comm", pid))); string(name) != "sleep\n" {
			return fmt.Errorf("pid %d is not to be had: %q has it", pid, name)
		}
		found.StartTicks = s.b.startOf(pid)
		return nil
	})
	return found
}

// reloadAs reloads until the new active worker has a pid, and nobody is left of
// the generations between; unless a thread is faster, as above.
func (s *service) reloadAs(pid int) process {
	s.b.t.Helper()
	end := time.Now().Add(bedPatience)
	for before := 1; ; before = before%8 + 1 { // HAProxy takes pids for a moment before the worker's
		former := s.workers()
		script := fmt.Sprintf("echo %d >/proc/sys/kernel/ns_last_pid; ", pid-before)
		if s.model == judge.ModelMasterWorker {
			script += fmt.Sprintf("kill -USR2 %d", s.master().PID)
		} else {
			args := s.b.haproxy("-D", "-f", s.config, "-sf", strconv.Itoa(s.active().PID))
			script += "exec " + strings.Join(slices.DeleteFunc(args, func(arg string) bool { return arg == "--groups=" }), " ")
		}
		s.b.run(command{args: []string{"sh", "-c", script}, log: s.b.log})
		s.b.until(func() error { return s.serving(ids(former), nil) })
		if p := s.active(); p.PID == pid {
			return p
		}
		if s.b.isThread(pid) {
			return process{ProcID: inspect.ProcID{PID: pid}}
		}
		if time.Now().After(end) {
			s.b.t.Fatalf("no reload gave a worker pid %d", pid)
		}
	}
}
