package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// initScript is the start script of the release's package with other paths, in
// the bed: `script start`, `script reload`. What it needs of a running Debian
// stands in for by a line each.
func (b *bed) initScript(config string) (script string) {
	b.t.Helper()
	text := b.read(bedRoot + "/etc/init.d/haproxy")
	for old, new := range map[string]string{
		"PIDFILE=/var/run/${BASENAME}.pid":        "PIDFILE=" + bedDir + "/init.pid",
		"CONFIG=/etc/${BASENAME}/${BASENAME}.cfg": "CONFIG=" + config,
		"RUNDIR=/run/${BASENAME}":                 "RUNDIR=" + bedDir + "/rundir",
		"\tstart-stop-daemon":                     "\tstart_stop_daemon", // a shell function has no dashes
		". /lib/lsb/init-functions": `log_daemon_msg() { :; }; log_end_msg() { :; }
start_stop_daemon() { while [ "$1" != -- ]; do shift; done; shift; $HAPROXY "$@"; }`,
	} {
		if !strings.Contains(text, old) {
			b.t.Fatalf("Debian's start script has no %q:\n%s", old, text)
		}
		text = strings.ReplaceAll(text, old, new)
	}
	script = bedDir + "/init"
	b.write(script, text)
	return script
}

// binds are ways to say where a frontend listens for clients of 127.0.0.1:8000.
var binds = []struct{ name, bind string }{
	{"one address", "127.0.0.1:8000"},
	{"every address", ":8000"},
	{"every address of both families", ":::8000 v4v6"},
}

// Debian's start script orders its arguments otherwise when it reloads. The
// process that told the first one has left, so only its clients tell whose it is.
func TestDaemonOfDebiansStartScriptHasItsResidualReaped(t *testing.T) {
	for _, listens := range binds {
		t.Run(listens.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				config := bedDir + "/web.cfg"
				b.write(config, tcpConfig(listens.bind, b.startBackend(), ""))
				script := b.initScript(config)
				first := b.brings(command{args: b.haproxyAs(0, "/bin/sh", script, "start")})
				name := b.agent("status").exits(0).serves(first)
				held := b.client("127.0.0.1:8000")
				second := b.brings(command{args: b.haproxyAs(0, "/bin/sh", script, "reload")})
				third := b.brings(command{args: b.haproxyAs(0, "/bin/sh", script, "reload")})
				b.until(func() error { return b.gone(second) })
				if third.named(first.PID) || slices.Index(first.args, "-D") == slices.Index(third.args, "-D") {
					t.Fatalf("%q after %q: this shows nothing", third.args, first.args)
				}
				if err := echo(held); err != nil {
					t.Fatal(err)
				}
				before := b.processes()

				a := b.agent("reap", "--dry-run", "--deadline", "0s").exits(0).raisesNoAlert()
				a.finds(first, wouldTerminate).shows(first, "connections")
				if now := a.serves(third); now != name || a.instance(first).Name != name {
					t.Errorf("the service was %q, and is %q and %q", name, now, a.instance(first).Name)
				}
				b.agent("reap", "--deadline", "0s").exits(0).finds(first, isTerminated).serves(third)
				b.stay(without(before, first)...)
			})
		})
	}
}

// The order of independent options, the path of the program, a path that is
// relative, and the file of the pid are no part of what a service is.
func TestArgumentsThatSayTheSameAreOneService(t *testing.T) {
	const config, program = bedDir + "/web.cfg", "/usr/sbin/haproxy"
	for _, test := range []struct{ name, start, reload string }{
		{"another pid file", program + " -D -f " + config + " -p " + bedDir + "/1.pid", program + " -D -f " + config + " -p " + bedDir + "/2.pid"},
		{"another path of the program", "cd /usr/sbin && ./haproxy -D -f " + config, program + " -D -f " + config},
		{"a relative path and the whole one", "cd " + bedDir + " && " + program + " -D -f web.cfg", "cd / && " + program + " -D -f " + config},
		{"a folder to begin in", program + " -D -C " + bedDir + " -f web.cfg", program + " -D -f " + config},
		{"after two dashes", program + " -D -- " + config, program + " -D -f " + config},
		{"another order of values", program + " -n 1000 -D -f " + config, program + " -f " + config + " -D -n 1000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				b.write(config, tcpConfig("127.0.0.1:8000", b.startBackend(), ""))
				first := b.brings(command{args: b.shell(0, test.start)})
				b.client("127.0.0.1:8000")
				second := b.brings(command{args: b.shell(0, test.reload+" -sf "+strconv.Itoa(first.PID))})
				third := b.brings(command{args: b.shell(0, test.reload+" -sf "+strconv.Itoa(second.PID))})
				b.until(func() error { return b.gone(second) })
				before := b.processes()
				b.agent("reap", "--deadline", "0s").exits(0).finds(first, isTerminated).raisesNoAlert().serves(third)
				b.stay(without(before, first)...)
			})
		})
	}
}

// A control plane that writes the configuration reloads the service from its own
// unit. A cgroup says who started a process, not what it is.
func TestDaemonReloadedFromAnotherUnitHasItsResidualReaped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		own, other := b.unitGroup("haproxy.service"), b.unitGroup("dataplaneapi.service")
		config := bedDir + "/web.cfg"
		b.write(config, tcpConfig("127.0.0.1:8000", b.startBackend(), ""))
		start := func(wrap []string, flags ...string) process {
			return b.brings(command{args: append(wrap, append(b.haproxy("-D", "-f", config), flags...)...)})
		}
		first := start(own)
		name := b.agent("status").exits(0).serves(first)
		b.client("127.0.0.1:8000")
		second := start(other, "-sf", strconv.Itoa(first.PID))
		// While the one that told it is there, and when it has gone.
		b.agent("status").exits(0).finds(first, isWaited).raisesNoAlert().serves(second)
		third := start(other, "-sf", strconv.Itoa(second.PID))
		b.until(func() error { return b.gone(second) })
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--yes").exits(0).finds(first, isTerminated).raisesNoAlert()
		t.Logf("the service was %q and is %q", name, a.serves(third))
		b.stay(without(before, first)...)
	})
}

// A daemon's arguments are its own user's to write. Where the user changed, the
// list of the younger one proves nothing of the older.
func TestDaemonWhoseUserChangedLeavesOneInstanceAndAStrandedProcess(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		old := s.active()
		s.hold(1)
		name := b.agent("status").exits(0).serves(old)
		s.edit("user haproxy\n    group haproxy", "uid 33\n    gid 33")
		// The user of a daemon is a part of its name.
		name = strings.TrimSuffix(name, "@haproxy") + "@www-data"
		s.reload()
		isStranded := judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""}
		for _, told := range []bool{true, false} { // is the one that told it still there?
			before := b.processes()
			a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isStranded).raisesNoAlert()
			if now := a.serves(s.active()); now != name {
				t.Errorf("the service is %q, want %q", now, name)
			}
			// Nothing ties it to the service when no list names it any more.
			if in := a.instance(old); in.Name != name && (told || in.Model != "") {
				t.Errorf("the old process is of %q, want %q", in.Name, name)
			}
			b.stay(before...)
			s.reload()
		}

		// It stands in the way of no other.
		young := s.active()
		s.hold(1)
		s.reload()
		before := b.processes()
		b.agent("reap", "--deadline", "0s").exits(0).finds(young, isTerminated).finds(old, isStranded).raisesNoAlert().serves(s.active())
		b.stay(without(before, young)...)
	})
}

// Gentoo's start script starts another master at each reload, which tells the
// one before to finish.
func TestMastersThatReplaceEachOtherAreOneInstance(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		config, pidfile := bedDir+"/web.cfg", bedDir+"/web.pid"
		b.write(config, tcpConfig("127.0.0.1:8000", b.startBackend(), ""))
		start := func() (master, worker process) {
			master, worker = b.bringsMaster(command{args: b.shell(0,
				"exec /usr/sbin/haproxy -D -W -f "+config+" -p "+pidfile+" $(test ! -s "+pidfile+" || echo -sf $(cat "+pidfile+"))")})
			b.until(func() error {
				if text := b.read(pidfile); strings.TrimSpace(text) != strconv.Itoa(master.PID) {
					return fmt.Errorf("the master is %d, and its file says %q", master.PID, text)
				}
				return nil
			})
			return master, worker
		}
		master, worker := start()
		name := b.agent("status").exits(0).serves(worker)
		var masters, old []process
		for range 3 {
			b.client("127.0.0.1:8000")
			masters, old = append(masters, master), append(old, worker)
			master, worker = start()
			// From 2.5 to 3.0 a master that has loaded executes itself again without
			// the list; its worker still has it.
			if former := masters[len(masters)-1].PID; !worker.named(former) || b.since(3, 1) && !master.named(former) {
				t.Fatalf("%q and %q name no %d: this shows nothing", master.args, worker.args, former)
			}
			b.until(func() error { return b.silent(old[len(old)-1]) })
		}
		before := b.processes()
		if len(before) != 8 {
			t.Fatalf("%d processes, want 4 masters and 4 workers", len(before))
		}
		a := b.agent("reap", "--dry-run", "--deadline", "0s").exits(0).raisesNoAlert()
		if now := a.serves(worker); now != name {
			t.Errorf("the service was %q, and is %q", name, now)
		}
		for i, p := range old {
			a.finds(p, wouldTerminate).finds(masters[i], isMaster)
			if in := a.instance(p).Name; in != name || a.instance(masters[i]).Name != name {
				t.Errorf("%v is of %q and its master of %q, want %q", p.ProcID, in, a.instance(masters[i]).Name, name)
			}
		}

		a = b.agent("reap", "--deadline", "0s").exits(0)
		a.serves(worker)
		for _, p := range old {
			a.finds(p, isTerminated)
		}
		for _, in := range a.report.Instances {
			for _, p := range in.Processes {
				if p.Role == judge.RoleMaster && len(p.Signals) > 0 {
					t.Errorf("master %v was sent %q", p.ProcID, p.Signals)
				}
			}
		}
		// A master that was told to finish leaves with the last of its workers.
		b.until(func() error {
			if got := ids(b.processes()); !slices.Equal(got, []inspect.ProcID{master.ProcID, worker.ProcID}) {
				return fmt.Errorf("processes %v are left", got)
			}
			return nil
		})
		b.client("127.0.0.1:8000")
	})
}
