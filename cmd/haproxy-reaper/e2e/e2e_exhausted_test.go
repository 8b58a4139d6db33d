package e2e

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// An agent that gets no descriptors any more, from its start or from any call
// on, refuses or fails. Without a pidfd it signals nobody: there is no other way.
func TestAgentWithoutDescriptorsRefusesOrFailsAndHasNoOtherWayToSignal(t *testing.T) {
	type moment struct {
		limit uint64
		at    int // the call before which it is set
	}
	var moments []moment
	for limit := uint64(4); limit <= 16; limit += 3 {
		moments = append(moments, moment{limit, 0})
	}
	for at := 20; at < 400; at += 47 {
		moments = append(moments, moment{0, at})
	}
	for part := range 2 {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			fewest, failed := 0, 0
			for i := part; i < len(moments); i += 2 {
				m := moments[i]
				if len(s.residual()) == 0 {
					s.clients = map[inspect.ProcID][]net.Conn{}
					s.makeResidual(1, 1)
				}
				old, before := s.residual(), b.processes()
				told := map[inspect.ProcID]bool{}
				a := b.supervise([]string{"reap", "--deadline", "0s", "--settle", "0s"}, func(n int, j *job, c heldCall) {
					if n == m.at {
						limit := &unix.Rlimit{Cur: m.limit, Max: m.limit}
						if err := unix.Prlimit(j.cmd.Process.Pid, unix.RLIMIT_NOFILE, limit, nil); err != nil {
							t.Error(err)
						}
					}
					b.wantsRightSignal(c, told, old...)
				})
				what := fmt.Sprintf("%d descriptors from call %d on", m.limit, m.at)
				switch {
				case a.code == agent.ExitOK && len(told) > 0:
					b.stay(without(before, old...)...)
				case a.code == agent.ExitOK:
					t.Errorf("%s: exit status 0, and nobody was signalled", what)
				case slices.Contains([]int{agent.ExitFailed, agent.ExitRefused, agent.ExitPrivilege}, a.code):
					failed++
				case a.code == agent.ExitUsage && len(told) == 0 && strings.Contains(a.stderr.String(), "runtime: "):
					// It did not come so far as to look: Go itself wants some.
					fewest++
				default:
					t.Errorf("%s: exit status %d:\n%s", what, a.code, a.stderr.String())
				}
				if len(told) == 0 {
					b.stay(before...)
				}
			}
			if failed < 3 {
				t.Errorf("%d runs failed, %d did not come to look: too few to show anything", failed, fewest)
			}
		})
	}
}

// A disk that is full keeps no residual alive, and what was written before stays.
func TestStateOfBeforeOutlivesADiskThatIsFull(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	const dir = "/run/small"
	if err := b.inside(func() error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		return unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k")
	}); err != nil {
		t.Fatal(err)
	}
	reap := func(code int) *answer {
		t.Helper()
		old := s.makeResidual(1, 1)[0]
		a := b.agent("reap", "--deadline", "0s", "--state-dir", dir, "--textfile", dir+"/reaper.prom").exits(code).finds(old, isTerminated)
		s.release(old)
		return a
	}
	reap(agent.ExitOK)
	state, metrics := b.read(dir+"/state.json"), b.read(dir+"/reaper.prom")
	for size := 128 << 10; ; { // to the last byte
		f, err := os.OpenFile(b.path(dir+"/filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(make([]byte, size))
		f.Close()
		if err != nil {
			if size == 1 {
				break
			}
			size = 1
		}
	}
	reap(agent.ExitFailed).says("no space left on device")
	if b.read(dir+"/state.json") != state || b.read(dir+"/reaper.prom") != metrics {
		t.Error("what was written before has changed")
	}
	if err := os.Remove(b.path(dir + "/filler")); err != nil {
		t.Fatal(err)
	}
	reap(agent.ExitOK)
	got := samples(t, b.read(dir+"/reaper.prom"))
	for name, want := range map[string]float64{
		"haproxy_reaper_runs_total": 2, // of those that could be written
		fmt.Sprintf(`haproxy_reaper_terminated_processes_total{unit=%q}`, unit): 2,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if names, err := os.ReadDir(b.path(dir)); err != nil || len(names) != 3 { // and the lock
		t.Errorf("%v, %v", names, err)
	}
}
