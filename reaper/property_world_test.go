package reaper

import (
	"slices"
	"strconv"
	"time"

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
// clock and what earlier passes remember.
type world struct {
	procs      []*inspect.Process
	boottime   time.Duration
	incomplete bool
	memory     Memory
	owner      uint32 // of the state

	// What is measured for the policy, nil when it could not be.
	share            *float64
	available, total *uint64
	limit            *inspect.MemoryLimit
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
	w.drawHost(t)
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
				p.Sockets.Listening = []inspect.Listener{
					{Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 443},
					{Network: "tcp", Address: "0.0.0.0:22", Port: 22, Inode: 22},
					{Network: "tcp", Address: "10.0.0.1:80", Port: 80, Inode: 80},
					{Network: "tcp", Address: "[::]:81", Port: 81, Inode: 81},
					{Network: "tcp", Address: "[::]:82", Port: 82, Inode: 82, V6Only: true},
					{Network: "unix", Address: pathActive, Inode: 1},
				}
				p.Sockets.Bound = []inspect.Listener{{Network: "udp", Address: "0.0.0.0:443", Port: 443, Inode: 2}}
			} else {
				drawHolding(t, p)
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

func clone(p *inspect.Process) *inspect.Process {
	c := *p
	if p.Sockets != nil {
		s := *p.Sockets
		s.Bound, s.Unused = slices.Clone(s.Bound), slices.Clone(s.Unused)
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
	l := Look{
		Snapshot: s, Groups: Group(s, w.past()),
		HostShare: w.share, MemoryAvailable: w.available, MemoryTotal: w.total, MemoryLimits: map[string]*inspect.MemoryLimit{},
	}
	for _, g := range l.Groups {
		l.MemoryLimits[g.key] = w.limit
	}
	return l
}

// past is what is remembered, in a state of root's unless the world says otherwise.
func (w *world) past() Past { return Past{Memory: w.memory, Owner: &w.owner} }

// decide is the whole of the pure half.
func (w *world) decide(policy Policy) Report { return Decide(Classify(w.look(), w.past()), policy) }

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
