package e2e

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// reapsExactly runs one live pass with everything due, and wants these
// processes terminated, the service's youngest to be the active one, everybody
// else to stay, and every new connection to be answered meanwhile.
func (s *service) reapsExactly(old ...process) *answer {
	s.b.t.Helper()
	before := s.b.processes()
	probe := s.probe()
	a := s.b.agent("reap", "--deadline", "0s").exits(0).finds(s.active(), isActive)
	for _, p := range old {
		a.finds(p, isTerminated)
	}
	s.b.stay(without(before, old...)...)
	probe.unbroken(s.b)
	return a
}

func TestMasterThatNotifiesItsManagerIsAMaster(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{notify: true})
		old := s.makeResidual(2, 1)
		s.reapsExactly(old...).finds(s.master(), isMaster)
	})
}

// With -st the older ones are told to end at once. Those that an earlier reload
// told to finish softly stay, and the one that told them is gone.
func TestDaemonsReloadedHardLeaveTheSoftOnesBeforeThemToTheReaper(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		old := s.makeResidual(1, 2)[0]
		second := s.active()
		s.hold(1)
		s.launch("-st", strconv.Itoa(second.PID))
		b.until(func() error { return cmp.Or(b.gone(second), s.serving(ids([]process{second}), ids([]process{old}))) })
		if s.active().named(old.PID) {
			t.Fatalf("%q names %d: this shows nothing", s.active().args, old.PID)
		}
		s.reapsExactly(old)
	})
}

// With nbproc, up to 2.4, a generation is several processes, and all are active.
func TestGenerationOfSeveralProcessesIsActiveAsAWhole(t *testing.T) {
	nbproc := func(r release) bool { return !r.since(2, 5) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, nbproc, func(t *testing.T, b *bed) {
				s := b.startNbproc(model, 4, "    bind 127.0.0.1:8000\n")
				first := s.workers()
				for range 8 { // some go to each
					c, err := b.dial(s.address)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					if err := echo(c); err != nil {
						t.Fatal(err)
					}
				}
				s.reloadNbproc(4)
				old := slices.DeleteFunc(s.workers(), func(p process) bool { return !slices.Contains(ids(first), p.ProcID) })
				if len(old) == 0 {
					t.Fatal("no old worker has a client")
				}
				probe := s.probe()
				a := b.agent("reap", "--deadline", "0s").exits(0)
				for _, p := range old {
					a.finds(p, isTerminated)
				}
				young := without(s.workers(), first...)
				for _, p := range young {
					a.finds(p, isActive)
				}
				if len(young) != 4 || len(s.workers()) != 4 {
					t.Errorf("%d workers are left, %d of them young, want 4", len(s.workers()), len(young))
				}
				probe.unbroken(b)
			})
		})
	}
}

// Each process of a generation can have ports of its own: none of them speaks
// for the others.
func TestProcessesThatShareNoPortAreOneGeneration(t *testing.T) {
	nbproc := func(r release) bool { return !r.since(2, 5) }
	inReleases(t, nbproc, func(t *testing.T, b *bed) {
		s := b.startNbproc(judge.ModelMasterWorker, 2, `    bind 127.0.0.1:8000 process 1
    default_backend be
frontend second
    bind 127.0.0.1:8001 process 2
`)
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s").exits(0)
		for _, p := range s.workers() {
			a.finds(p, isActive)
		}
		b.stay(before...)
	})
}

// startNbproc starts a service of so many processes, that are all ready.
func (b *bed) startNbproc(model judge.Model, n int, bind string) *service {
	b.t.Helper()
	s := &service{
		b: b, setup: setup{model: model, address: "127.0.0.1:8000", exe: "/usr/sbin/haproxy"},
		config: bedDir + "/web.cfg", cli: bedDir + "/web-master.sock", clients: map[inspect.ProcID][]net.Conn{},
	}
	text := strings.ReplaceAll(tcpOnly, "nbthread 2", fmt.Sprintf("nbproc %d", n))
	text = strings.ReplaceAll(text, "    bind 127.0.0.1:8000\n", bind)
	b.write(s.config, strings.ReplaceAll(text, "BACKEND", b.startBackend()))
	s.launch()
	b.until(func() error { return s.ready(nil, n) })
	return s
}

// ready says that there are not so many ready workers besides the former ones,
// or that one of those listens.
func (s *service) ready(former []process, n int) error {
	listening := s.b.listening()
	for _, p := range s.workers() {
		if !p.ready() || p.holds(listening) == slices.Contains(ids(former), p.ProcID) {
			return fmt.Errorf("%v is on its way", p.ProcID)
		}
	}
	if got := len(without(s.workers(), former...)); got != n {
		return fmt.Errorf("%d workers are new, not %d", got, n)
	}
	return nil
}

func (s *service) reloadNbproc(n int) {
	s.b.t.Helper()
	former := s.workers()
	if s.model == judge.ModelMasterWorker {
		s.b.signal(s.master(), "USR2")
	} else {
		args := []string{"-sf"}
		for _, p := range former {
			args = append(args, strconv.Itoa(p.PID))
		}
		s.launch(args...)
	}
	s.b.until(func() error { return s.ready(former, n) })
}

// A master that was started without privileges has its workers' user, so that
// the user tells nothing.
func TestServiceWithoutPrivilegesHasItsMasterLeftAlone(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		text := strings.ReplaceAll(tcpOnly, "    user haproxy\n    group haproxy\n", "")
		b.run(command{args: []string{"chown", "102", bedDir}})
		s := b.startService("web", setup{model: model, uid: 102, text: text})
		old := s.makeResidual(2, 1)
		for _, p := range s.members() {
			if p.uid != 102 {
				t.Fatalf("%v runs as %d", p.ProcID, p.uid)
			}
		}
		a := s.reapsExactly(old...)
		if model == judge.ModelMasterWorker {
			a.finds(s.master(), isMaster)
		}
	})
}

func TestDumpableWorkersAreJudgedAsAnyOther(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "    set-dumpable\n"})
		s.reapsExactly(s.makeResidual(2, 1)...)
	})
}

// Sockets that share one address by SO_REUSEPORT stand in one bucket of the
// kernel's table, where a dump can miss some.
func TestListenersInShardsAreFound(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		bind := "    bind 127.0.0.1:8000 shards 4\n"
		if !b.since(2, 5) {
			bind = strings.Repeat("    bind 127.0.0.1:8000\n", 4)
		}
		s := b.startService("web", setup{model: model, text: strings.ReplaceAll(tcpOnly, "    bind 127.0.0.1:8000\n", bind)})
		a := s.reapsExactly(s.makeResidual(2, 1)...)
		if got := a.process(s.active()).Listeners; len(got) < 1 {
			t.Errorf("listeners of the active: %q", got)
		}
	})
}

// An upgrade replaces the executable under the running processes, and the next
// reload runs the new one.
func TestExecutableReplacedByAnUpgradeHidesNobody(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		exe := bedDir + "/haproxy"
		install := func() {
			b.run(command{args: b.haproxyAs(0, "/bin/cp", "/usr/sbin/haproxy", exe+".new")})
			if err := os.Rename(b.path(exe+".new"), b.path(exe)); err != nil {
				t.Fatal(err)
			}
		}
		install()
		s := b.startService("web", setup{model: model, exe: exe})
		first := s.makeResidual(1, 1)[0]
		install()
		a := b.agent("status", "--deadline", "0s").exits(0)
		if got := a.instance(first); !got.Confirmed || got.Refusal != "" {
			t.Errorf("after the upgrade: confirmed %v, refusal %q (%s)", got.Confirmed, got.Refusal, got.RefusalDetail)
		}
		second := s.active()
		s.makeResidual(1, 1)
		s.reapsExactly(first, second)
	})
}

// A name can hold what the kernel's own files separate their fields with.
func TestServiceUnderAHostileNameIsReadAsAnyOther(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		const name = "a) Z 1 1 (hap"
		b.write(bedDir+"/name.lua", `local f = io.open("/proc/self/comm", "w") f:write("`+name+`") f:close()`)
		s := b.startService("web", setup{model: model, global: "    lua-load " + bedDir + "/name.lua\n"})
		old := s.makeResidual(2, 1)
		if comm := b.read(fmt.Sprintf("/proc/%d/comm", s.active().PID)); comm != name+"\n" {
			t.Fatalf("the active's name is %q, want %q: this shows nothing", comm, name)
		}
		s.reapsExactly(old...)
	})
}

// Two reloads at once tell the same process to finish, and neither tells the
// other: both serve from then on.
func TestTwinOfAConcurrentReloadIsNeverSignalled(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon})
		s.hold(1)
		old := s.active()
		tell := []string{"-sf", strconv.Itoa(old.PID)}
		s.launch(tell...)
		b.until(func() error { return s.serving(ids([]process{old}), ids([]process{old})) })
		twin := s.active()
		// Within a second of each other they would be one generation, as nbproc's.
		b.until(func() error { return b.age(twin, 1500*time.Millisecond) })
		s.launch(tell...)
		b.until(func() error {
			if young := s.active(); young.ProcID == twin.ProcID || !young.ready() {
				return fmt.Errorf("the second of the twins is not there")
			}
			return cmp.Or(s.listens(twin, true), s.listens(s.active(), true))
		})
		s.reapsExactly(old).finds(twin, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""})

		// What it advises helps: told by the next reload, the twin leaves.
		pid := strconv.Itoa(twin.PID)
		b.advises("name it in the next reload (-sf " + pid + ")")
		s.launch("-sf", pid, strconv.Itoa(s.active().PID))
		b.until(func() error {
			if slices.Contains(ids(b.processes()), twin.ProcID) {
				return s.listens(twin, false)
			}
			return nil
		})
	})
}
