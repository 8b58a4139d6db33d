package e2e

import (
	"os"
	"strconv"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
)

// A master's workers are its own, whatever user the configuration gives them.
func TestWorkerWhoseUserChangedIsReaped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		first := s.active()
		s.hold(1)
		s.edit("user haproxy\n    group haproxy", "uid 33\n    gid 33")
		s.reload()
		second := s.active()
		if first.uid != 102 || second.uid != 33 {
			t.Fatalf("users %d and %d: this shows nothing", first.uid, second.uid)
		}
		b.agent("status").exits(0).finds(first, isWaited).shows(first, toldBy(second))
		s.hold(1)
		s.edit("uid 33\n    gid 33", "user haproxy\n    group haproxy")
		s.reload()
		s.reapsExactly(first, second)
	})
}

// The master CLI is not there to say it too.
func TestWorkerWhoseUserChangedIsReapedWithoutAMasterCLI(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.active()
		s.hold(1)
		s.edit("user haproxy\n    group haproxy", "uid 33\n    gid 33")
		s.reload()
		before := b.processes()
		b.agent("reap", "--deadline", "0s", "--master-socket", "none").exits(0).finds(old, isTerminated).serves(s.active())
		b.stay(without(before, old)...)
	})
}

// An upgrade by hand moves the program away and puts another in its place. The
// old worker runs a program of another name then, and is a worker all the same.
func TestWorkerWhoseProgramWasRenamedIsReaped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		const program = bedDir + "/haproxy"
		// By a process of its own: what this one has open to write, a child of another
		// test may have open too, and then nobody can run it (ETXTBSY).
		install := func() {
			t.Helper()
			b.run(command{args: []string{"cp", bedRoot + "/usr/sbin/haproxy", program}})
		}
		install()
		s := b.startService("web", setup{exe: program})
		s.hold(1)
		old := s.active()
		if err := os.Rename(b.path(program), b.path(program+".old")); err != nil {
			t.Fatal(err)
		}
		install()
		s.reload()
		if exe, err := os.Readlink(b.path("/proc/" + strconv.Itoa(old.PID) + "/exe")); err != nil || exe != bedRoot+program+".old" && exe != program+".old" {
			t.Fatalf("the old worker runs %q, %v: this shows nothing", exe, err)
		}
		b.agent("status").exits(0).finds(old, isWaited).raisesNoAlert().serves(s.active())
		s.reapsExactly(old)
	})
}

// A worker that is stopped does not see that its master has gone. The next master
// has nothing to do with it, and cannot wait for it. What was seen of it before is
// remembered: without that nothing tells that it was told to stop.
func TestStoppedWorkerThatOutlivesItsMasterDoesNotRefuseTheNext(t *testing.T) {
	for _, test := range []struct {
		name  string
		known bool // by an earlier pass
	}{{"unknown", false}, {"remembered", true}} {
		t.Run(test.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				s := b.startService("web", setup{})
				lost := s.makeResidual(1, 1)[0]
				if test.known {
					b.agent("reap", "--deadline", "1h").exits(0).finds(lost, isWaited)
				}
				b.stopped(lost)
				master, active := s.master(), s.active()
				b.signal(master, "KILL")
				b.until(func() error { return b.gone(master) })
				b.until(func() error { return b.gone(active) })

				master, active = b.bringsMaster(command{args: detached(b.haproxy("-W", "-S", s.cli, "-f", s.config)...)})
				b.agent("status").exits(0).raisesNoAlert().serves(active)
				b.client(s.address)
				b.signal(master, "USR2")
				old := active
				b.until(func() error { _, err := s.showProc(); return err })
				b.until(func() error { return b.silent(old) })
				active = b.came(ids([]process{lost, old}), true)
				before := b.processes()
				code := agent.ExitOK
				if test.known { // it was told, and still is: stopped, it does not leave by SIGTERM
					code = agent.ExitSurvivor
				}
				a := b.agent("reap", "--deadline", "0s").exits(code).finds(old, isTerminated).raisesNoAlert()
				a.serves(active)
				if test.known {
					a.finds(lost, isSurvivor).shows(lost, "remembered")
				} else {
					a.spares(lost)
				}
				b.stay(without(before, old)...)
			})
		})
	}
}

// A supervisor that keeps its services in its own session: there no process leads
// one, as it does with -D. The one that told the first has left.
func TestForegroundProcessUnderASupervisorIsReapedWhenTheOneThatToldItHasLeft(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		config := bedDir + "/web.cfg"
		b.write(config, tcpConfig("127.0.0.1:8000", b.startBackend(), ""))
		s := b.supervisor()
		first := s.brings(b.haproxy("-db", "-f", config)...)
		b.client("127.0.0.1:8000")
		second := s.brings(b.haproxy("-db", "-f", config, "-sf", strconv.Itoa(first.PID))...)
		third := s.brings(b.haproxy("-db", "-f", config, "-sf", strconv.Itoa(second.PID))...)
		b.until(func() error { return b.gone(second) })
		if first.PID == first.session(b) {
			t.Fatalf("%v leads its session: this shows nothing", first.ProcID)
		}
		before := b.processes()
		a := b.agent("reap", "--dry-run", "--deadline", "0s").exits(0).finds(first, wouldTerminate).shows(first, "connections").raisesNoAlert()
		a.serves(third)
		b.agent("reap", "--deadline", "0s").exits(0).finds(first, isTerminated).serves(third)
		b.stay(without(before, first)...)
	})
}
