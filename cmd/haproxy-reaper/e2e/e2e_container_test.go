package e2e

import (
	"strconv"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// As a container on the host: its pids are others inside than outside, and it
// is the pids inside that its lists and its master's answers name.
func TestServiceInAContainerIsReapedFromTheHost(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		outside := b.startService("outside", setup{address: "127.0.0.1:8000"})
		oldOutside := outside.makeResidual(1, 1)[0]
		b.moveClients()
		s := b.startService("inside", setup{container: true}) // same port, in a network of its own
		old := s.makeResidual(2, 1)
		if s.active().named(old[1].PID) {
			t.Fatalf("%q names the pid outside: this shows nothing", s.active().args)
		}
		a := s.reapsExactly(append(old, oldOutside)...).finds(s.master(), isMaster).finds(outside.active(), isActive)
		in := a.instance(s.active())
		if in.Name == a.instance(outside.active()).Name {
			t.Errorf("both services are %s", in.Name)
		}
		if got := in.Witnesses; len(got) != 3 {
			t.Errorf("witnesses %q, want all three", got)
		}
		if got := a.process(old[0]).Connections.Client; got == nil || *got != 1 {
			t.Errorf("clients of %v: %v, want 1", old[0].ProcID, got)
		}
	})
}

// The pids of a container name other processes on the host: here the host's own
// service has, as its active worker, a pid that the container's list names.
func TestPidsOfAContainerMeanNobodyOnTheHost(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		outside := b.startService("outside", setup{model: judge.ModelDaemon})
		active := outside.active()
		b.moveClients()
		// A container may say what it likes of pids: as root of its own.
		s := b.startService("inside", setup{container: true, flags: []string{"-sf", strconv.Itoa(active.PID)}})
		if !s.active().named(active.PID) && !s.master().named(active.PID) {
			t.Fatalf("%q and %q do not name %d: this shows nothing", s.active().args, s.master().args, active.PID)
		}
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(active, isActive).finds(s.active(), isActive)
		if a.instance(active).Name == a.instance(s.active()).Name {
			t.Error("the container's service is taken for the host's")
		}
		b.stay(before...)
	})
}

// The agent as it ships, and an active in another network namespace with more
// connections than there are descriptors that a look touches.
func TestServiceInAContainerIsReapedAsShipped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		b.moveClients()
		s := b.startService("inside", setup{container: true})
		old := s.makeResidual(1, 2)[0]
		s.hold(100)
		before := b.processes()
		user := uidOf(t, "haproxy")
		b.ownedBy(user, "/run/haproxy-reaper", "/run/state")
		args := append(withCapabilities(user, []string{"sys_ptrace", "dac_read_search"}), "prlimit", "--nofile=1024", bedAgent)
		a := b.answer(b.start(command{args: append(args, "reap", "--deadline", "0s", "--state-dir", "/run/state", "-o", "json")})).exits(agent.ExitOK)
		a.finds(old, isTerminated).finds(s.active(), isActive)
		if got := a.process(old).Connections.Client; got == nil || *got != 2 {
			t.Errorf("clients of %v: %v, want 2", old.ProcID, got)
		}
		if got := a.process(s.active()).Listeners; len(got) < 2 {
			t.Errorf("the active listens on %v, want its frontend and its statistics socket", got)
		}
		b.stay(without(before, old)...)
	})
}
