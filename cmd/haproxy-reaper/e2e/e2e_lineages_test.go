package e2e

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// alike is a way to have two services, 1 and 2, whose arguments are equal.
type alike struct {
	name    string
	config  func(b *bed, n int, backend string)
	launch  func(b *bed, n int, flags string) process
	address func(n int) string // where service n listens
}

// inFolders are services with a relative -f, each in a folder of its own.
func inFolders(name, how, global string, wrap func(args ...string) []string) alike {
	dir := func(n int) string { return fmt.Sprintf("%s/%d", bedDir, n) }
	address := func(n int) string { return fmt.Sprintf("127.0.0.1:808%d", n) }
	return alike{
		name: name,
		config: func(b *bed, n int, backend string) {
			b.mkdir(dir(n))
			b.write(dir(n)+"/haproxy.cfg", tcpConfig(address(n), backend, global))
		},
		launch: func(b *bed, n int, flags string) process {
			script := fmt.Sprintf("cd %s && exec /usr/sbin/haproxy %s -f haproxy.cfg %s", dir(n), how, flags)
			return b.brings(command{args: wrap(b.shell(0, script)...)})
		},
		address: address,
	}
}

// ofOneFile are services of one file, in which a variable of the environment
// says where they listen.
func ofOneFile(name, bind string, variable func(n int) string, address func(n int) string) alike {
	return alike{
		name:   name,
		config: func(b *bed, n int, backend string) { b.write(bedDir+"/haproxy.cfg", tcpConfig(bind, backend, "")) },
		launch: func(b *bed, n int, flags string) process {
			script := "exec /usr/sbin/haproxy -D -f " + bedDir + "/haproxy.cfg " + flags
			return b.brings(command{args: b.shell(0, script), env: []string{variable(n)}})
		},
		address: address,
	}
}

func plainly(args ...string) []string { return args }

// detached runs a command in a session of its own and does not wait for it.
func detached(args ...string) []string { return append([]string{"setsid", "--fork"}, args...) }

// alikes are the ways to have two services whose arguments are equal.
var alikes = []alike{
	inFolders("two folders with a relative -f", "-D", "", plainly),
	inFolders("two folders with a relative -f and a chroot", "-D", "    chroot /var/lib/haproxy\n", plainly),
	inFolders("in the foreground and in sessions of their own", "-db", "", detached),
	ofOneFile("one file with a port of the environment", `"127.0.0.1:${PORT}"`,
		func(n int) string { return fmt.Sprintf("PORT=808%d", n) }, func(n int) string { return fmt.Sprintf("127.0.0.1:808%d", n) }),
	ofOneFile("one file with an address of the environment", `"${ADDRESS}:8080"`,
		func(n int) string { return fmt.Sprintf("ADDRESS=127.0.0.%d", n) }, func(n int) string { return fmt.Sprintf("127.0.0.%d:8080", n) }),
}

// both starts both services, so long after each other that they cannot be of one
// generation.
func (way alike) both(b *bed, backends ...string) (first, second process) {
	b.t.Helper()
	way.config(b, 1, backends[0])
	first = way.launch(b, 1, "")
	b.until(func() error { return b.age(first, oldEnough) })
	way.config(b, 2, backends[len(backends)-1])
	return first, way.launch(b, 2, "")
}

// A supervisor, or the operator of one of the two, tells it to stop. Nothing has
// superseded it then: its clients are to be waited for.
func TestServiceThatItsOperatorStopsIsNotSupersededByAnotherOfEqualArguments(t *testing.T) {
	for _, way := range alikes {
		t.Run(way.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				first, second := way.both(b, b.startBackend())
				held := b.client(way.address(1))
				before := b.processes()
				a := b.agent("reap", "--deadline", "0s", "--yes").exits(0)
				one, other := a.serves(first), a.serves(second)
				if one == other {
					t.Errorf("both are of %q", one)
				}

				b.signal(first, "USR1")
				b.until(func() error { return b.silent(first) })
				a = b.agent("reap", "--deadline", "0s", "--yes").exits(0).spares(first).raisesNoAlert()
				if now := a.serves(second); now != other {
					t.Errorf("the second service was %q, and is %q when the first leaves", other, now)
				}
				b.stay(before...)
				if err := echo(held); err != nil {
					t.Error("the first service's client:", err)
				}
			})
		})
	}
}

// The first passes its clients on to the second, so that it has a connection with
// an address on which the second listens: as the client, though.
func TestServiceInFrontOfAnotherOfEqualArgumentsIsNotSupersededByIt(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		way := alikes[0]
		first, second := way.both(b, way.address(2), b.startBackend())
		held := b.client(way.address(1))
		before := b.processes()
		b.signal(first, "USR1")
		b.until(func() error { return b.silent(first) })
		b.agent("reap", "--deadline", "0s", "--yes").exits(0).spares(first).raisesNoAlert().serves(second)
		b.stay(before...)
		if err := echo(held); err != nil {
			t.Error("the first service's client:", err)
		}
	})
}

// Each is reloaded twice, so that the process which told the oldest is gone, and
// each has its own old process reaped: under its own name, and counted from its
// own reload.
func TestServicesOfEqualArgumentsHaveTheirOwnResidualsReaped(t *testing.T) {
	for _, way := range alikes {
		t.Run(way.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				old, active := [2]process{}, [2]process{}
				active[0], active[1] = way.both(b, b.startBackend())
				for n := range active {
					old[n] = active[n]
					b.client(way.address(n + 1))
					for range 2 {
						former := active[n]
						active[n] = way.launch(b, n+1, "-sf "+strconv.Itoa(former.PID))
						b.until(func() error {
							if former.ProcID == old[n].ProcID {
								return b.silent(former)
							}
							return b.gone(former)
						})
					}
				}
				before := b.processes()
				if len(before) != 4 {
					t.Fatalf("%d processes, want 4", len(before))
				}
				a := b.agent("reap", "--dry-run", "--deadline", "0s").exits(0)
				names := []string{a.serves(active[0]), a.serves(active[1])}
				for n := range old {
					if got := a.instance(old[n]).Name; got != names[n] {
						t.Errorf("%v is of %q, want %q", old[n].ProcID, got, names[n])
					}
				}
				b.agent("reap", "--deadline", "0s", "--yes", "--instance", names[1]).exits(0).finds(old[1], isTerminated)
				b.stay(without(before, old[1])...)
				b.agent("reap", "--deadline", "0s", "--yes", "--instance", names[0]).exits(0).finds(old[0], isTerminated)
				b.stay(without(before, old[:]...)...)
			})
		})
	}
}

// A supervisor starts two services of one file in the same second, as at boot. Both have
// one cgroup and equal arguments. They are two: -db forks no generation.
func TestServicesThatASupervisorStartsAtOnceHaveTheirOwnResidualsReaped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		config := bedDir + "/haproxy.cfg"
		b.write(config, tcpConfig(`"127.0.0.1:${PORT}"`, b.startBackend(), ""))
		s := b.supervisor()
		line := func(port int, told ...process) string {
			text := fmt.Sprintf("exec env PORT=%d '%s'", port, strings.Join(b.haproxy("-db", "-f", config), "' '"))
			for _, p := range told {
				text += fmt.Sprintf(" -sf %d", p.PID)
			}
			return text + "\n"
		}
		start := func(text string, n int) (came []process) {
			former := ids(b.processes())
			if _, err := io.WriteString(s.lines, text); err != nil {
				t.Fatal(err)
			}
			b.until(func() error {
				listening := b.listening()
				came = slices.DeleteFunc(b.processes(), func(p process) bool {
					return slices.Contains(former, p.ProcID) || !p.ready() || p.uid == 0 || !p.holds(listening)
				})
				if len(came) != n {
					return fmt.Errorf("%d processes came, not %d", len(came), n)
				}
				return nil
			})
			return came
		}
		first := start(line(8081)+line(8082), 2)
		if apart := max(first[0].StartTicks, first[1].StartTicks) - min(first[0].StartTicks, first[1].StartTicks); apart > 100 {
			t.Fatalf("they started %d ticks apart: this shows nothing", apart)
		}
		port := func(p process) int {
			for _, port := range []int{8081, 8082} {
				if slices.Contains(strings.Split(b.read(fmt.Sprintf("/proc/%d/environ", p.PID)), "\x00"), fmt.Sprintf("PORT=%d", port)) {
					return port
				}
			}
			t.Fatalf("%v has no port", p.ProcID)
			return 0
		}
		var active []process
		for _, old := range first {
			b.client(fmt.Sprintf("127.0.0.1:%d", port(old)))
			active = append(active, start(line(port(old), old), 1)[0])
			b.until(func() error { return b.silent(old) })
		}
		before := b.processes()
		a := b.agent("reap", "--deadline", "1h", "--max-residual", "1", "--yes").exits(0).raisesNoAlert()
		if one, other := a.serves(active[0]), a.serves(active[1]); one == other {
			t.Errorf("both are of %q", one)
		}
		for _, old := range first { // each service has one, as it may
			a.finds(old, isWaited)
		}
		b.stay(before...)
		b.agent("reap", "--deadline", "0s", "--yes").exits(0).finds(first[0], isTerminated).finds(first[1], isTerminated)
		b.stay(active...)
	})
}

// The first service was reloaded and then ended, and its old process still has its
// clients. The other service has the path of its statistics socket. That does not make it
// the one that superseded the old process, though an earlier pass saw that one told.
func TestOldProcessOfAServiceThatEndedIsOfNoOtherOfEqualArguments(t *testing.T) {
	const dir, stats = bedDir + "/state", bedDir + "/stats.sock"
	inEveryRelease(t, func(t *testing.T, b *bed) {
		way := alikes[3]
		b.write(bedDir+"/haproxy.cfg", tcpConfig(`"127.0.0.1:${PORT}"`, b.startBackend(), "    stats socket "+stats+" level admin\n    stats timeout 1h\n"))
		b.mkdir(dir)
		old := way.launch(b, 1, "")
		held := b.client(way.address(1))
		session, err := b.dial(stats)
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if _, err := io.WriteString(session, "prompt\n"); err != nil {
			t.Fatal(err)
		}
		next := way.launch(b, 1, "-sf "+strconv.Itoa(old.PID))
		b.until(func() error { return b.silent(old) })
		b.agent("reap", "--deadline", "1h", "--state-dir", dir).exits(0).finds(old, isWaited).shows(old, toldBy(next))
		b.signal(next, "TERM")
		b.until(func() error { return b.gone(next) })
		b.until(func() error { return b.age(old, oldEnough) })
		other := way.launch(b, 2, "")
		before := b.processes()
		b.agent("reap", "--deadline", "0s", "--state-dir", dir).exits(0).spares(old).raisesNoAlert().serves(other)
		b.stay(before...)
		if err := echo(held); err != nil {
			t.Error("its client:", err)
		}
	})
}

// Nothing connects to an agent that takes its clients by reverse HTTP: it holds
// no listener, and is no older process of a service that does.
func TestReverseHTTPAgentIsNotSupersededByAServiceOfEqualArguments(t *testing.T) {
	reverses := func(r release) bool { return r.since(3, 0) }
	inReleases(t, reverses, func(t *testing.T, b *bed) {
		way := alikes[0]
		way.config(b, 1, "127.0.0.1:9")
		b.write(bedDir+"/1/haproxy.cfg", reverseAgent)
		agent := b.comes(command{args: b.shell(0, "cd "+bedDir+"/1 && exec /usr/sbin/haproxy -D -f haproxy.cfg")})
		b.until(func() error { return b.age(agent, oldEnough) })
		way.config(b, 2, b.startBackend())
		service := way.launch(b, 2, "")
		before := b.processes()
		b.agent("reap", "--deadline", "0s", "--yes").exits(0).spares(agent).raisesNoAlert().serves(service)
		b.stay(before...)

		// Two of them are no service either.
		way.config(b, 3, "127.0.0.1:9")
		b.write(bedDir+"/3/haproxy.cfg", reverseAgent)
		other := b.comes(command{args: b.shell(0, "cd "+bedDir+"/3 && exec /usr/sbin/haproxy -D -f haproxy.cfg")})
		before = b.processes()
		b.agent("reap", "--deadline", "0s", "--yes").exits(0).spares(agent).spares(other).raisesNoAlert().serves(service)
		b.stay(before...)
	})
}

// reverseAgent takes its clients from a server that it connects to.
const reverseAgent = `
global
    expose-experimental-directives
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
backend dev
    server dev rhttp@
backend reverse
    server edge 127.0.0.1:9 proto h2
frontend fe
    bind rhttp@reverse/edge
    http-request return status 200
`
