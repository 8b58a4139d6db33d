package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Each daemon is told to finish the one before it only. What the first one's
// successor was told is gone with it as soon as that has no client left.
func TestDaemonWhoseNamerHasLeftIsReapedOnTheProofOfItsDescriptors(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		old := s.makeResidual(1, 2)[0]
		s.reload()
		s.reload()
		if got := s.residual(); len(got) != 1 || got[0].ProcID != old.ProcID {
			t.Fatalf("residual processes %v, want %v alone", ids(got), old.ProcID)
		}
		before, active := b.processes(), s.active()
		if active.named(old.PID) {
			t.Fatalf("%q names %d: this shows nothing", active.args, old.PID)
		}
		probe := s.probe()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(active, isActive)
		b.stay(without(before, old)...)
		probe.unbroken(b)
	})
}

func TestDaemonThatGotItsListenersFromTheFormerOneIsTheActive(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		s.hold(1)
		old := s.active()
		s.launch("-sf", strconv.Itoa(old.PID), "-x", bedDir+"/web-stats.sock")
		b.until(func() error { return s.serving(ids([]process{old}), ids([]process{old})) })
		before := b.processes()
		probe := s.probe()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(s.active(), isActive)
		b.stay(without(before, old)...)
		probe.unbroken(b)
	})
}

// A foreground process under a supervisor is a lineage of one.
func TestForegroundProcessAloneIsAnActiveWithNothingToReap(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon, foreground: true})
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(s.active(), isActive)
		a.summary(judge.Summary{Active: 1})
		b.stay(before...)
	})
}

// In a container whose first process waits for nobody, all who left are still
// in the list of processes.
func TestProcessesThatNobodyWaitedForCountForNothing(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		first := s.active()
		if err := unix.PidfdSendSignal(b.ns, unix.SIGSTOP, nil, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.PidfdSendSignal(b.ns, unix.SIGCONT, nil, 0) })
		s.reload() // the first holds no client, and leaves
		b.until(func() error {
			if text := b.read(fmt.Sprintf("/proc/%d/stat", first.PID)); !strings.Contains(text, ") Z 1 ") {
				return fmt.Errorf("%v is %q: this would show nothing", first.ProcID, text)
			}
			return nil
		})
		old := s.makeResidual(2, 1)
		a := s.reapsExactly(old...)
		if got := len(a.instance(s.active()).Processes); got != 3 {
			t.Errorf("%d processes in the report, want the active and two residual ones", got)
		}
		b.agent("reap", "--deadline", "0s").exits(0).summary(judge.Summary{Active: 1})
	})
}
