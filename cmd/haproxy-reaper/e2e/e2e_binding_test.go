package e2e

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
)

// binding is a process that has its handler of SIGUSR1 and still binds: those of
// SIGTTIN and SIGTTOU come when it is done (2.2 to 3.4).
func (p process) binding() bool {
	return p.has(p.caught, unix.SIGUSR1) && !p.has(p.blocked, unix.SIGUSR1) && !p.has(p.caught, unix.SIGTTOU)
}

// A reload that cannot bind an address of its own pauses the former process, and
// tries again for a while. Of an abstract unix socket nothing is left that shows
// the pause, while the new process listens on it already. It has not told the
// former one to stop, and gives up in the end: that one is the whole service.
func TestProcessThatStillBindsSupersedesNobody(t *testing.T) {
	// 2.6.12 itself ends when its abstract socket is paused.
	pauses := func(r release) bool { return r.since(3, 0) || !r.since(2, 6) }
	inReleases(t, pauses, func(t *testing.T, b *bed) {
		// All of one user, so that the user does not tell the launcher.
		text := strings.ReplaceAll(tcpConfig("abns@front", b.startBackend(), ""), "    user haproxy\n    group haproxy\n", "")
		config := bedDir + "/web.cfg"
		b.write(config, text)
		var taken net.Listener
		if err := b.inside(func() (err error) { taken, err = net.Listen("tcp4", "127.0.0.1:8000"); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { taken.Close() })
		first := b.brings(command{args: b.haproxyAs(102, "/usr/sbin/haproxy", "-D", "-f", config)})
		held := b.abstractClient("front")

		b.write(config, strings.ReplaceAll(text, "bind abns@front", "bind abns@front\n    bind 127.0.0.1:8000"))
		reload := b.start(command{
			args: b.haproxyAs(102, "/usr/sbin/haproxy", "-D", "-f", config, "-sf", strconv.Itoa(first.PID)),
			env:  b.preload("BIND_MS=100"), // 200 attempts
			log:  b.log,
		})
		binds := func() error {
			listening := b.listening()
			if !slices.ContainsFunc(b.processes(), func(p process) bool { return p.binding() && p.named(first.PID) && p.holds(listening) }) {
				return errors.New("no process that binds listens")
			}
			return b.silent(first)
		}
		b.until(binds)
		for _, settle := range []string{"100ms", "2s"} {
			a := b.agent("reap", "--deadline", "0s", "--settle", settle)
			if a.code != 0 && a.code != agent.ExitRefused {
				t.Errorf("exit status %d, want 0 or %d", a.code, agent.ExitRefused)
			}
			a.spares(first)
			if err := binds(); err != nil && b.gone(first) != nil {
				t.Fatalf("%v: this shows nothing", err)
			}
		}
		if err := echo(held); err != nil {
			t.Error("the client of the process that serves:", err)
		}
		reload.cmd.Process.Kill()
	})
}

// Up to 3.0 a daemon serves an instant before it begins its session: its launcher
// has left, and it looks like a check whose daemon has gone. The service is there
// all the while, under its name.
func TestDaemonThatHasNotBegunItsSessionIsOfItsService(t *testing.T) {
	late := func(r release) bool { return !r.since(3, 1) }
	inReleases(t, late, func(t *testing.T, b *bed) {
		config := bedDir + "/web.cfg"
		b.write(config, tcpConfig("127.0.0.1:8000", b.startBackend(), ""))
		first := b.brings(command{args: b.haproxy("-D", "-f", config)})
		b.client("127.0.0.1:8000")
		name := b.agent("status").exits(0).serves(first)
		second := b.brings(command{
			args: b.haproxy("-D", "-f", config, "-sf", strconv.Itoa(first.PID)),
			env:  b.preload("SESSION_MS=5000"),
		})
		b.until(func() error { return b.silent(first) })
		before := b.processes()
		a := b.agent("reap", "--deadline", "1h").raisesNoAlert()
		for _, p := range before {
			if got := a.instance(p).Name; got != name {
				t.Errorf("%v is of %q, want %q", p.ProcID, got, name)
			}
		}
		if second.session(b) == second.PID {
			t.Fatal("it has begun its session: this shows nothing")
		}
		b.until(func() error {
			if second.session(b) != second.PID {
				return errors.New("it has not begun its session")
			}
			return nil
		})
		b.agent("reap", "--deadline", "0s").exits(0).finds(first, isTerminated).serves(second)
		b.stay(without(before, first)...)
	})
}

// abstractClient is client for an abstract unix socket of HAProxy's, which fills
// the rest of the name with NULs.
func (b *bed) abstractClient(name string) net.Conn {
	b.t.Helper()
	const longest = 108 // sun_path of unix(7)
	var c net.Conn
	err := b.amongClients(func() (err error) {
		c, err = net.Dial("unix", "@"+name+strings.Repeat("\x00", longest-1-len(name)))
		return err
	})
	if err != nil {
		b.t.Fatal(fmt.Errorf("abns@%s: %w", name, err))
	}
	b.t.Cleanup(func() { c.Close() })
	if err := echo(c); err != nil {
		b.t.Fatal(err)
	}
	return c
}
