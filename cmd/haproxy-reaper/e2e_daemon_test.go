package main

import (
	"strconv"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// Each daemon is told to finish the one before it only. What the first one's
// successor was told is gone with it as soon as that has no client left.
func TestDaemonWhoseNamerHasLeftIsReapedOnTheProofOfItsDescriptors(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: reaper.ModelDaemon})
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
		s := b.startService("web", setup{model: reaper.ModelDaemon})
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
		s := b.startService("web", setup{model: reaper.ModelDaemon, foreground: true})
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(s.active(), isActive)
		a.summary(reaper.Summary{Active: 1})
		b.stay(before...)
	})
}
