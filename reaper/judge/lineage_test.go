package judge

import (
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// What the oracle and the product once differed on.

// standing is a ready process without a master, of a user, that listens on ports.
func standing(pid int, start uint64, uid uint32, config string, ports []uint16, finish ...int) *inspect.Process {
	p := child(pid, start, handlersReady)
	p.PPID, p.UID, p.Session, p.Command = 1, uid, pid, command(config, finish)
	p.Sockets = &inspect.Sockets{Proof: true, Inodes: map[uint64]bool{}, Ends: ends{}}
	for _, port := range ports {
		p.Sockets.Listening = append(p.Sockets.Listening, inspect.Listener{Network: "tcp", Address: "0.0.0.0:" + portText(port), Port: port, Inode: uint64(pid)})
	}
	return p
}

func portText(port uint16) string { return map[uint16]string{80: "80", 81: "81"}[port] }

// under makes a process the worker of a master.
func under(master, p *inspect.Process) *inspect.Process {
	p.PPID = master.PID
	return p
}

func masterOf(pid int, start uint64, config string, finish ...int) *inspect.Process {
	m := standing(pid, start, 0, config, nil, finish...)
	m.Signals.Caught = handlersMaster
	return m
}

// instanceWith are the pids of the instance that a process is in, nil for none.
func instanceWith(pid int, past Past, processes ...*inspect.Process) []int {
	slices.SortFunc(processes, compareStart)
	for _, g := range Groups(inspect.Snapshot{Processes: processes}, past) {
		var pids []int
		for _, m := range g.Members {
			if m.kind != kindLeft { // only shown there
				pids = append(pids, m.PID)
			}
		}
		if g.Model != "" && slices.Contains(pids, pid) {
			return pids
		}
	}
	return nil
}

// Two masters may have been told to replace the same one, at once. That makes neither
// the other's heir.
func TestAMasterIsReplacedOnce(t *testing.T) {
	old, first, second := masterOf(100, 1, "/c"), masterOf(200, 1000, "/c", 100), masterOf(300, 2000, "/c", 100)
	processes := []*inspect.Process{
		old, under(old, standing(101, 2, 102, "/c", nil)),
		first, under(first, standing(201, 1001, 102, "/c", []uint16{80}, 100)),
		second, under(second, standing(301, 2001, 102, "/c", []uint16{81}, 100)),
	}
	if got, want := instanceWith(101, Past{}, processes...), []int{100, 101, 200, 201}; !slices.Equal(got, want) {
		t.Errorf("the replaced worker is with %v, want %v", got, want)
	}
	if got, want := instanceWith(301, Past{}, processes...), []int{300, 301}; !slices.Equal(got, want) {
		t.Errorf("the other master's worker is with %v, want %v", got, want)
	}
}

// Any user may start a process that names a pid which has left.
func TestAStrangersListHidesNoHeir(t *testing.T) {
	root := uint32(0)
	told := standing(101, 2, 102, "/old", nil)
	past := Past{Owner: &root, Memory: Memory{told.ProcID: {Told: true, Heir: Heir{inspect.ProcID{PID: 150, StartTicks: 500}, 150}}}}
	active := standing(201, 1000, 102, "/new", []uint16{80}, 150)
	if got, want := instanceWith(101, past, told, active), []int{101, 201}; !slices.Equal(got, want) {
		t.Fatalf("it is with %v, want %v", got, want)
	}
	stranger := standing(301, 2000, 5001, "/new", []uint16{81}, 150)
	if got, want := instanceWith(101, past, told, active, stranger), []int{101, 201}; !slices.Equal(got, want) {
		t.Errorf("beside a stranger's process it is with %v, want %v", got, want)
	}
}

// A worker whose own list names another user's says nothing of it. Its master's may.
func TestAMastersListTellsBesideItsWorkers(t *testing.T) {
	old, young := masterOf(100, 1, "/c"), masterOf(200, 1000, "/c", 100, 101)
	p := Member{under(old, standing(101, 2, 102, "/c", nil)), kindWorker, old}
	n := Member{under(young, standing(201, 1001, 33, "/c", []uint16{80}, 100, 101)), kindWorker, young}
	if !tells(n, p) {
		t.Error("the list of a master of the same user tells nothing")
	}
	young.UID = 5001
	if tells(n, p) {
		t.Error("the list of another user's master tells")
	}
}

// A program of a master has arguments of its own: what listens beside it is not of the
// master's instance.
func TestAProgramTiesNothingToItsMaster(t *testing.T) {
	m := masterOf(100, 1, "/c")
	program := under(m, standing(101, 2, 102, "/other", []uint16{80}))
	daemon := standing(201, 1000, 102, "/c", []uint16{80})
	daemon.Sockets.Listening[0].Inode = program.Sockets.Listening[0].Inode
	if got, want := instanceWith(201, Past{}, m, program, daemon), []int{201}; !slices.Equal(got, want) {
		t.Errorf("the daemon is with %v, want %v", got, want)
	}
}

// Two folders with a relative path each are two services, beside a master too.
func TestADaemonOfAnotherFolderIsNotOfAMaster(t *testing.T) {
	m := masterOf(100, 1, "haproxy.cfg")
	worker := under(m, standing(101, 2, 102, "haproxy.cfg", []uint16{80}))
	daemon := standing(201, 1000, 102, "haproxy.cfg", []uint16{80})
	m.Dir, worker.Dir, daemon.Dir = "/srv/0", "/srv/0", "/srv/1"
	if got, want := instanceWith(201, Past{}, m, worker, daemon), []int{201}; !slices.Equal(got, want) {
		t.Errorf("in another folder it is with %v, want %v", got, want)
	}
	daemon.Dir = "" // it has changed its root
	if got, want := instanceWith(201, Past{}, m, worker, daemon), []int{100, 101, 201}; !slices.Equal(got, want) {
		t.Errorf("from no known folder it is with %v, want %v", got, want)
	}
}

// A fact that could not be read takes nothing out of the way: what may have been
// replaced is refused with what may have replaced it, and so is a child's master.
func TestWhatCouldNotBeReadStandsWhereItMayBelong(t *testing.T) {
	refusal := func(pid int, processes ...*inspect.Process) Reason {
		slices.SortFunc(processes, compareStart)
		s := inspect.Snapshot{Processes: processes}
		for _, in := range Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}).Instances {
			if slices.ContainsFunc(in.Processes, func(p Process) bool { return p.PID == pid }) {
				return in.Refusal
			}
		}
		return ""
	}
	t.Run("a worker of a master that names another", func(t *testing.T) {
		old, young := masterOf(100, 1, "/c"), masterOf(200, 3000, "/c", 100)
		worker := under(young, standing(201, 3001, 0, "/c", []uint16{81}, 100))
		worker.Err, worker.Signals = errRead, inspect.SignalMasks{}
		got := refusal(101, old, young, worker,
			under(old, standing(101, 2, 102, "/c", nil)), under(old, standing(102, 2000, 102, "/c", []uint16{80}, 101)))
		if got != ReasonUnreadable {
			t.Errorf("refusal %q", got)
		}
	})
	t.Run("a master's child that still has its master's handlers", func(t *testing.T) {
		m := masterOf(100, 1, "/c")
		fork := under(m, standing(103, 3000, 33, "/c", nil))
		fork.Signals, fork.Err, fork.Command = m.Signals, errRead, inspect.Command{}
		got := refusal(101, m, fork, under(m, standing(101, 2, 102, "/c", nil)), under(m, standing(102, 2000, 102, "/c", []uint16{80}, 101)))
		if got != ReasonUnreadable {
			t.Errorf("refusal %q", got)
		}
	})
	t.Run("a master's child that runs on from a fork, of a file that was renamed", func(t *testing.T) {
		m := masterOf(100, 1, "/c")
		renamed := under(m, standing(103, 1000, 102, "/c", nil))
		renamed.HAProxy, renamed.Forked, renamed.Err, renamed.Signals = false, true, errRead, inspect.SignalMasks{}
		got := refusal(101, m, renamed, under(m, standing(101, 2, 102, "/c", nil)), under(m, standing(102, 2000, 102, "/c", []uint16{80}, 101)))
		if got != ReasonUnreadable {
			t.Errorf("refusal %q", got)
		}
	})
}

// Each of two services of one supervisor holds the socket that the supervisor gave
// them for their logs.
func TestASocketThatASupervisorPassesMakesNoSiblings(t *testing.T) {
	a, b := standing(201, 1000, 99, "/x.cfg", []uint16{80}), standing(301, 5000, 99, "/x.cfg", []uint16{81})
	for _, p := range []*inspect.Process{a, b} {
		p.Cgroup = "/system.slice/s6.service"
		p.Sockets.Inodes[99] = true
	}
	if got := Youngest([]*inspect.Process{a, b}); len(got) != 1 {
		t.Errorf("%d processes are one generation", len(got))
	}
}
