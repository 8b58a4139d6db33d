package judge

import (
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// A process that is not ready stands in the way of an instance by what ties it there:
// as one that starts where its arguments or its list are the instance's, as a stray where
// only the cgroup is, and not at all where nothing is.
func TestWhatTiesAProcessThatIsNotReadyToAnInstance(t *testing.T) {
	const unit, cgroup = "h.service", "/system.slice/h.service"
	for _, tt := range []struct {
		name   string
		change func(master, daemon, p *inspect.Process)
		want   Reason
	}{
		{"the arguments of a daemon", func(_, _, p *inspect.Process) { p.UID, p.Command = 102, command("/d", nil) }, ReasonStarting},
		{"a check of the configuration, with the arguments of a daemon", func(_, _, p *inspect.Process) {
			p.UID, p.Command = 102, command("/d", nil)
			p.Command.CheckOnly = true
		}, ReasonStarting},
		{"a list that names a daemon", func(_, daemon, p *inspect.Process) {
			p.UID, p.Command = 102, command("/new", []int{daemon.PID})
		}, ReasonStarting},
		{"the arguments of a daemon, in its cgroup", func(_, daemon, p *inspect.Process) {
			p.UID, p.Command = 102, command("/d", nil)
			p.Unit, p.Cgroup, daemon.Unit, daemon.Cgroup = unit, cgroup, unit, cgroup
		}, ReasonStarting},
		{"the arguments of a daemon in another PID namespace", func(_, _, p *inspect.Process) {
			p.UID, p.Command, p.PIDNS = 102, command("/d", nil), 7
		}, ""},
		{"the arguments of a daemon in another network namespace", func(_, _, p *inspect.Process) {
			p.UID, p.Command, p.NetNS = 102, command("/d", nil), 7
		}, ""},
		{"the arguments of a daemon, as another user's process", func(_, _, p *inspect.Process) {
			p.UID, p.Command = 5001, command("/d", nil)
		}, ""},
		{"the cgroup of a daemon", func(_, daemon, p *inspect.Process) {
			p.Unit, p.Cgroup, daemon.Unit, daemon.Cgroup = unit, cgroup, unit, cgroup
		}, ReasonStray},
		{"the cgroup of a daemon, as another user's process", func(_, daemon, p *inspect.Process) {
			p.UID, p.Unit, p.Cgroup, daemon.Unit, daemon.Cgroup = 5001, unit, cgroup, unit, cgroup
		}, ""},
		{"another cgroup", func(_, daemon, p *inspect.Process) {
			p.Unit, p.Cgroup, daemon.Unit, daemon.Cgroup = unit, cgroup, "other.service", "/system.slice/other.service"
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			daemon := standing(201, 1000, 102, "/d", []uint16{80})
			p := standing(301, 2000, 0, "/x", nil)
			p.Signals = inspect.SignalMasks{Caught: handlersNone}
			tt.change(nil, daemon, p)
			if got := refusalWith(201, daemon, p); got != tt.want {
				t.Errorf("the daemon is refused for %q, want %q", got, tt.want)
			}
		})
	}
}

// refusalWith is why the instance that a process is in is refused.
func refusalWith(pid int, processes ...*inspect.Process) Reason {
	s := inspect.Snapshot{Processes: processes}
	for _, in := range Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}).Instances {
		for _, p := range in.Processes {
			if p.PID == pid {
				return in.Refusal
			}
		}
	}
	return "of no instance"
}

// Only what runs in the cgroup of a master may stand in its way without being root's or
// of a user of the instance: there the unit's processes are, and nobody's else. What runs
// in the cgroup of a worker, that a stranger has moved itself to, is not there.
func TestInWhoseCgroupAStrangersProcessIsAStray(t *testing.T) {
	for _, tt := range []struct {
		name, master, worker, own string
		uid                       uint32
		want                      Reason
	}{
		{"the master's", "/a", "/a", "/a", 5001, ReasonStray},
		{"the master's, beside no worker", "/a", "/b", "/a", 5001, ReasonStray},
		{"a worker's, of a master elsewhere", "/a", "/b", "/b", 5001, ""},
		{"a worker's, of a master elsewhere, as root", "/a", "/b", "/b", 0, ReasonStray},
		{"another", "/a", "/a", "/c", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := masterOf(100, 1, "/c")
			worker := under(m, standing(101, 2, 102, "/c", []uint16{80}))
			p := standing(301, 2000, tt.uid, "/x", nil)
			p.Signals = inspect.SignalMasks{Caught: handlersNone}
			m.Cgroup, worker.Cgroup, p.Cgroup = tt.master, tt.worker, tt.own
			m.Unit, worker.Unit, p.Unit = "h.service", "h.service", "h.service"
			if got := refusalWith(101, m, worker, p); got != tt.want {
				t.Errorf("refusal %q, want %q", got, tt.want)
			}
		})
	}
}

// What only starts, or is a stray, ties nothing more to its instance: only what is
// ready, and a master, does.
func TestAStrayTiesNothingToItsInstance(t *testing.T) {
	m := masterOf(100, 1, "/c")
	worker := under(m, standing(101, 2, 102, "/c", []uint16{80}))
	program := under(m, standing(102, 3, 0, "/program", nil))
	p := standing(301, 2000, 0, "/program", nil)
	p.Signals = inspect.SignalMasks{Caught: handlersNone}
	if got := refusalWith(101, m, worker, program, p); got != "" {
		t.Errorf("what has the arguments of a program refuses the instance for %q", got)
	}
	program.Command, program.Unit, program.Cgroup, p.Unit, p.Cgroup = command("/other", nil), "p.service", "/p", "p.service", "/p"
	if got := refusalWith(101, m, worker, program, p); got != "" {
		t.Errorf("what is in the cgroup of a program refuses the instance for %q", got)
	}
}

// What is of no instance and not ready is shown as starting; a check of a configuration
// never starts, and is a stray.
func TestACheckOfAConfigurationNeverStarts(t *testing.T) {
	for checks, want := range map[bool]kind{false: kindStarting, true: kindStray} {
		p := standing(301, 2000, 0, "/x", nil)
		p.Signals, p.Command.CheckOnly = inspect.SignalMasks{Caught: handlersNone}, checks
		g := Groups(inspect.Snapshot{Processes: []*inspect.Process{p}}, Past{})[0]
		if g.Model != "" || g.Members[0].kind != want {
			t.Errorf("kind %v where it checks only: %v, want %v", g.Members[0].kind, checks, want)
		}
	}
}

// Of a stranger's unreadable processes one stands in the way of an instance: there may
// be thousands. A process of root's stands there besides, and a readable one makes no
// difference.
func TestOneUnreadableStrangerInTheWayIsEnough(t *testing.T) {
	daemon := standing(201, 1000, 102, "/d", []uint16{80})
	g := &Group{Model: ModelDaemon}
	g.add(daemon, kindWorker, nil)
	groups, last := []*Group{g}, standing(304, 2004, 102, "/x", nil)
	unread := func(pid int, stranger bool) *inspect.Process {
		p := standing(pid, 2000, 102, "/x", nil)
		p.Stranger, p.Err = stranger, errRead
		return p
	}
	g.near = []Member{{last, kindStarting, nil}} // that of a process which could be read
	first, second, other := unread(301, true), unread(302, true), unread(303, false)
	t.Run("in order", func(t *testing.T) {
		look := newTree([]*inspect.Process{daemon, first, second, other, last})
		for _, p := range []*inspect.Process{first, second, other} {
			standNear(groups, p, look)
		}
		var got []int
		for _, m := range g.near {
			got = append(got, m.PID)
		}
		if want := []int{304, 301, 303}; len(got) != 3 || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("near are %v, want %v", got, want)
		}
	})
	t.Run("in the way of the next instance as well", func(t *testing.T) {
		next := &Group{Model: ModelDaemon}
		next.add(standing(202, 1000, 102, "/e", []uint16{81}), kindWorker, nil)
		standNear([]*Group{g, next}, second, newTree([]*inspect.Process{daemon, second}))
		if len(next.near) != 1 {
			t.Errorf("%d near the next, want 1: that one is not the first of those that are in the way already", len(next.near))
		}
	})
}
