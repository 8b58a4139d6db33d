package judge

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
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
	uidOther    = 103  // whom a service's workers run as after its user was changed
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
	if rapid.IntRange(0, 7).Draw(t, "remembers") == 1 {
		w.drawMemory(t)
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

// service is how an instance of a world was set up.
type service struct {
	config, dir, unit string // dir is where a relative config is found
	uid               uint32
	// real has the arguments, sessions and forks that HAProxy's processes have.
	// Without, any process may be taken from its parent and be a daemon.
	real, daemon bool
	host         string // the address that it listens on
	first        uint64 // inode of its first socket
	variants     int    // of how its arguments are written, from reload to reload
}

// addInstance adds the generations of a service, the last of which listens.
func (w *world) addInstance(t *rapid.T, i int) {
	shape := rapid.IntRange(0, 15).Draw(t, "shape")
	s := service{config: "/etc/" + strconv.Itoa(i) + ".cfg", unit: "haproxy" + strconv.Itoa(i) + ".service", uid: uidWorkers, daemon: shape&1 != 0, host: "0.0.0.0"}
	siblings := 1 + (shape&14)/14
	pid, start := 100*(i+1), uint64(60000+7*i)
	way := rapid.IntRange(0, 63).Draw(t, "way")
	has := func(bit int) bool { return way&(1<<bit) != 0 }
	s.real = has(0)
	if has(1) { // of equal arguments, on an address of its own or not
		s.config, s.host, s.first = "/etc/0.cfg", []string{"0.0.0.0", "10.0.0.1", "10.0.0.2"}[way%3], uint64(1000*(i+1))
	}
	if has(2) { // in a folder of its own or not
		s.config, s.dir = "haproxy.cfg", []string{"/srv/0", "/srv/" + strconv.Itoa(i)}[way/8%2]
	}
	if has(3) {
		s.variants = 4
	}
	changesUser, onlyLast := has(4) && way%5 == 0, has(5)
	var master *inspect.Process
	masters := func(finish ...int) {
		if !s.daemon {
			pid++
			master = s.start(w, pid, nil, start, masksMaster, finish)
		}
	}
	masters()
	var finish, list []int
	generations := rapid.IntRange(1, 4).Draw(t, "generations")
	for g := range generations {
		start += gaps[rapid.IntRange(0, len(gaps)-1).Draw(t, "gap")]
		if changesUser && g == generations/2 {
			s.uid = uidOther
		}
		if list = finish; onlyLast && len(finish) > siblings {
			list = finish[len(finish)-siblings:]
		}
		if !s.daemon && g > 0 && rapid.IntRange(0, 7).Draw(t, "new master") == 1 {
			list = append([]int{master.PID}, list...)[:1+way%2*len(list)] // of the pid file, or of pidof(1)
			masters(list...)
			start++
		}
		var pids []int
		for n := range siblings {
			pid++
			p := s.start(w, pid, master, start+uint64(n*way%200), masksWorker, list)
			if siblings > 1 {
				p.Forked = true
				p.Sockets.Inodes[uint64(900000+1000*i+g)] = true // a log's, say
			}
			if g == generations-1 {
				s.listen(p)
			} else {
				s.drawHolding(t, p)
			}
			pids = append(pids, pid)
		}
		finish = append(finish, pids...)
	}
}

// listen has a process serve.
func (s service) listen(p *inspect.Process) {
	inode := func(n uint64) uint64 { return s.first + n }
	p.Sockets.Proof = false
	p.Sockets.Listening = []inspect.Listener{
		{Network: "tcp", Address: s.host + ":443", Port: 443, Inode: inode(443)},
		{Network: "tcp", Address: s.host + ":22", Port: 22, Inode: inode(22)},
	}
	if s.host == "0.0.0.0" {
		p.Sockets.Listening = append(p.Sockets.Listening,
			inspect.Listener{Network: "tcp", Address: "10.0.0.1:80", Port: 80, Inode: inode(80)},
			inspect.Listener{Network: "tcp", Address: "[::]:81", Port: 81, Inode: inode(81)},
			inspect.Listener{Network: "tcp", Address: "[::]:82", Port: 82, Inode: inode(82), V6Only: true},
			inspect.Listener{Network: "unix", Address: pathActive, Inode: inode(1)},
		)
	}
	p.Sockets.Bound = []inspect.Listener{{Network: "udp", Address: s.host + ":443", Port: 443, Inode: inode(2)}}
}

// drawHolding gives an old worker connections, on the address of the service.
func (s service) drawHolding(t *rapid.T, p *inspect.Process) {
	drawHolding(t, p)
	if s.host != "10.0.0.2" || p.Sockets.Ends == nil {
		return
	}
	moved := ends{}
	for end, use := range p.Sockets.Ends {
		if end.Network != inspect.NetworkUnix && end.Local.Addr() == netip.MustParseAddr("10.0.0.1") {
			end.Local = netip.AddrPortFrom(netip.MustParseAddr(s.host), end.Local.Port())
		}
		moved[end] = use
	}
	p.Sockets.Ends = moved
}

// start adds a process of the service: a master, its worker, or a daemon.
func (s service) start(w *world, pid int, master *inspect.Process, start uint64, masks inspect.SignalMasks, finish []int) *inspect.Process {
	ppid, uid := 1, s.uid
	if master != nil {
		ppid = master.PID
	}
	if masks == masksMaster {
		uid = 0
	}
	p := w.process(pid, ppid, start, uid, masks, s.config, s.unit, finish)
	p.Dir = s.dir
	if s.real {
		mode := "-W"
		if s.daemon {
			mode = "-D"
		}
		p.Command = commandWith(s.config, finish, [][]string{
			{"/usr/sbin/haproxy", mode, "-q"}, {"haproxy", "-q", mode}, {"haproxy", "-p", "/run/h.pid", mode, "-q"}, {"haproxy", "-q", "-x", "/run/h.sock", mode},
		}[pid%max(1, s.variants)]...)
		if p.Forked = true; master != nil {
			p.Session = master.Session
		}
	}
	w.procs = append(w.procs, p)
	return p
}

// commandWith has more options before the configuration.
func commandWith(config string, finish []int, options ...string) inspect.Command {
	args := append(slices.Clone(options), "-f", config)
	for i, pid := range finish {
		if i == 0 {
			args = append(args, "-sf")
		}
		args = append(args, strconv.Itoa(pid))
	}
	return inspect.ParseCommand([]byte(strings.Join(args, "\x00")))
}

// drawMemory has earlier passes remember what they saw, and then takes away some of
// those that the memory is about.
func (w *world) drawMemory(t *rapid.T) {
	w.sort()
	w.owner = rapid.SampledFrom([]uint32{0, 0, uidWorkers, uidStranger}).Draw(t, "owner")
	for i, p := range w.procs {
		heirs := slices.DeleteFunc(slices.Clone(w.procs[i+1:]), func(q *inspect.Process) bool {
			return q.Unit != p.Unit || hasMasterHandlers(q) != hasMasterHandlers(p) || siblings(p, q) || q.StartTicks <= p.StartTicks
		})
		if listens(p) || len(heirs) == 0 {
			continue
		}
		w.remember(p, heirs[rapid.IntRange(0, len(heirs)-1).Draw(t, "heir")])
		if rapid.IntRange(0, 3).Draw(t, "seen first") == 1 {
			seen := w.memory[p.ProcID]
			seen.Residual, seen.Superseded = w.boottime-time.Minute, 0
			w.memory[p.ProcID] = seen
		}
	}
	if n := rapid.IntRange(0, len(w.procs)).Draw(t, "left"); n < len(w.procs) && !listens(w.procs[n]) {
		w.procs = slices.Delete(w.procs, n, n+1)
	}
	if rapid.IntRange(0, 3).Draw(t, "lists") == 1 {
		w.loseLists()
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
		Snapshot: s, Groups: Groups(s, w.past()),
		HostShare: w.share, MemoryAvailable: w.available, MemoryTotal: w.total, MemoryLimits: map[string]*inspect.MemoryLimit{},
	}
	for _, g := range l.Groups {
		l.MemoryLimits[g.Key] = w.limit
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
