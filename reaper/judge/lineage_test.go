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

// told is what root's state remembers of processes that have one heir.
func told(heir Heir, processes ...*inspect.Process) Past {
	root, memory := uint32(0), Memory{}
	for _, p := range processes {
		memory[p.ProcID] = Seen{Told: true, Heir: heir}
	}
	return Past{Owner: &root, Memory: memory}
}

// The young master has lost its list, as by a re-exec. What is left is the memory of the
// old master, or of all its workers. No memory puts a master under an older one.
func TestWhatIsRememberedReplacesAMaster(t *testing.T) {
	together, apart := []int{100, 101, 102, 200, 201}, []int{100, 101, 102}
	for _, tt := range []struct {
		name   string
		past   func(old, first, second, young *inspect.Process) Past
		change func(old, first, second, young *inspect.Process)
		want   []int
	}{
		{"the master itself", func(old, _, _, young *inspect.Process) Past { return told(heirOf(young), old) }, nil, together},
		{"all of its workers", func(_, first, second, young *inspect.Process) Past { return told(heirOf(young), first, second) }, nil, together},
		{"one worker of two, and the other is the older", func(_, _, second, young *inspect.Process) Past { return told(heirOf(young), second) }, nil, apart},
		{"all of its workers, and one listens", func(_, first, second, young *inspect.Process) Past { return told(heirOf(young), first, second) },
			func(_, first, _, _ *inspect.Process) {
				first.Sockets.Listening = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:80", Port: 80, Inode: 80}}
			}, apart},
		{"the worker, beside an older program", func(_, _, second, young *inspect.Process) Past { return told(heirOf(young), second) },
			func(_, first, _, _ *inspect.Process) { first.HAProxy = false }, together},
		{"an heir under a master of the same tick", func(old, _, _, young *inspect.Process) Past {
			return told(Heir{inspect.ProcID{PID: 201, StartTicks: 1001}, 201}, old)
		},
			func(old, first, second, _ *inspect.Process) {
				old.StartTicks, first.StartTicks, second.StartTicks = 1000, 1000, 1000
			}, apart},
		{"an heir under an older master", func(old, _, _, young *inspect.Process) Past {
			return told(Heir{inspect.ProcID{PID: 201, StartTicks: 1001}, 201}, old)
		},
			func(old, first, second, young *inspect.Process) {
				old.StartTicks, first.StartTicks, second.StartTicks, young.StartTicks = 1000, 1000, 1000, 999
			}, apart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, old, young := masterOf(50, 0, "/c"), masterOf(100, 1, "/c"), masterOf(200, 1000, "/c")
			first, second := under(old, standing(101, 2, 102, "/c", nil)), under(old, standing(102, 3, 102, "/c", nil))
			active := under(young, standing(201, 1001, 102, "/c", []uint16{81}))
			if tt.change != nil {
				tt.change(old, first, second, young)
			}
			want := tt.want
			if !first.HAProxy {
				want = slices.DeleteFunc(slices.Clone(want), func(pid int) bool { return pid == 101 })
			}
			var got []int
			for _, pid := range instanceWith(102, tt.past(old, first, second, young), before, old, young, first, second, active) {
				if pid != 101 || first.HAProxy {
					got = append(got, pid)
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("the worker is with %v, want %v", got, want)
			}
		})
	}
}

// What names the heir that has left is the heir's heir. It is younger than the heir, of
// the same user or root's, and the youngest of several.
func TestTheYoungestThatNamesAnHeirIsItsHeir(t *testing.T) {
	heir := Heir{inspect.ProcID{PID: 150, StartTicks: 500}, 150}
	namer := func(pid int, start uint64, uid uint32) *inspect.Process {
		return standing(pid, start, uid, "/new"+portText(uint16(80+uid%2)), []uint16{80}, 150)
	}
	for _, tt := range []struct {
		name   string
		namers []*inspect.Process
		want   []int
	}{
		{"its own user's", []*inspect.Process{namer(201, 501, 102)}, []int{101, 201}},
		{"root's", []*inspect.Process{namer(301, 501, 0)}, []int{101, 301}},
		{"one of the heir's tick", []*inspect.Process{namer(201, 500, 102)}, nil},
		{"one that is older than the heir", []*inspect.Process{namer(201, 499, 102)}, nil},
		{"root's, which is younger than its own", []*inspect.Process{namer(201, 1000, 102), namer(301, 1001, 0)}, []int{101, 301}},
		{"its own, which is younger than root's", []*inspect.Process{namer(301, 1000, 0), namer(201, 1001, 102)}, []int{101, 201}},
		{"its own, of the tick of root's", []*inspect.Process{namer(201, 1000, 102), namer(301, 1000, 0)}, []int{101, 201}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := standing(101, 2, 102, "/old", nil)
			if got := instanceWith(101, told(heir, old), append(tt.namers, old)...); !slices.Equal(got, tt.want) {
				t.Errorf("it is with %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("root's master is no heir of another user's", func(t *testing.T) {
		old, young := masterOf(100, 1, "/old"), masterOf(200, 1000, "/new", 150)
		old.UID = 102
		got := instanceWith(101, told(heir, old), old, under(old, standing(101, 2, 102, "/old", nil)), young, under(young, standing(201, 1001, 102, "/new", []uint16{80})))
		if want := []int{100, 101}; !slices.Equal(got, want) {
			t.Errorf("the worker is with %v, want %v", got, want)
		}
	})
}

// A worker may write its own arguments. Its list replaces a master only where its user
// could signal all workers of that master.
func TestAWorkersOwnListReplacesAMasterOfItsUsersWorkers(t *testing.T) {
	for _, tt := range []struct {
		name string
		uid  uint32
		of   uint32 // of the workers of the older master
		want []int
	}{
		{"the same user", 102, 102, []int{100, 101, 102, 200, 201}},
		{"root", 0, 102, []int{100, 101, 102, 200, 201}},
		{"another user", 5001, 102, []int{100, 101, 102}},
		{"no known user", inspect.NoUID, inspect.NoUID, []int{100, 101, 102}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, young := masterOf(100, 1, "/c"), masterOf(200, 1000, "/c")
			program := under(old, standing(102, 3, 7, "/program", nil)) // its user does not count
			got := instanceWith(101, Past{}, old, under(old, standing(101, 2, tt.of, "/c", nil)), program, young, under(young, standing(201, 1001, tt.uid, "/c", []uint16{80}, 100)))
			if slices.Sort(got); !slices.Equal(got, tt.want) {
				t.Errorf("the worker is with %v, want %v", got, tt.want)
			}
		})
	}
}

// A list makes a master the younger one of another only where a worker of it listens,
// was told itself, or could not be read. Another user's master replaces nothing.
func TestAMasterThatDoesNotServeReplacesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(young, worker *inspect.Process)
		want   []int
	}{
		{"its worker listens", func(_, worker *inspect.Process) {
			worker.Sockets.Listening = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:81", Port: 81, Inode: 81}}
		}, []int{100, 101, 200, 201}},
		{"its worker was read, and does not listen", func(_, _ *inspect.Process) {}, []int{100, 101}},
		{"its worker could not be read", func(_, worker *inspect.Process) { worker.Err = errRead; worker.Signals = inspect.SignalMasks{} }, []int{100, 101, 200, 201}},
		{"another user's, whose worker could not be read", func(young, worker *inspect.Process) {
			young.UID, worker.UID, worker.Err, worker.Signals = 5001, 5001, errRead, inspect.SignalMasks{}
		}, []int{100, 101}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old, young := masterOf(100, 1, "/c"), masterOf(200, 1000, "/c", 100)
			worker := under(young, standing(201, 1001, 102, "/c", nil, 100))
			tt.change(young, worker)
			got := instanceWith(101, Past{}, old, under(old, standing(101, 2, 102, "/c", []uint16{80})), young, worker)
			if slices.Sort(got); !slices.Equal(got, tt.want) {
				t.Errorf("the worker is with %v, want %v", got, tt.want)
			}
		})
	}
}

// One listener of any kind is enough, whatever else there is.
func TestWhatHoldsAListenerOfAnyKindMayServe(t *testing.T) {
	one := []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:80"}}
	for _, s := range []*inspect.Sockets{nil, {Listening: one}, {Paused: one}, {Bound: one}, {Listening: one, Paused: one}, {Paused: one, Bound: one}, {Listening: one, Bound: one}} {
		if !mayServe(&inspect.Process{Sockets: s}) {
			t.Errorf("%+v may not serve", s)
		}
	}
	if mayServe(&inspect.Process{Sockets: &inspect.Sockets{Proof: true, Unused: one}}) {
		t.Error("what holds no listener may serve")
	}
}
