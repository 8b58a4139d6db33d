package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// An agent can be killed at any moment: by the kernel that is short of memory, by
// an impatient operator. Here it is, before every so manyth call of a pass, most
// often just after its signals. What it leaves must do no harm, and the next run
// its work: one process is wedged, so that there is a SIGKILL to be sent too,
// and never first.
func TestAgentKilledAtAnyCallOfAPassLeavesNothingThatHarms(t *testing.T) {
	for _, model := range models {
		for part := range 2 { // two beds for each, side by side
			t.Run(fmt.Sprintf("%s/%d", model, part), func(t *testing.T) {
				t.Parallel()
				b := newBed(t)
				s := b.startService("web", setup{model: model})
				args := []string{"reap", "--deadline", "0s", "--kill-after", "100ms", "--textfile", bedDir + "/reaper.prom"}
				killed := 0
				for at, ended := 40*part, false; !ended; {
					// What the killed one left is the next one's to do.
					if len(s.residual()) == 0 {
						b.signal(s.makeResidual(2, 1)[0], "STOP")
					}
					old := s.residual()
					told := map[inspect.ProcID]bool{}
					signalled := -1 // the call of the last signal
					a := b.supervise(args, func(n int, j *job, c heldCall) {
						if n == at {
							j.cmd.Process.Kill()
							killed++
							return
						}
						if c.signals() {
							signalled = n
						}
						b.wantsRightSignal(c, told, old...)
					})
					if ended = a.code != -1; ended {
						a.exits(agent.ExitOK).finds(s.active(), isActive)
					}
					b.wantsReadableState()
					s.answers()
					for _, p := range old {
						if b.gone(p) == nil {
							s.release(p)
						}
					}
					if signalled >= 0 && at < signalled+30 {
						at += 6 + part
					} else {
						at += 55
					}
				}
				if rest := s.residual(); len(rest) > 0 {
					t.Errorf("the last run, which nobody killed, leaves %v", ids(rest))
				}
				if killed < 6 {
					t.Errorf("killed at %d calls only", killed)
				}
				t.Logf("killed at %d calls", killed)
			})
		}
	}
}

// wantsRightSignal fails the test if a call is a signal to anybody but these
// processes, by their pidfds, or a SIGKILL to one that told does not have.
func (b *bed) wantsRightSignal(c heldCall, told map[inspect.ProcID]bool, to ...process) {
	b.t.Helper()
	if !c.signals() {
		return
	}
	if c.number != unix.SYS_PIDFD_SEND_SIGNAL {
		b.t.Errorf("a signal by a bare pid: call %d %v", c.number, c.args)
		return
	}
	pid, err := c.behind(c.args[0])
	at := slices.IndexFunc(to, func(p process) bool { return p.PID == pid && b.startOf(pid) == p.StartTicks })
	switch signal := unix.Signal(c.args[1]); {
	case err != nil:
		b.t.Errorf("signal %v to nobody knows whom: %v", signal, err)
	case pid <= 0: // has just left
	case at < 0:
		b.t.Errorf("signal %v to process %d, which is not residual", signal, pid)
	case signal == unix.SIGTERM:
		told[to[at].ProcID] = true
	case signal != unix.SIGKILL || !told[to[at].ProcID]:
		b.t.Errorf("signal %v to process %d, SIGTERM sent: %v", signal, pid, told)
	}
}

// wantsReadableState wants the state file to be there whole or not at all.
func (b *bed) wantsReadableState() {
	b.t.Helper()
	var kept state.State
	if text := b.read("/var/lib/haproxy-reaper/state.json"); text != "" {
		if err := json.Unmarshal([]byte(text), &kept); err != nil || kept.Version == 0 {
			b.t.Errorf("the state: %v in %q", err, text)
		}
	}
	if text := b.read(bedDir + "/reaper.prom"); text != "" {
		samples(b.t, text)
	}
}
