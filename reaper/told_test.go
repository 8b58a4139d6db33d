package reaper_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// What says of a process that it was told to stop is named in the report.
func TestTheReportNamesTheEvidence(t *testing.T) {
	w, s := reloaded()
	s.Answer(map[int]bool{101: true, 102: false, 103: false})
	s.Worker(102, ticks(30*time.Minute), []int{101}, fakehost.Listen(81))
	r := look(t, w)
	for pid, want := range map[int][]string{100: {}, 101: {"told by 103", "stopping"}, 102: {"told by 103"}, 103: {}} {
		if diff := cmp.Diff(want, process(t, r, pid).Evidence); diff != "" {
			t.Errorf("evidence for %d (-want +got):\n%s", pid, diff)
		}
	}
	t.Run("a replaced master is told by the master that replaced it", func(t *testing.T) {
		w, s := reloaded()
		replaced(w, s, 0)
		r := look(t, w)
		if diff := cmp.Diff([]string{"told by 200"}, process(t, r, 100).Evidence); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// 200 was told by 201, which has left. Its clients came by an address that the
// active no longer has, so only the memory says so.
func TestWhatWasToldIsRemembered(t *testing.T) {
	const config = "/etc/haproxy/haproxy.cfg"
	root, own, other := uint32(0), uint32(fakehost.UIDHAProxy), uint32(5001)
	for _, tt := range []struct {
		name   string
		owner  *uint32
		change func(w *fakehost.World)
		want   judge.Role
	}{
		{"the active tells the one that told it", &root, func(*fakehost.World) {}, judge.RoleResidual},
		{"in a state of the process's own user", &own, func(*fakehost.World) {}, judge.RoleResidual},
		{"a state of another user is not believed", &other, func(*fakehost.World) {}, judge.RoleStranded},
		{"nor is a state whose owner is not known", nil, func(*fakehost.World) {}, judge.RoleStranded},
		{"the one that told it is the active still", &root, func(w *fakehost.World) {
			w.Exit(202)
			fakehost.Daemon(w, "/etc/new.cfg", 201, ticks(30*time.Minute), nil, fakehost.Listen(443))
		}, judge.RoleResidual},
		{"the one that told it has left, and nothing names it", &root, func(w *fakehost.World) {
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), nil, fakehost.Listen(443))
		}, judge.RoleStranded},
		{"a process that listens is not residual, whatever is remembered", &root, func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Listen(8081))
		}, judge.RoleStranded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			old := fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Client(8081, 1, 0))
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
			tt.change(w)
			p := pass(t, w)
			id := judge.Process{}.ProcID
			id.PID, id.StartTicks = old.PID, old.Ticks
			heir := judge.Heir{NSPID: 201}
			heir.PID, heir.StartTicks = 201, ticks(30*time.Minute)
			p.Memory, p.MemoryOwner = judge.Memory{id: {Told: true, Heir: heir, Superseded: 30 * time.Minute}}, tt.owner
			r, err := p.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := process(t, r, 200)
			if got.Role != tt.want {
				t.Fatalf("role %q, want %q", got.Role, tt.want)
			}
			if got.Role == judge.RoleResidual && (*got.ResidualSeconds != 1800 || !cmp.Equal(got.Evidence, []string{"remembered"})) {
				t.Errorf("residual for %v s, by %q", *got.ResidualSeconds, got.Evidence)
			}
		})
	}
}

// Its own user may have forged the memory, which then would keep what is residual
// for as long as the active lives.
func TestTheMemoryMakesNoServiceDrainThatListens(t *testing.T) {
	own := uint32(fakehost.UIDHAProxy)
	for _, tt := range []struct {
		name    string
		active  []fakehost.Socket
		role    judge.Role
		refusal judge.Reason
	}{
		{"it listens", []fakehost.Socket{fakehost.Listen(443)}, judge.RoleActive, ""},
		{"it has clients alone", []fakehost.Socket{fakehost.Client(443, 4, 0)}, judge.RoleDraining, judge.ReasonDraining},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			active := s.Worker(103, ticks(10*time.Minute), []int{102, 101}, tt.active...)
			p := pass(t, w)
			id := judge.Process{}.ProcID
			id.PID, id.StartTicks = active.PID, active.Ticks
			p.Memory, p.MemoryOwner = judge.Memory{id: {Told: true, Heir: judge.Heir{ProcID: id, NSPID: 103}}}, &own
			r, err := p.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := process(t, r, 103).Role; got != tt.role || r.Instances[0].Refusal != tt.refusal {
				t.Errorf("role %q, refusal %q; want %q and %q", got, r.Instances[0].Refusal, tt.role, tt.refusal)
			}
			if got := process(t, r, 101).Role; got != judge.RoleResidual {
				t.Errorf("the old worker is %q", got)
			}
		})
	}
}

// A pass leaves to the next what it saw told, and which process was active then. Where
// only its connections say so, nothing is left: the next pass has to see them again.
func TestWhatAPassSawToldItLeavesToTheNext(t *testing.T) {
	w, s := reloaded()
	replaced(w, s, 0)
	fakehost.Daemon(w, "/etc/d.cfg", 300, ticks(50*time.Minute), nil, fakehost.Client(8081, 1, 0))
	fakehost.Daemon(w, "/etc/d.cfg", 301, ticks(40*time.Minute), nil, fakehost.Listen(8081))
	p := pass(t, w)
	r, err := p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for pid, heir := range map[int]int{100: 200, 101: 201, 103: 201, 300: 0} {
		seen := p.Memory[process(t, r, pid).ProcID]
		if seen.Told != (heir != 0) || heir != 0 && seen.Heir.PID != heir {
			t.Errorf("%d is remembered as %+v, want told with heir %d", pid, seen, heir)
		}
	}
	if got := process(t, r, 300); got.Role != judge.RoleResidual || *got.ResidualSeconds != 0 {
		t.Errorf("300 is %s since %v s, want residual since it was first seen so", got.Role, got.ResidualSeconds)
	}
}

// Its operator told 201 to stop. The other service of the same arguments has started
// since, and nothing of 201 tells that it has superseded it.
func TestWhatTellsNothingOfADaemonThatItsOperatorStopped(t *testing.T) {
	path := func(peer string, listening bool) fakehost.Socket {
		s := fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Local: "/run/haproxy.sock", Listening: listening, Inode: 71}
		if !listening {
			s.Peer, s.State, s.Inode = peer, unix.BPF_TCP_ESTABLISHED, 72
		}
		return s
	}
	busy := fakehost.Server(15000)
	busy.ReuseAddr, busy.Busy = true, true
	passed := fakehost.Listen(443)
	passed.Blocking = true
	wide := fakehost.Listen(8443)
	wide.Family, wide.Local, wide.V6Only = unix.AF_INET6, "[::]:8443", true
	for _, tt := range []struct {
		name       string
		old, other []fakehost.Socket
	}{
		{"a session of the CLI, at a path that both have", []fakehost.Socket{path("x", false)}, []fakehost.Socket{fakehost.Listen(8082), path("", true)}},
		{"a server's connection from a port of the other, of which TCP does not tell now", []fakehost.Socket{busy}, []fakehost.Socket{fakehost.Listen(15000)}},
		{"a client of a socket that was passed to both, and was made to block again", []fakehost.Socket{passed, fakehost.Client(443, 1, 0)}, []fakehost.Socket{passed, fakehost.Listen(8082)}},
		{"a client by IPv4, where [::] takes IPv6 alone", []fakehost.Socket{fakehost.Client(8443, 1, 0)}, []fakehost.Socket{wide}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			old := fakehost.Daemon(w, attackConfig, 201, ticks(50*time.Minute), nil, tt.old...)
			other := fakehost.Daemon(w, attackConfig, 301, ticks(40*time.Minute), nil, tt.other...)
			old.Cgroup, other.Cgroup = "/system.slice/a.service", "/system.slice/b.service"
			if tt.other[0].V6Only {
				old.NetNS, other.NetNS = 4711, 4711 // there the active's options are asked
			}
			p := pass(t, w)
			run(t, p)
			if got := signalled(w); len(got) > 0 {
				t.Errorf("signalled %v", got)
			}
		})
	}
}

// 301 is a service of the same arguments, which its operator stopped. It is younger
// than 202, so it is no old worker of it, whatever address both have.
func TestAYoungerServiceThatStopsIsOfNoOther(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	fakehost.Daemon(w, attackConfig, 201, ticks(50*time.Minute), nil, fakehost.Client(8081, 1, 0))
	fakehost.Daemon(w, attackConfig, 202, ticks(40*time.Minute), []int{201}, fakehost.Listen(8081), fakehost.Listen(8404))
	fakehost.Daemon(w, attackConfig, 301, ticks(30*time.Minute), nil, fakehost.Client(8082, 1, 0), fakehost.Client(8404, 1, 0))
	r := look(t, w)
	for pid, want := range map[int]judge.Role{201: judge.RoleResidual, 202: judge.RoleActive, 301: judge.RoleStranded} {
		if got := process(t, r, pid).Role; got != want {
			t.Errorf("%d is %s, want %s", pid, got, want)
		}
	}
}

// A shard of another service that listens on the same address (SO_REUSEPORT) supersedes
// nothing. The deadline of 201 counts from the start of 203, which names it.
func TestAServiceBesideSupersedesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []int // of the one between
		want float64
	}{
		{"what names nothing", nil, 60},
		{"what names it as well", []int{201}, 45 * 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			beside := fakehost.Listen(443)
			beside.Inode++
			fakehost.Daemon(w, attackConfig, 201, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0))
			fakehost.Daemon(w, attackConfig, 202, ticks(45*time.Minute), tt.list, beside)
			fakehost.Daemon(w, attackConfig, 203, ticks(time.Minute), []int{201}, fakehost.Listen(443))
			got := process(t, look(t, w), 201)
			if got.Role != judge.RoleResidual || *got.ResidualSeconds != tt.want {
				t.Errorf("%s for %v s, want residual for %v s", got.Role, *got.ResidualSeconds, tt.want)
			}
		})
	}
}

// The second master has been reloaded since, and its arguments no longer name the
// first. A state of the workers' user is not believed of a master of root's, but of
// its workers.
func TestAMasterIsReplacedWhereThatIsRememberedOfItsWorkers(t *testing.T) {
	own := uint32(fakehost.UIDHAProxy)
	for _, tt := range []struct {
		name string
		told []int // of the first master's workers
		want judge.Role
	}{
		{"of all of them", []int{102, 103}, judge.RoleResidual},
		{"of one of them", []int{103}, judge.RoleDraining}, // of an instance of its own
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			w.Exit(101)
			s.Worker(102, ticks(30*time.Minute), nil, fakehost.Client(443, 3, 0))
			s.Worker(103, ticks(10*time.Minute), nil, fakehost.Client(443, 4, 0))
			second := fakehost.NewService(w, "haproxy", 200, ticks(5*time.Minute))
			second.Worker(202, ticks(time.Minute), []int{201}, fakehost.Listen(443))
			var first judge.Report
			t.Run("a first look", func(t *testing.T) { first = look(t, w) })
			p := pass(t, w)
			p.Memory, p.MemoryOwner = judge.Memory{}, &own
			for _, pid := range tt.told {
				heir := judge.Heir{ProcID: process(t, first, 202).ProcID, NSPID: 201}
				heir.PID, heir.StartTicks = 201, ticks(4*time.Minute)
				p.Memory[process(t, first, pid).ProcID] = judge.Seen{Told: true, Heir: heir}
			}
			r, err := p.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := process(t, r, 103).Role; got != tt.want {
				t.Errorf("role of 103 is %q, want %q", got, tt.want)
			}
		})
	}
}

// A drain would close the connections that alone say that a daemon was told.
func TestADrainTakesNoEvidenceAway(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	fakehost.Daemon(w, "/etc/d.cfg", 200, ticks(50*time.Minute), nil, fakehost.Client(443, 1, time.Minute))
	fakehost.Daemon(w, "/etc/d.cfg", 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
	p := pass(t, w)
	p.Timing.DrainRate, p.Timing.DrainTimeout = 10, time.Minute
	run(t, p)
	if got := signalled(w); !equal(got, []string{"200 terminated"}) {
		t.Errorf("signalled %v, want 200 terminated", got)
	}
}

// 201 was told by 202, which has left: its operator stopped that service. The other
// service of the same arguments has superseded nothing of it, and a connection that only
// may be at its address does not tie 201 to it.
func TestWhatIsRememberedTiesAProcessToNoOtherService(t *testing.T) {
	path := fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Local: "/run/haproxy.sock", Listening: true, Inode: 71}
	session := path
	session.Listening, session.Peer, session.State, session.Inode = false, "x", unix.BPF_TCP_ESTABLISHED, 72
	busy := fakehost.Server(8082)
	busy.ReuseAddr, busy.Busy = true, true
	for _, tt := range []struct {
		name string
		with fakehost.Socket
		want []string
	}{
		{"a session of the CLI, at a path that both have", session, []string{}},
		{"a connection from a port of the other, of which TCP does not tell now", busy, []string{}},
		{"a client that it accepted at the other's address", fakehost.Client(8082, 1, 0), []string{"201 terminated"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			old := fakehost.Daemon(w, attackConfig, 201, ticks(50*time.Minute), nil, fakehost.Client(8081, 1, 0), tt.with)
			fakehost.Daemon(w, attackConfig, 301, ticks(20*time.Minute), nil, fakehost.Listen(8082), path)
			p := pass(t, w)
			root, id, heir := uint32(0), judge.Process{}.ProcID, judge.Heir{NSPID: 202}
			id.PID, id.StartTicks = old.PID, old.Ticks
			heir.PID, heir.StartTicks = 202, ticks(30*time.Minute)
			p.Memory, p.MemoryOwner = judge.Memory{id: {Told: true, Heir: heir, Superseded: 30 * time.Minute}}, &root
			run(t, p)
			if got := signalled(w); !equal(got, tt.want) {
				t.Errorf("signalled %v, want %v", got, tt.want)
			}
		})
	}
}

// The siblings of an old generation (nbproc) took more than a second to fork, and hold
// no listener any more that says that they are siblings. The deadline of each counts
// from the reload.
func TestASiblingSupersedesNothingHoweverLateItWasForked(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
	s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0))
	s.Worker(102, ticks(49*time.Minute-1200*time.Millisecond), nil, fakehost.Client(443, 2, 0))
	s.Worker(103, ticks(time.Minute), []int{101, 102}, fakehost.Listen(443))
	r := look(t, w)
	for _, pid := range []int{101, 102} {
		if got := process(t, r, pid); got.Role != judge.RoleResidual || *got.ResidualSeconds != 60 {
			t.Errorf("%d is %s for %v s, want residual for 60 s", pid, got.Role, *got.ResidualSeconds)
		}
	}
}

// A supervisor starts two services of one file and equal arguments in the same second
// (-db, a port of the environment). What executes its program itself was forked by no
// generation.
func TestServicesThatASupervisorStartsAtOnceAreNoSiblings(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	start := func(pid int, ago time.Duration, finish []int, sockets ...fakehost.Socket) {
		p := fakehost.Daemon(w, attackConfig, pid, ticks(ago), finish, sockets...)
		w.Change(func() { p.Forked, p.PPID, p.Cgroup = false, 50, "/system.slice/s6.service" })
	}
	start(201, 50*time.Minute, nil, fakehost.Client(8081, 1, 0))
	start(301, 50*time.Minute-500*time.Millisecond, nil, fakehost.Client(8082, 1, 0))
	start(202, 40*time.Minute, []int{201}, fakehost.Listen(8081))
	start(302, 30*time.Minute, []int{301}, fakehost.Listen(8082))
	p := pass(t, w)
	p.Policy.Deadline, p.Policy.MaxResidual = 24*time.Hour, 1 // each of the two has one
	r := run(t, p)
	for pid, want := range map[int]judge.Role{201: judge.RoleResidual, 202: judge.RoleActive, 301: judge.RoleResidual, 302: judge.RoleActive} {
		if got := process(t, r, pid).Role; got != want {
			t.Errorf("%d is %s, want %s", pid, got, want)
		}
	}
	if got := signalled(w); len(got) > 0 {
		t.Errorf("signalled %v", got)
	}
}

// The operator reloads a master that another one has replaced. That supersedes nothing
// of the younger master: the deadline of its worker counts from its own reload.
func TestAReloadOfAReplacedMasterSupersedesNothingOfTheYoungerOne(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	first := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
	second := fakehost.NewService(w, "haproxy", 200, ticks(40*time.Minute))
	w.Change(func() { second.Master.Args = append(second.Master.Args, "-sf", "100") })
	second.Worker(201, ticks(39*time.Minute), []int{100}, fakehost.Client(443, 1, 0))
	first.Worker(103, ticks(30*time.Minute), nil, fakehost.Client(443, 2, 0))
	second.Worker(202, ticks(time.Minute), []int{201, 100}, fakehost.Listen(443))
	if got := process(t, look(t, w), 201); got.Role != judge.RoleResidual || *got.ResidualSeconds != 60 {
		t.Errorf("%s for %v s, want residual for 60 s", got.Role, *got.ResidualSeconds)
	}
}
