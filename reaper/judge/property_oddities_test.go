package judge

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// What may be odd about a world.

var errRead = errors.New("input/output error")

var oddities = []func(w *world, p, q *inspect.Process){
	// What it is, by its signals and its state.
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksStarting },
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksReloading },
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksMaster },
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksWorker },
	func(_ *world, p, _ *inspect.Process) { p.Signals.Blocked |= 1 << (unix.SIGUSR1 - 1) },
	func(_ *world, p, _ *inspect.Process) { p.State = 'T' },
	func(_ *world, p, _ *inspect.Process) { p.State = 'D' },
	func(_ *world, p, _ *inspect.Process) { p.HAProxy = false },

	// Its sockets.
	func(_ *world, p, _ *inspect.Process) { p.Sockets = nil },
	func(_ *world, p, _ *inspect.Process) { change(p, func(s *inspect.Sockets) { s.Proof = !s.Proof }) },
	func(_ *world, p, _ *inspect.Process) { change(p, func(s *inspect.Sockets) { s.Listening = nil }) },
	func(_ *world, p, _ *inspect.Process) {
		change(p, func(s *inspect.Sockets) {
			s.Listening = []inspect.Listener{{Network: "unix", Address: "/run/x.sock", Inode: 9}}
		})
	},
	func(_ *world, p, _ *inspect.Process) {
		change(p, func(s *inspect.Sockets) {
			s.Paused = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 443}}
		})
	},
	func(_ *world, p, _ *inspect.Process) { bind(p, 514, 1514) },
	func(_ *world, p, q *inspect.Process) { bind(p, 40000, 77); bind(q, 40000, 77) },
	func(_ *world, p, _ *inspect.Process) { unused(p, 88) },
	func(_ *world, p, q *inspect.Process) { unused(p, 88); unused(q, 88) },
	func(_ *world, p, _ *inspect.Process) { unused(p, 443) }, // which the active may hold
	func(_ *world, p, _ *inspect.Process) {
		change(p, func(s *inspect.Sockets) { s.Unclassified = []string{"socket of address family 40"} })
	},
	func(_ *world, p, _ *inspect.Process) { change(p, func(s *inspect.Sockets) { s.Apart = 7 }) },

	// Whose it is.
	func(w *world, p, q *inspect.Process) { w.adopt(p, q.PID) },
	func(w *world, p, q *inspect.Process) { w.adopt(p, q.PPID) },
	func(w *world, p, _ *inspect.Process) { w.adopt(p, 1) },
	func(_ *world, p, _ *inspect.Process) { p.UID = 0 },
	func(_ *world, p, _ *inspect.Process) { p.UID = uidStranger },
	func(_ *world, p, q *inspect.Process) { p.UID = q.UID },
	func(_ *world, p, _ *inspect.Process) { p.NetNS = 77 },
	func(w *world, p, _ *inspect.Process) { w.moveInto(p, p.NSPID) },
	func(w *world, p, q *inspect.Process) { w.moveInto(p, q.NSPID) },
	func(_ *world, p, q *inspect.Process) { p.Session = q.PID },
	func(_ *world, p, q *inspect.Process) { p.Cgroup, p.Unit = q.Cgroup, q.Unit },
	func(_ *world, p, _ *inspect.Process) { p.Cgroup, p.Unit = "/system.slice/else.service", "else.service" },
	func(_ *world, p, _ *inspect.Process) {
		p.Cgroup, p.Unit = "/user.slice/session-1.scope", "session-1.scope"
	},

	// What its arguments say.
	func(_ *world, p, q *inspect.Process) { p.Command = q.Command },
	func(_ *world, p, q *inspect.Process) { p.Command = withList(p.Command, []int{q.PID}) },
	func(_ *world, p, q *inspect.Process) { p.Command = withList(q.Command, p.Command.Finish) },
	func(_ *world, p, _ *inspect.Process) { p.Command = withList(p.Command, nil) },
	func(w *world, p, _ *inspect.Process) {
		var all []int
		for _, q := range w.procs {
			all = append(all, q.PID)
		}
		p.Command = withList(p.Command, all)
	},
	func(_ *world, p, _ *inspect.Process) {
		p.Command = inspect.ParseCommand([]byte("haproxy\x00-c\x00-f\x00" + p.Command.Config[0]))
	},

	// When it started.
	func(w *world, p, q *inspect.Process) { w.restart(p, q.StartTicks) },
	func(w *world, p, q *inspect.Process) { w.restart(p, q.StartTicks+1) },
	func(w *world, p, q *inspect.Process) { w.restart(p, q.StartTicks-1) },
	func(w *world, p, _ *inspect.Process) { w.restart(p, uint64(w.boottime/(10*time.Millisecond))) },

	// What others say of it.
	func(_ *world, p, _ *inspect.Process) { p.CLI = &inspect.CLIAnswer{Stopping: true} },
	func(_ *world, p, _ *inspect.Process) { p.CLI = &inspect.CLIAnswer{Stopping: false} },
	func(_ *world, p, _ *inspect.Process) { p.CLI = &inspect.CLIAnswer{Stopping: true, CurrConns: 2} },
	func(_ *world, p, _ *inspect.Process) { p.CLI = &inspect.CLIAnswer{Stopping: true, Listeners: 1} },
	func(_ *world, p, q *inspect.Process) { // what a master forgot to close
		p.CLI = &inspect.CLIAnswer{Stopping: true, Listeners: 1}
		bind(p, 40000, 77)
		bind(q, 40000, 77)
	},
	func(_ *world, p, _ *inspect.Process) {
		p.CLI = &inspect.CLIAnswer{Stopping: true, CurrConns: 1, Sockets: []string{"unix@" + pathActive, "ipv4@0.0.0.0:22", "sockpair@4"}}
	},
	func(w *world, p, _ *inspect.Process) { w.memory[p.ProcID] = Seen{Stranded: true} },
	func(w *world, p, _ *inspect.Process) { w.memory[p.ProcID] = Seen{Residual: w.boottime - time.Minute} },
	func(w *world, p, _ *inspect.Process) {
		w.memory[p.ProcID] = Seen{Stranded: true, Residual: w.boottime - time.Hour}
	},
	func(w *world, p, _ *inspect.Process) {
		w.memory[p.ProcID] = Seen{Residual: w.boottime - time.Minute, Signals: []string{"SIGTERM"}}
	},

	// What could not be read.
	func(_ *world, p, _ *inspect.Process) { p.Err = errRead },
	func(_ *world, p, _ *inspect.Process) { p.Err, p.Sockets = errRead, nil },
	func(w *world, _, _ *inspect.Process) { w.incomplete = true },

	// One more like it: of its parent, its own child, or nobody's.
	func(w *world, p, q *inspect.Process) { w.double(p, p.PPID, q.StartTicks+200) },
	func(w *world, p, q *inspect.Process) { w.double(p, p.PID, max(p.StartTicks, q.StartTicks)+1) },
	func(w *world, p, q *inspect.Process) { w.double(p, 1, q.StartTicks) },
	func(w *world, p, q *inspect.Process) { w.double(p, 1, q.StartTicks+1).Signals = masksStarting },
	func(w *world, p, q *inspect.Process) { w.double(p, 1, q.StartTicks+1).UID = uidStranger },

	// What has lost its parent, its file's name, or its handlers.
	func(w *world, p, q *inspect.Process) { p.Forked, p.Session = true, q.PID; w.adopt(p, 1) },
	func(_ *world, p, _ *inspect.Process) { p.Forked, p.HAProxy = true, false },
	func(_ *world, p, _ *inspect.Process) { p.Signals = inspect.SignalMasks{Caught: 0x402205} }, // it binds
	func(_ *world, p, _ *inspect.Process) { p.Signals = inspect.SignalMasks{} },                 // on its way out

	// What an earlier pass saw, and whose state that is in.
	func(w *world, p, q *inspect.Process) { w.remember(p, q) },
	func(w *world, p, q *inspect.Process) { w.remember(p, q); w.owner = uidWorkers },
	func(w *world, p, q *inspect.Process) { w.remember(p, q); w.owner = uidStranger },

	func(w *world, p, q *inspect.Process) { w.loseLists(); w.remember(p, q) },
	func(w *world, p, _ *inspect.Process) { w.loseLists(); p.CLI = &inspect.CLIAnswer{Stopping: true} },

	// A second master, which replaces the first by its list, or may not.
	func(w *world, p, q *inspect.Process) { w.second(p, q, 0) },
	func(w *world, p, q *inspect.Process) { w.second(p, q, uidStranger) },
}

// remember has p told to stop while q was active, or a master while q replaced it.
func (w *world) remember(p, q *inspect.Process) {
	if hasMasterHandlers(p) != hasMasterHandlers(q) {
		return
	}
	w.memory[p.ProcID] = Seen{Told: true, Heir: heirOf(q), Superseded: w.boottime - time.Hour}
}

// loseLists takes all lists away, as when the processes that had them have left.
func (w *world) loseLists() {
	for _, p := range w.procs {
		p.Command = withList(p.Command, nil)
	}
}

// withList is a command with other pids in its list.
func withList(c inspect.Command, finish []int) inspect.Command {
	if len(c.Config) == 0 {
		return c
	}
	options := c.Args[:slices.Index(c.Args, "-f")]
	return commandWith(c.Config[0], finish, options...)
}

// second starts a master beside that of a process, with a worker that listens.
func (w *world) second(p, q *inspect.Process, uid uint32) {
	i := slices.IndexFunc(w.procs, func(m *inspect.Process) bool { return m.PID == p.PPID })
	if i < 0 {
		return
	}
	m := w.double(w.procs[i], 1, max(p.StartTicks, q.StartTicks)+100)
	m.UID, m.Command = uid, withList(m.Command, []int{p.PPID})
	d := w.double(p, m.PID, m.StartTicks+1)
	d.Command, d.Session = m.Command, m.PID
	change(d, func(s *inspect.Sockets) {
		s.Listening = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 4430}}
	})
}

// change changes the sockets of a process, if they were looked at.
func change(p *inspect.Process, to func(*inspect.Sockets)) {
	if p.Sockets != nil {
		to(p.Sockets)
	}
}

// unused gives a process a socket in LISTEN that no HAProxy accepts through.
func unused(p *inspect.Process, inode uint64) {
	change(p, func(s *inspect.Sockets) {
		s.Inodes[inode] = true
		s.Unused = append(s.Unused, inspect.Listener{Network: "tcp", Address: "0.0.0.0:7004", Port: 7004, Inode: inode})
	})
}

// bind gives a process a datagram listener.
func bind(p *inspect.Process, port uint16, inode uint64) {
	change(p, func(s *inspect.Sockets) {
		s.Inodes[inode] = true
		s.Bound = append(s.Bound, inspect.Listener{Network: "udp", Address: "0.0.0.0:" + strconv.Itoa(int(port)), Port: port, Inode: inode})
	})
}

// moveInto puts a process into another PID namespace, under a pid that no other
// process has there.
func (w *world) moveInto(p *inspect.Process, pid int) {
	if !slices.ContainsFunc(w.procs, func(q *inspect.Process) bool { return q.PIDNS == 78 && q.NSPID == pid }) {
		p.PIDNS, p.NSPID = 78, pid
	}
}

// adopt gives a process another parent. No kernel shows two that are each
// other's.
func (w *world) adopt(p *inspect.Process, ppid int) {
	before := p.PPID
	p.PPID = ppid
	if w.loops(p) {
		p.PPID = before
	}
}

func (w *world) loops(p *inspect.Process) bool {
	q := p
	for range len(w.procs) + 1 {
		i := slices.IndexFunc(w.procs, func(o *inspect.Process) bool { return o.PID == q.PPID })
		if i < 0 {
			return false
		}
		q = w.procs[i]
	}
	return true
}

func (w *world) restart(p *inspect.Process, start uint64) {
	if seen, known := w.memory[p.ProcID]; known {
		delete(w.memory, p.ProcID)
		w.memory[inspect.ProcID{PID: p.PID, StartTicks: start}] = seen
	}
	p.StartTicks = start
}

// double adds a copy of a process under a pid of its own.
func (w *world) double(p *inspect.Process, ppid int, start uint64) *inspect.Process {
	c := clone(p)
	c.PID = 1000 + len(w.procs)
	if ppid != p.PID { // else of the same session
		c.Session = c.PID
	}
	c.NSPID, c.PPID, c.StartTicks, c.CLI = c.PID, ppid, start, nil
	w.procs = append(w.procs, c)
	return c
}
