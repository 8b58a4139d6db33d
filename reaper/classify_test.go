package reaper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestRolesOfAnOrdinaryService(t *testing.T) {
	w, _ := reloaded()
	r := look(t, w)
	want := map[int]judge.Role{100: judge.RoleMaster, 101: judge.RoleResidual, 102: judge.RoleResidual, 103: judge.RoleActive}
	if diff := cmp.Diff(want, roles(r)); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	in := r.Instances[0]
	if in.Name != "haproxy.service" || in.Model != judge.ModelMasterWorker || !in.Confirmed || in.Refusal != "" {
		t.Errorf("instance %q of model %q, confirmed %v, refusal %q", in.Name, in.Model, in.Confirmed, in.Refusal)
	}
}

// TestRoles tells what each kind of process is taken for, and what it keeps the
// instance from.
func TestRoles(t *testing.T) {
	const active, residual, stranded, paused = judge.RoleActive, judge.RoleResidual, judge.RoleStranded, judge.RolePaused
	for _, tt := range []struct {
		name    string
		change  func(w *fakehost.World, s *fakehost.Service)
		pid     int
		want    judge.Role
		refusal judge.Reason
	}{
		{"an old worker that still listens is stranded, and its siblings are not", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(40*time.Minute), nil, fakehost.Listen(8080))
		}, 104, stranded, ""},
		{"an old worker that nobody told to leave is stranded", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(40*time.Minute), nil, fakehost.Client(443, 9, 0))
		}, 104, stranded, ""},
		{"an old worker with a paused listener may come back", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(40*time.Minute), nil, fakehost.Paused(443))
		}, 104, paused, judge.ReasonPaused},
		{"a connection that its client reset is no paused listener", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Reset(443))
		}, 101, residual, ""},
		{"the youngest without any listener is paused", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Paused(443))
		}, 103, paused, judge.ReasonNotListening},
		{"the youngest that is told to stop drains, and does not come back", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 4, 0))
			s.Answer(map[int]bool{103: true})
		}, 103, judge.RoleDraining, judge.ReasonDraining},
		{"while it drains the old ones stay residual, refused", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 4, 0))
			s.Answer(map[int]bool{103: true})
		}, 101, residual, judge.ReasonDraining},
		{"one that is told to stop, and accepts for its grace, is active", func(w *fakehost.World, s *fakehost.Service) {
			s.Answer(map[int]bool{103: true})
		}, 103, active, judge.ReasonDraining},
		{"while the youngest is not confirmed the old ones stay residual, refused", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101})
		}, 101, residual, judge.ReasonNotListening},
		{"a worker that parses its configuration is starting", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(time.Second), []int{103}).Masks = fakehost.ReloadingMasks
		}, 104, judge.RoleStarting, judge.ReasonStarting},
		{"an external check is a worker's child, however much it looks like the youngest worker", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(0), []int{103}, fakehost.Listen(443)).PPID = 103
		}, 104, judge.RoleCheck, ""},
		{"a check's own child is a check", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(time.Second), []int{103}, fakehost.Listen(443)).PPID = 103
			s.Worker(105, ticks(0), []int{103}, fakehost.Listen(443)).PPID = 104
		}, 105, judge.RoleCheck, ""},
		{"a master's child of another program is a program", func(w *fakehost.World, s *fakehost.Service) {
			w.Start(fakehost.Proc{PID: 104, PPID: 100, Ticks: ticks(time.Second), Exe: "/usr/bin/dataplaneapi", Comm: "dataplaneapi", Args: []string{"dataplaneapi"}})
		}, 104, judge.RoleProgram, ""},
		{"a master's child of HAProxy with other arguments is a program too", func(w *fakehost.World, s *fakehost.Service) {
			p := s.Worker(104, ticks(time.Second), nil, fakehost.Listen(9999))
			p.Args = []string{"haproxy", "-f", "/etc/other.cfg"}
		}, 104, judge.RoleProgram, ""},
		{"a program that is a HAProxy service itself has a master of its own", func(w *fakehost.World, s *fakehost.Service) {
			w.Start(fakehost.Proc{PID: 104, PPID: 100, Ticks: ticks(time.Second), Masks: fakehost.MasterMasks, Args: []string{"haproxy", "-W", "-f", "/etc/inner.cfg"}, Cgroup: s.Cgroup})
		}, 104, judge.RoleMaster, ""},
		{"haproxy -c in the unit is a stray", func(w *fakehost.World, s *fakehost.Service) {
			w.Start(fakehost.Proc{PID: 104, PPID: 1, Ticks: ticks(0), Masks: fakehost.StartingMasks, Args: []string{"haproxy", "-c", "-f", s.Config}, Cgroup: s.Cgroup})
		}, 104, judge.RoleStray, judge.ReasonStray},
		{"a worker that has lost its master, and still listens, is stranded beside another's", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(time.Minute), []int{103}, fakehost.Listen(443)).PPID = 1
		}, 104, stranded, ""},
		{"one that does not listen, and holds clients of the active's address, is not known to be told", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(45*time.Minute), nil, fakehost.Client(443, 9, 0)).PPID = 1
		}, 104, stranded, ""},
		{"the workers of a master that another one replaced are residual", func(w *fakehost.World, s *fakehost.Service) {
			replaced(w, s, 0)
		}, 103, residual, ""},
		{"a master that another one replaced is a master still", func(w *fakehost.World, s *fakehost.Service) {
			replaced(w, s, 0)
		}, 100, judge.RoleMaster, ""},
		{"a worker of another user than its own replaces no master by its list", func(w *fakehost.World, s *fakehost.Service) {
			replaced(w, s, 0)
			p := s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443))
			w.Change(func() { p.UID = 33 })
			second := fakehost.NewService(w, "haproxy", 200, ticks(5*time.Minute)) // its own list is gone
			second.Worker(201, ticks(4*time.Minute), []int{100}, fakehost.Listen(443))
		}, 103, active, ""},
		{"a master of another user replaces none", func(w *fakehost.World, s *fakehost.Service) {
			replaced(w, s, 5001)
		}, 103, active, ""},
		{"a worker whose executable was renamed is a worker", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil).Exe = "/usr/sbin/haproxy.old"
		}, 101, residual, ""},
		{"a program that a master has just executed is none, whatever it calls itself", func(w *fakehost.World, s *fakehost.Service) {
			p := s.Worker(101, ticks(49*time.Minute), nil)
			p.Exe, p.Forked = "/usr/sbin/haproxy.old", false
		}, 101, judge.RoleProgram, ""},
		{"an old worker that runs as another user than the present ones was told all the same", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil).UID = 33
		}, 101, residual, ""},
		{"a worker that only the master CLI says is stopping is residual", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(40*time.Minute), nil, fakehost.Client(443, 9, 0))
			s.Answer(map[int]bool{101: true, 102: true, 103: false, 104: true})
		}, 104, residual, ""},
		{"nbproc: siblings of one start are all active", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(10*time.Minute)+100, []int{102, 101}, fakehost.Listen(81))
		}, 103, active, ""},
		{"a lookalike of the youngest that started more than a second later is another generation", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(10*time.Minute)+101, []int{102, 101}, fakehost.Listen(81))
		}, 103, stranded, ""},
		{"a log's socket is no listener, whatever its port", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.UDP(514))
		}, 101, residual, ""},
		{"a log's socket that siblings and another generation hold too is none either", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.UDP(40000))
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.UDP(40000))
		}, 101, residual, ""},
		{"a datagram listener is one, on whatever port", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.DatagramListener(40000))
		}, 101, stranded, ""},
		{"a listener that was passed to the service and that nobody accepts through is none, while the active has it", func(w *fakehost.World, s *fakehost.Service) {
			passed := fakehost.Listen(7004)
			passed.Blocking = true
			s.Worker(101, ticks(49*time.Minute), nil, passed)
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), passed)
		}, 101, residual, ""},
		{"a listener that was passed to the service, and that the active no longer has, is one", func(w *fakehost.World, s *fakehost.Service) {
			passed := fakehost.Listen(7004)
			passed.Blocking = true
			s.Worker(101, ticks(49*time.Minute), nil, passed)
		}, 101, stranded, ""},
		{"a datagram listener that a master forgot to close is none, where the worker says that it has stopped", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.DatagramListener(40000))
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.DatagramListener(40000))
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
		}, 101, residual, ""},
		{"nor is a listener that was passed non-blocking", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(7004))
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.Listen(7004))
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
		}, 101, residual, ""},
		{"it is one as long as the worker has listeners, as within its grace", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(7004))
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.Listen(7004))
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
			w.Change(func() {
				s.Master.CLI["@!101 show info"] = strings.Replace(s.Master.CLI["@!101 show info"], "Listeners: 1", "Listeners: 2", 1)
			})
		}, 101, stranded, ""},
		{"and where the active does not hold it", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(7004))
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
		}, 101, stranded, ""},
		{"a listener that was passed to the service, and that HAProxy accepts through, is one", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(443))
		}, 101, stranded, ""},
		{"a connection of MPTCP whose first path has gone is no paused listener", func(w *fakehost.World, s *fakehost.Service) {
			phone := fakehost.Client(443, 1, 0)
			phone.MPTCP, phone.State, phone.Segments = true, unix.BPF_TCP_CLOSE, 0
			s.Worker(101, ticks(49*time.Minute), nil, phone)
		}, 101, residual, ""},
		{"a worker's lookalike without a master, in another network namespace, stands in nobody's way", func(w *fakehost.World, s *fakehost.Service) {
			p := s.Worker(104, ticks(time.Minute), []int{103}, fakehost.Listen(443))
			p.PPID, p.NetNS = 1, 77
		}, 104, stranded, ""},
		{"the list of a sibling of another user is evidence, under a master of root's", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443)).UID = 33
		}, 101, residual, ""},
		{"it is none under a master of a third user", func(w *fakehost.World, s *fakehost.Service) {
			w.Change(func() { s.Master.UID = 7 })
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443)).UID = 33
		}, 101, stranded, ""},
		{"a list that names the pid in another PID namespace names nobody", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil).NSPID = 7
		}, 101, stranded, ""},
		{"the youngest is the one that started last, though its pid is the lowest since pids began again", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(7, ticks(time.Minute), []int{101, 102, 103}, fakehost.Listen(443), fakehost.Listen(80))
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 9, 0))
		}, 7, active, ""},
		{"an old worker that the master no longer lists, as of more than 202, is residual all the same", func(w *fakehost.World, s *fakehost.Service) {
			s.Answer(map[int]bool{102: true, 103: false})
		}, 101, residual, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			tt.change(w, s)
			r := look(t, w)
			if got := process(t, r, tt.pid).Role; got != tt.want {
				t.Errorf("role of %d is %q, want %q", tt.pid, got, tt.want)
			}
			if got := r.Instances[0].Refusal; got != tt.refusal {
				t.Errorf("refusal is %q (%s), want %q", got, r.Instances[0].RefusalDetail, tt.refusal)
			}
			if got := process(t, r, 100).Verdict; got != judge.VerdictKeep {
				t.Errorf("verdict on the master is %q", got)
			}
		})
	}
}

// replaced starts another master of the service, whose arguments tell the first to
// finish, with a worker that listens.
func replaced(w *fakehost.World, s *fakehost.Service, uid uint32) {
	second := fakehost.NewService(w, "haproxy", 200, ticks(5*time.Minute))
	second.Master.UID = uid
	second.Master.Args = append(second.Master.Args, "-sf", "100")
	p := second.Worker(201, ticks(4*time.Minute), []int{100}, fakehost.Listen(443))
	if uid != 0 {
		p.UID = uid
	} else {
		s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 4, 0))
	}
}

func TestDaemonMode(t *testing.T) {
	const config = "/etc/haproxy/haproxy.cfg"
	daemons := func() *fakehost.World {
		w := fakehost.New()
		ordinary(w)
		fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0))
		fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
		return w
	}
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World)
		want   map[int]judge.Role
	}{
		{"one whose namer has left is residual by its connections", func(w *fakehost.World) {},
			map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive}},
		{"another user's lookalike, with a configuration of its own, is an instance of its own", func(w *fakehost.World) {
			fakehost.Daemon(w, "/home/x/haproxy.cfg", 203, ticks(time.Minute), []int{200, 202}, fakehost.Listen(4443)).UID = 5001
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive, 203: judge.RoleActive}},
		{"one that holds a log's socket besides is residual", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.UDP(41000), fakehost.Client(443, 1, 0))
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive}},
		{"one of equal arguments, with clients on another port, was superseded by nothing", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Client(8081, 1, 0))
		}, map[int]judge.Role{200: judge.RoleStranded, 202: judge.RoleActive}},
		{"one of equal arguments that listens on another port is an instance of its own", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Listen(8081))
		}, map[int]judge.Role{200: judge.RoleActive, 202: judge.RoleActive}},
		{"one that listens on the same port is stranded", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Listen(443))
		}, map[int]judge.Role{200: judge.RoleStranded, 202: judge.RoleActive}},
		{"one of another user that the active names is stranded", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0)).UID = 33
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{200}, fakehost.Listen(443))
		}, map[int]judge.Role{200: judge.RoleStranded, 202: judge.RoleActive}},
		{"one that has not begun its session serves all the same", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Client(443, 5, 0))
			fakehost.Daemon(w, config, 203, ticks(0), []int{202}, fakehost.Listen(443)).Session = 7
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleResidual, 203: judge.RoleActive}},
		{"one that is still binding is starting, though it catches SIGUSR1 and listens", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 203, ticks(0), []int{202}, fakehost.Listen(443)).Masks = inspect.SignalMasks{Caught: 0x402205}
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive, 203: judge.RoleStarting}},
		{"a reload with another configuration joins the lineage it names", func(w *fakehost.World) {
			fakehost.Daemon(w, "/etc/haproxy/new.cfg", 203, ticks(time.Minute), []int{202}, fakehost.Listen(443))
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Client(443, 5, 0))
		}, map[int]judge.Role{200: judge.RoleStranded, 202: judge.RoleResidual, 203: judge.RoleActive}},
		{"a starting process of root's is of the lineage it names", func(w *fakehost.World) {
			p := fakehost.Daemon(w, config, 203, ticks(0), []int{202})
			p.UID, p.Masks = 0, fakehost.StartingMasks
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive, 203: judge.RoleStarting}},
		{"a reload from another login is of the lineage, though nobody is left whom it named", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Client(443, 5, 0))
			fakehost.Daemon(w, config, 203, ticks(time.Minute), []int{201}, fakehost.Listen(443)).Cgroup = "/user.slice/user-0.slice/session-2.scope"
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleResidual, 203: judge.RoleActive}},
		{"one that starts and is like nobody is of no instance either", func(w *fakehost.World) {
			fakehost.Daemon(w, "/etc/fresh.cfg", 203, ticks(0), nil).Masks = fakehost.StartingMasks
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive, 203: judge.RoleStarting}},
		{"haproxy -c by hand is of no instance", func(w *fakehost.World) {
			p := fakehost.Daemon(w, config, 203, ticks(0), nil)
			p.UID, p.Masks, p.Args = 0, fakehost.StartingMasks, []string{"haproxy", "-c", "-f", config}
		}, map[int]judge.Role{200: judge.RoleResidual, 202: judge.RoleActive, 203: judge.RoleStray}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := daemons()
			tt.change(w)
			r := look(t, w)
			if diff := cmp.Diff(tt.want, roles(r)); diff != "" {
				t.Errorf("roles (-want +got):\n%s", diff)
			}
			if name, _, _ := strings.Cut(r.Instances[0].Name, "@"); r.Instances[0].Model != judge.ModelDaemon || name != config {
				t.Errorf("instance %q of model %q", r.Instances[0].Name, r.Instances[0].Model)
			}
		})
	}
}

func TestNamesOfInstances(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	for i, name := range []string{"haproxy", "edge", "edge"} {
		s := fakehost.NewService(w, name, 100*(i+1), ticks(50*time.Minute)+uint64(i))
		s.Worker(100*(i+1)+1, ticks(49*time.Minute), nil, fakehost.Listen(443+i))
	}
	fakehost.Daemon(w, "/etc/d.cfg", 401, ticks(40*time.Minute), nil, fakehost.Listen(5000))
	fakehost.Daemon(w, "/etc/d.cfg", 402, ticks(39*time.Minute), nil, fakehost.Listen(5001)).UID = 7
	fakehost.Daemon(w, "/etc/e.cfg", 411, ticks(38*time.Minute), nil, fakehost.Listen(5003))
	fakehost.Daemon(w, "/etc/e.cfg", 412, ticks(37*time.Minute), nil, fakehost.Listen(5002))
	fakehost.Daemon(w, "/etc/f.cfg", 421, ticks(36*time.Minute), nil, fakehost.Listen(5004)).NetNS = 77
	fakehost.Daemon(w, "/etc/f.cfg", 422, ticks(35*time.Minute), nil, fakehost.Listen(5004)).Cgroup = "/docker/4f3ac0e1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
	root := fakehost.NewService(w, "byroot", 430, ticks(34*time.Minute))
	root.Master.Cgroup = "/user.slice/user-0.slice/session-1.scope"
	root.Cgroup = root.Master.Cgroup
	root.Worker(431, ticks(34*time.Minute), nil, fakehost.Listen(5005))
	fakehost.Daemon(w, root.Config, 432, ticks(51*time.Minute), nil, fakehost.Listen(5006)).UID = 5001
	byHand := fakehost.NewService(w, "byhand", 500, ticks(30*time.Minute))
	byHand.Cgroup = "/user.slice/user-0.slice/session-1.scope"
	byHand.Master.Cgroup = byHand.Cgroup
	byHand.Worker(501, ticks(29*time.Minute), nil, fakehost.Listen(6000))
	w.Start(fakehost.Proc{PID: 502, PPID: 500, Ticks: ticks(28 * time.Minute), Exe: "/usr/bin/sidecar", Comm: "sidecar", Args: []string{"sidecar"}, Cgroup: "/system.slice/sidecar.service"})
	var got []string
	for _, in := range look(t, w).Instances {
		got = append(got, in.Name)
	}
	want := []string{
		"/etc/byroot/haproxy.cfg@5001", // older than root's, and the name is root's all the same
		"haproxy.service", "edge.service:/etc/edge/haproxy.cfg@0.0.0.0:444", "edge.service:/etc/edge/haproxy.cfg@0.0.0.0:445",
		"/etc/d.cfg@102", "/etc/d.cfg@7", "/etc/e.cfg@102@0.0.0.0:5003", "/etc/e.cfg@102@0.0.0.0:5002", "/etc/f.cfg@102", "/etc/f.cfg@102@4f3ac0e1a2b3",
		"/etc/byroot/haproxy.cfg", "/etc/byhand/haproxy.cfg",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestConnectionsAreCountedBySide(t *testing.T) {
	w, s := reloaded()
	s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute), fakehost.Client(443, 2, 5*time.Second), fakehost.Server(39000))
	s.Answer(map[int]bool{101: true, 102: true, 103: false})
	r := look(t, w)
	p := process(t, r, 101)
	if p.Connections.Client == nil || *p.Connections.Client != 2 || *p.Connections.Server != 1 || *p.Connections.Other != 0 {
		t.Errorf("connections are %+v, want 2 clients, 1 server", p.Connections)
	}
	least, most := 5.0, 60.0
	want := []judge.PortUse{{Port: 443, Clients: 2, MinIdleSeconds: &least, MaxIdleSeconds: &most}}
	if diff := cmp.Diff(want, p.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if p.IdleSeconds == nil || *p.IdleSeconds != 5 {
		t.Errorf("idle is %v, want 5 s", p.IdleSeconds)
	}
	if a := process(t, r, 103); a.Connections.Client == nil || *a.Connections.Client != 7 {
		t.Errorf("the active's clients are %v, want the CLI's 7", a.Connections.Client)
	}
	if diff := cmp.Diff([]string{"sockets", "arguments", "cli"}, r.Instances[0].Witnesses); diff != "" {
		t.Errorf("witnesses (-want +got):\n%s", diff)
	}
	if p.PrivateBytes == nil || *p.PrivateBytes != 1000<<10 {
		t.Errorf("private bytes are %v", p.PrivateBytes)
	}
}

// Of a port on which one client has no idle time there is no least and no most.
func TestThePortOfAClientWithoutAnIdleTimeHasNone(t *testing.T) {
	w, s := reloaded()
	s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute), fakehost.QUIC(443, 2), fakehost.Client(80, 3, time.Hour))
	s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443), fakehost.Listen(80), fakehost.DatagramListener(443))
	p := process(t, look(t, w), 101)
	hour, minute := 3600.0, 60.0
	want := []judge.PortUse{{Port: 80, Clients: 1, MinIdleSeconds: &hour, MaxIdleSeconds: &hour}, {Port: 443, Clients: 2}}
	if diff := cmp.Diff(want, p.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&minute, p.IdleSeconds); diff != "" {
		t.Errorf("idle (-want +got):\n%s", diff)
	}
}

// Where clients come in is known by the listeners of all siblings that could be
// looked at.
func TestASiblingThatCannotBeLookedAtHidesNoListenerOfAnother(t *testing.T) {
	w, s := reloaded()
	s.Worker(104, ticks(10*time.Minute)+3, []int{102, 101}, fakehost.Listen(443))
	w.Before = func(_ int, _, about string) error {
		if strings.HasPrefix(about, "/proc/103/fd") || about == "103" {
			return unix.EPERM
		}
		return nil
	}
	r := look(t, w)
	if got := r.Instances[0].Refusal; got != judge.ReasonUnreadable {
		t.Errorf("refusal is %q", got)
	}
	if got := process(t, r, 101).Connections.Client; got == nil || *got != 2 {
		t.Errorf("clients of 101 are %v, want 2", got)
	}
}

func TestDeadlinesCountFromBeingSuperseded(t *testing.T) {
	w, _ := reloaded()
	r := look(t, w)
	for pid, want := range map[int]float64{101: 1800, 102: 600} {
		if got := *process(t, r, pid).ResidualSeconds; got != want {
			t.Errorf("%d is residual for %v s, want %v", pid, got, want)
		}
	}

	t.Run("an earlier sight of it counts when the next younger has left meanwhile", func(t *testing.T) {
		p := pass(t, w)
		p.Memory, p.MemoryOwner = judge.Memory{process(t, r, 101).ProcID: {Residual: 20 * time.Minute}}, new(uint32)
		again, err := p.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := *process(t, again, 101).ResidualSeconds; got != 2400 {
			t.Errorf("residual for %v s, want 2400", got)
		}
	})
	t.Run("an earlier sight of it in a state of another user's, or of nobody knows whose, brings nothing forward", func(t *testing.T) {
		other := uint32(5001)
		for _, owner := range []*uint32{&other, nil} {
			p := pass(t, w)
			p.Memory = judge.Memory{process(t, r, 101).ProcID: {Residual: 20 * time.Minute, Superseded: 20 * time.Minute, Signals: []string{"SIGTERM"}}}
			p.MemoryOwner = owner
			again, err := p.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := process(t, again, 101); *got.ResidualSeconds != 1800 || got.SignalledBefore {
				t.Errorf("residual for %v s, want 1800; signalled before: %v", *got.ResidualSeconds, got.SignalledBefore)
			}
		}
	})
	t.Run("but that it was stranded delays, whoever says so", func(t *testing.T) {
		other := uint32(5001)
		p := pass(t, w)
		p.Memory, p.MemoryOwner = judge.Memory{process(t, r, 101).ProcID: {Stranded: true}}, &other
		again, err := p.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := *process(t, again, 101).ResidualSeconds; got != 0 {
			t.Errorf("residual for %v s, want 0", got)
		}
	})
	t.Run("one that was stranded counts from when it was first seen residual", func(t *testing.T) {
		p := pass(t, w)
		id := process(t, r, 101).ProcID
		p.Memory, p.MemoryOwner = judge.Memory{id: {Stranded: true}}, new(uint32)
		first, err := p.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := *process(t, first, 101).ResidualSeconds; got != 0 {
			t.Errorf("residual for %v s at first sight, want 0", got)
		}
		_ = w.Sleep(t.Context(), time.Minute)
		second, err := p.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := *process(t, second, 101).ResidualSeconds; got != 60 {
			t.Errorf("residual for %v s a minute later, want 60", got)
		}
	})
	t.Run("a memory from the future makes nobody due", func(t *testing.T) {
		p := pass(t, w)
		p.Memory, p.MemoryOwner = judge.Memory{process(t, r, 101).ProcID: {Stranded: true, Residual: 100 * time.Hour}}, new(uint32)
		again, err := p.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := *process(t, again, 101).ResidualSeconds; got != 0 {
			t.Errorf("residual for %v s, want 0", got)
		}
	})
}

// A name that was shared does not pass to the instance that is left.
func TestAnInstanceKeepsItsQualifierWhenTheOtherHasGone(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	fakehost.Daemon(w, "/etc/d.cfg", 401, ticks(40*time.Minute), nil, fakehost.Listen(5000))
	fakehost.Daemon(w, "/etc/d.cfg", 402, ticks(39*time.Minute), nil, fakehost.Listen(5001))
	p := pass(t, w)
	for _, want := range [][]string{{"/etc/d.cfg@102@0.0.0.0:5000", "/etc/d.cfg@102@0.0.0.0:5001"}, {"/etc/d.cfg@102@0.0.0.0:5001"}} {
		r, err := p.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, in := range r.Instances {
			got = append(got, in.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
		p.Qualified = r.Qualified
		w.Exit(401)
	}
}

// Where nothing else tells two instances apart, their oldest processes do.
func TestInstancesOfOnePathWithoutListenersHaveNamesOfTheirOwn(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	for _, pid := range []int{100, 200} {
		s := fakehost.NewService(w, "haproxy", pid, ticks(50*time.Minute))
		s.Cgroup = "/user.slice/user-0.slice/session-1.scope"
		s.Master.Cgroup = s.Cgroup
		s.Worker(pid+1, ticks(49*time.Minute), nil)
	}
	var got []string
	for _, in := range look(t, w).Instances {
		got = append(got, in.Name)
	}
	if diff := cmp.Diff([]string{"/etc/haproxy/haproxy.cfg@100@60000", "/etc/haproxy/haproxy.cfg@200@60000"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
