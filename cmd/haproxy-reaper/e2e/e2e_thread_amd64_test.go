package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A process whose first thread has left looks like a zombie, has no executable
// and no descriptors to be seen, and lives: what cannot be seen of it refuses.
func TestProcessWhoseFirstThreadHasLeftRefuses(t *testing.T) {
	for _, who := range []string{"residual", "active"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			old := s.makeResidual(1, 1)[0]
			active := s.active()
			hollow := map[string]process{"residual": old, "active": active}[who]
			b.debugged(hollow, leaveAlone, func() {})
			b.until(func() error {
				if stat := b.read(fmt.Sprintf("/proc/%d/stat", hollow.PID)); !strings.Contains(stat, ") Z ") {
					return errors.New("the first thread has not left: " + stat)
				}
				return nil
			})
			a := b.agent("reap", "--deadline", "0s", "--settle", "1s")
			a.exits(agent.ExitOK).refuses(s.master(), judge.ReasonUnreadable) // nothing is known to be due
			for _, i := range a.report.Instances {
				for _, p := range i.Processes {
					if len(p.Signals) > 0 {
						t.Errorf("signals sent to %v: %q", p.ProcID, p.Signals)
					}
				}
			}
			for _, p := range []process{old, active, s.master()} {
				if b.read(fmt.Sprintf("/proc/%d/stat", p.PID)) == "" {
					t.Errorf("%v is gone", p.ProcID)
				}
			}
		})
	}
}

// leaveAlone makes a thread that waits in a system call make exit(2) instead,
// which ends it and not its process.
func leaveAlone(tid int) error {
	var registers unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &registers); err != nil {
		return err
	}
	registers.Orig_rax = ^uint64(0) // no restart
	registers.Rax, registers.Rdi = unix.SYS_EXIT, 0
	registers.Rip -= 2 // of the instruction that made the call
	return unix.PtraceSetRegs(tid, &registers)
}
