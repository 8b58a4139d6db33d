package reaper

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Signal masks as fakehost has them, from HAProxy 2.6.
var (
	masksMaster    = inspect.SignalMasks{Caught: 0x716a03}
	masksWorker    = inspect.SignalMasks{Caught: 0x702205}
	masksReloading = inspect.SignalMasks{Blocked: 0x310a01, Caught: 0x100000000}
	masksStarting  = inspect.SignalMasks{Caught: 0x100000000}
)

const (
	uidWorkers  = 102
	uidStranger = 5001 // neither root nor anybody that an instance's workers run as
)

// world is what a property is about: the facts of one look, as drawn, with the
// clock, what earlier passes remember, and what the configuration names.
type world struct {
	procs      []*inspect.Process
	boottime   time.Duration
	incomplete bool
	configured *inspect.ConfiguredPorts // of every instance; nil when nobody read it
	memory     Memory
}

// drawWorld draws one or two services of either model, mostly sound, and then up
// to four oddities.
func drawWorld(t *rapid.T) *world {
	w := &world{boottime: 2 * time.Hour, memory: Memory{}}
	for i := range rapid.IntRange(1, 2).Draw(t, "instances") {
		w.addInstance(t, i)
	}
	for range rapid.IntRange(0, 4).Draw(t, "oddities") {
		w.addOddity(t)
	}
	w.sort()
	return w
}

// sort brings the processes into the order that a Snapshot has.
func (w *world) sort() { slices.SortFunc(w.procs, compareStart) }

// gaps are the ticks from one generation to the next: none, the edges of the
// second that nbproc is given, and more.
var gaps = []uint64{6000, 6000, 6000, 500, 101, 100, 99, 1, 0}

func (w *world) addInstance(t *rapid.T, i int) {
	shape := rapid.IntRange(0, 15).Draw(t, "shape")
	daemon, siblings := shape&1 != 0, 1+(shape&14)/14
	ppid, pid := 1, 100*(i+1)
	config := "/etc/" + strconv.Itoa(i) + ".cfg"
	unit := "haproxy" + strconv.Itoa(i) + ".service"
	start := uint64(60000 + 7*i)
	if !daemon {
		ppid = pid
		w.procs = append(w.procs, w.process(pid, 1, start, 0, masksMaster, config, unit, nil))
	}
	var finish []int
	generations := rapid.IntRange(1, 4).Draw(t, "generations")
	for g := range generations {
		start += gaps[rapid.IntRange(0, len(gaps)-1).Draw(t, "gap")]
		var pids []int
		for range siblings {
			pid++
			p := w.process(pid, ppid, start, uidWorkers, masksWorker, config, unit, finish)
			if g == generations-1 {
				p.Sockets.Proof = false
				p.Sockets.Listening = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 443}}
			}
			w.procs = append(w.procs, p)
			pids = append(pids, pid)
		}
		finish = append(finish, pids...)
	}
}

func (w *world) process(pid, ppid int, start uint64, uid uint32, masks inspect.SignalMasks, config, unit string, finish []int) *inspect.Process {
	p := &inspect.Process{
		ProcID: inspect.ProcID{PID: pid, StartTicks: start}, NSPID: pid, PPID: ppid, Session: pid, State: 'S', UID: uid, HAProxy: true,
		Exe: "/usr/sbin/haproxy", Signals: masks, PIDNS: 1, NetNS: 2, MntNS: 3, Cgroup: "/system.slice/" + unit, Unit: unit,
		Sockets: &inspect.Sockets{Proof: true, Inodes: map[uint64]bool{}},
	}
	p.Command = command(config, finish)
	return p
}

func command(config string, finish []int) inspect.Command {
	text := "haproxy\x00-f\x00" + config
	for i, pid := range finish {
		if i == 0 {
			text += "\x00-sf"
		}
		text += "\x00" + strconv.Itoa(pid)
	}
	return inspect.ParseCommand([]byte(text))
}

// addOddity draws a process, another one, and what is odd about the first.
func (w *world) addOddity(t *rapid.T) {
	draw := func(label string) *inspect.Process {
		return w.procs[rapid.IntRange(0, len(w.procs)-1).Draw(t, label)]
	}
	p, q := draw("process"), draw("other")
	oddities[rapid.IntRange(0, len(oddities)-1).Draw(t, "oddity")](w, p, q)
}

var errRead = errors.New("input/output error")

var oddities = []func(w *world, p, q *inspect.Process){
	// What it is, by its signals and its state.
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksStarting },
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksReloading },
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksMaster },
	func(_ *world, p, _ *inspect.Process) { p.Signals = masksWorker },
	func(_ *world, p, _ *inspect.Process) { p.Signals.Blocked |= 1 << (unix.SIGUSR1 - 1) },
	func(_ *world, p, _ *inspect.Process) { p.State = 'T' },
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
	func(_ *world, p, _ *inspect.Process) { bind(p, 40000, 1<<20+uint64(p.PID)) },
	func(w *world, p, q *inspect.Process) { // a log client's, read and not named
		w.configured = &inspect.ConfiguredPorts{Ports: map[uint16]bool{514: true}}
		bind(p, uint16(40000+p.PID), 1<<20+uint64(p.PID))
	},
	func(_ *world, p, q *inspect.Process) { bind(p, 40000, 77); bind(q, 40001, 77) },
	func(_ *world, p, _ *inspect.Process) {
		change(p, func(s *inspect.Sockets) { s.Unclassified = []string{"socket of address family 40"} })
	},
	func(w *world, _, _ *inspect.Process) { w.configured = &inspect.ConfiguredPorts{Unknown: true} },
	func(w *world, _, _ *inspect.Process) {
		w.configured = &inspect.ConfiguredPorts{Ports: map[uint16]bool{40000: true}}
	},

	// Whose it is.
	func(w *world, p, q *inspect.Process) { w.adopt(p, q.PID) },
	func(w *world, p, q *inspect.Process) { w.adopt(p, q.PPID) },
	func(w *world, p, _ *inspect.Process) { w.adopt(p, 1) },
	func(_ *world, p, _ *inspect.Process) { p.UID = 0 },
	func(_ *world, p, _ *inspect.Process) { p.UID = uidStranger },
	func(_ *world, p, q *inspect.Process) { p.UID = q.UID },
	func(_ *world, p, _ *inspect.Process) { p.NetNS = 77 },
	func(_ *world, p, _ *inspect.Process) { p.PIDNS = 78 },
	func(_ *world, p, q *inspect.Process) { p.NSPID = q.NSPID },
	func(_ *world, p, q *inspect.Process) { p.Session = q.PID },
	func(_ *world, p, q *inspect.Process) { p.Cgroup, p.Unit = q.Cgroup, q.Unit },
	func(_ *world, p, _ *inspect.Process) { p.Cgroup, p.Unit = "/system.slice/else.service", "else.service" },
	func(_ *world, p, _ *inspect.Process) {
		p.Cgroup, p.Unit = "/user.slice/session-1.scope", "session-1.scope"
	},

	// What its arguments say.
	func(_ *world, p, q *inspect.Process) { p.Command = q.Command },
	func(_ *world, p, q *inspect.Process) { p.Command = command(p.Command.Config[0], []int{q.PID}) },
	func(_ *world, p, q *inspect.Process) { p.Command = command(q.Command.Config[0], p.Command.Finish) },
	func(_ *world, p, _ *inspect.Process) { p.Command = command(p.Command.Config[0], nil) },
	func(w *world, p, _ *inspect.Process) {
		var all []int
		for _, q := range w.procs {
			all = append(all, q.PID)
		}
		p.Command = command(p.Command.Config[0], all)
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
	func(w *world, p, _ *inspect.Process) { w.memory[p.ProcID] = Seen{Stranded: true} },
	func(w *world, p, _ *inspect.Process) { w.memory[p.ProcID] = Seen{Residual: w.boottime - time.Minute} },
	func(w *world, p, _ *inspect.Process) {
		w.memory[p.ProcID] = Seen{Stranded: true, Residual: w.boottime - time.Hour}
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
}

// change changes the sockets of a process, if they were looked at.
func change(p *inspect.Process, to func(*inspect.Sockets)) {
	if p.Sockets != nil {
		to(p.Sockets)
	}
}

// bind gives a process an unconnected UDP socket.
func bind(p *inspect.Process, port uint16, inode uint64) {
	change(p, func(s *inspect.Sockets) {
		s.Inodes[inode] = true
		s.Bound = append(s.Bound, inspect.Listener{Network: "udp", Address: "0.0.0.0:" + strconv.Itoa(int(port)), Port: port, Inode: inode})
	})
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

func clone(p *inspect.Process) *inspect.Process {
	c := *p
	if p.Sockets != nil {
		s := *p.Sockets
		s.Bound = slices.Clone(s.Bound)
		s.Inodes = map[uint64]bool{}
		for inode := range p.Sockets.Inodes {
			s.Inodes[inode] = true
		}
		c.Sockets = &s
	}
	return &c
}

// clone is a world that can be changed without changing this one.
func (w *world) clone() *world {
	c := *w
	c.procs = nil
	for _, p := range w.procs {
		c.procs = append(c.procs, clone(p))
	}
	c.memory = Memory{}
	for id, seen := range w.memory {
		c.memory[id] = seen
	}
	return &c
}

// look is the world as a pass would have it before Classify.
func (w *world) look() Look {
	s := inspect.Snapshot{Time: time.Unix(1_800_000_000, 0), Boottime: w.boottime, NetNS: 2, MntNS: 3, Processes: w.procs}
	if w.incomplete {
		s.Incomplete = []error{errRead}
	}
	l := Look{Snapshot: s, Groups: Group(s), EphemeralLow: 32768, EphemeralHigh: 60999, Configured: map[string]inspect.ConfiguredPorts{}}
	if w.configured != nil {
		for _, g := range l.Groups {
			l.Configured[g.key] = *w.configured
		}
	}
	return l
}

// decide is the whole of the pure half.
func (w *world) decide(policy Policy) Report { return Decide(Classify(w.look(), w.memory), policy) }

// targets are the processes that a report would have terminated.
func targets(r Report) []inspect.ProcID {
	list := []inspect.ProcID{}
	for _, in := range r.Instances {
		for _, p := range in.Processes {
			if p.Verdict == VerdictTerminate {
				list = append(list, p.ProcID)
			}
		}
	}
	slices.SortFunc(list, func(a, b inspect.ProcID) int { return a.PID - b.PID })
	return list
}

// subset tells whether all of a are in b.
func subset(a, b []inspect.ProcID) bool {
	return !slices.ContainsFunc(a, func(id inspect.ProcID) bool { return !slices.Contains(b, id) })
}

// drawDeadline draws a deadline, most of them none.
func drawDeadline(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 0, 0, time.Minute, 65 * time.Minute, 3 * time.Hour}).Draw(t, "deadline")
}
