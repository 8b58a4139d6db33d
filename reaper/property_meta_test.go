package reaper

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Metamorphic properties: the same world, changed a little, is decided again.

// checkPair draws worlds and compares what is decided of each with what is
// decided of a changed copy of it. Worlds without a target count where the
// change must add none.
func checkPair(t *testing.T, prepare func(w *world), change func(t *rapid.T, w *world) *world, compare func(t *rapid.T, before, after Report) bool) {
	t.Helper()
	t.Parallel()
	worlds, acted := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		prepare(w)
		before := w.decide(policy)
		changed := change(t, w.clone())
		after := changed.decide(policy)
		if !compare(t, before, after) {
			t.Fatalf("before %v, after %v\n%s\n%s", targets(before), targets(after), describe(w, before), describe(changed, after))
		}
		worlds++
		acted += min(1, len(targets(before))+len(targets(after)))
	})
	t.Logf("%d pairs of worlds, %d with a target", worlds, acted)
}

func asDrawn(*world) {}

// withoutStrangers leaves only processes whose owners could signal the others.
func withoutStrangers(w *world) {
	for _, p := range w.procs {
		if p.UID == uidStranger {
			p.UID = uidWorkers
		}
	}
}

func same(_ *rapid.T, before, after Report) bool {
	return slices.Equal(targets(before), targets(after))
}
func fewer(_ *rapid.T, before, after Report) bool { return subset(targets(after), targets(before)) }

func pick(t *rapid.T, w *world) *inspect.Process {
	return w.procs[rapid.IntRange(0, len(w.procs)-1).Draw(t, "victim")]
}

// I7, no confused deputy: a process of somebody who could not signal the
// instance's workers himself adds no target to it, whatever it pretends to be.
func TestAStrangersProcessAddsNoTarget(t *testing.T) {
	checkPair(t, withoutStrangers, func(t *rapid.T, w *world) *world {
		p, q := pick(t, w), pick(t, w)
		d := w.double(p, 1, q.StartTicks+rapid.SampledFrom([]uint64{0, 1, 300}).Draw(t, "later"))
		d.UID, d.Err, d.HAProxy = uidStranger, nil, true
		for range rapid.IntRange(0, 2).Draw(t, "disguises") {
			oddities[rapid.IntRange(0, len(oddities)-1).Draw(t, "disguise")](&world{procs: []*inspect.Process{d}, memory: Memory{}, boottime: w.boottime}, d, clone(q))
		}
		d.UID, d.PPID, d.Err = uidStranger, 1, nil // what nobody can choose
		w.sort()
		return w
	}, func(t *rapid.T, before, after Report) bool {
		known := func(id inspect.ProcID) bool {
			return slices.ContainsFunc(before.Instances, func(in Instance) bool {
				return slices.ContainsFunc(in.Processes, func(p Process) bool { return p.ProcID == id })
			})
		}
		others := slices.DeleteFunc(targets(after), func(id inspect.ProcID) bool { return !known(id) }) // less its own
		return subset(others, targets(before))
	})
}

// I8: a fact that can no longer be read adds no target. A stranger who makes his
// own process unreadable only takes it out of the way.
func TestAReadErrorAddsNoTarget(t *testing.T) {
	checkPair(t, withoutStrangers, func(t *rapid.T, w *world) *world {
		p := pick(t, w)
		unread[rapid.IntRange(0, len(unread)-1).Draw(t, "fact")](w, p)
		w.sort()
		return w
	}, fewer)
}

// unread are the facts of a process that may fail to be read, and what is then
// in their place (inspect.Process: zero).
var unread = []func(w *world, p *inspect.Process){
	func(_ *world, p *inspect.Process) { p.Err = errRead },
	func(w *world, p *inspect.Process) {
		w.restart(p, 0)
		p.PPID, p.Session, p.State, p.Err = 0, 0, 0, errRead
	},
	func(_ *world, p *inspect.Process) {
		p.UID, p.NSPID, p.Signals, p.Err = 0, 0, inspect.SignalMasks{}, errRead
	},
	func(_ *world, p *inspect.Process) { p.Command, p.Err = inspect.Command{}, errRead },
	func(_ *world, p *inspect.Process) { p.Cgroup, p.Unit, p.Err = "", "", errRead },
	func(_ *world, p *inspect.Process) { p.PIDNS, p.Err = 0, errRead },
	func(_ *world, p *inspect.Process) { p.NetNS, p.Err = 0, errRead },
	func(_ *world, p *inspect.Process) { p.Sockets, p.Err = nil, errRead },
	func(_ *world, p *inspect.Process) { p.Sockets = nil },
	func(_ *world, p *inspect.Process) { p.CLI, p.Err = nil, errRead },
	func(_ *world, p *inspect.Process) {
		change(p, func(s *inspect.Sockets) { s.Ends, p.Err = nil, errRead })
	},
	func(_ *world, p *inspect.Process) { p.PrivateBytes = nil },
	func(w *world, _ *inspect.Process) { w.share = nil },
	func(w *world, _ *inspect.Process) { w.available = nil },
	func(w *world, _ *inspect.Process) { w.total = nil },
	func(w *world, _ *inspect.Process) { w.limit = nil },
	func(w *world, _ *inspect.Process) { w.incomplete = true },
	func(_ *world, p *inspect.Process) { change(p, withoutOptions) },
}

// withoutOptions takes from connections what only a descriptor tells, as where the
// kernel's tables stand in. An end that had another one's address then has its
// connections too.
func withoutOptions(s *inspect.Sockets) {
	if s.Ends == nil {
		return
	}
	ends := map[inspect.End]inspect.Use{}
	for end, use := range s.Ends {
		end.Origin = inspect.OriginUnread
		if sum, known := ends[end]; known {
			use.MinIdle, use.MaxIdle = min(use.MinIdle, sum.MinIdle), max(use.MaxIdle, sum.MaxIdle)
			use.Connections, use.Timed = use.Connections+sum.Connections, use.Timed+sum.Timed
		}
		ends[end] = use
	}
	s.Ends = ends
}

// I10: the order in which processes are found means nothing.
func TestOrderMeansNothing(t *testing.T) {
	checkPair(t, asDrawn, func(t *rapid.T, w *world) *world {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
		r.Shuffle(len(w.procs), func(i, j int) { w.procs[i], w.procs[j] = w.procs[j], w.procs[i] })
		return w
	}, same)
}

// I10: nor do the numbers that processes have.
func TestNumbersMeanNothing(t *testing.T) {
	checkPair(t, asDrawn, func(t *rapid.T, w *world) *world {
		// Both ways round, so that pids in order of start are not in order any more.
		number := func(pid int) int { return pid }
		if rapid.Bool().Draw(t, "backwards") {
			number = func(pid int) int { return 30000 - pid }
		}
		renumber := func(pid int) int {
			if pid <= 1 {
				return pid
			}
			return number(pid) + 5000
		}
		memory := Memory{}
		for id, seen := range w.memory {
			seen.Heir.PID, seen.Heir.NSPID = renumber(seen.Heir.PID), renumber(seen.Heir.NSPID)
			memory[inspect.ProcID{PID: renumber(id.PID), StartTicks: id.StartTicks}] = seen
		}
		w.memory = memory
		for _, p := range w.procs {
			p.PID, p.PPID, p.NSPID, p.Session = renumber(p.PID), renumber(p.PPID), renumber(p.NSPID), renumber(p.Session)
			c := &p.Command
			args := slices.Clone(c.Args)
			for i, arg := range args {
				if pid, err := strconv.Atoi(arg); err == nil {
					args[i] = strconv.Itoa(renumber(pid))
				}
			}
			text := ""
			for _, arg := range args {
				text += arg + "\x00"
			}
			*c = inspect.ParseCommand([]byte(text))
		}
		w.sort()
		return w
	}, func(_ *rapid.T, before, after Report) bool {
		return slices.Equal(starts(before), starts(after))
	})
}

// starts tells targets by when they started: what is left when pids are not.
func starts(r Report) []uint64 {
	var list []uint64
	for _, id := range targets(r) {
		list = append(list, id.StartTicks)
	}
	slices.Sort(list)
	return list
}

// I11: no clock's zero means anything.
func TestTimeShiftedByAConstantChangesNothing(t *testing.T) {
	checkPair(t, asDrawn, func(t *rapid.T, w *world) *world {
		const day = 24 * time.Hour
		by := uint64(day / (10 * time.Millisecond))
		memory := Memory{}
		for id, seen := range w.memory {
			if seen.Residual > 0 {
				seen.Residual += day
			}
			if seen.Told {
				seen.Superseded += day
				seen.Heir.StartTicks += by
			}
			memory[inspect.ProcID{PID: id.PID, StartTicks: id.StartTicks + by}] = seen
		}
		w.memory, w.boottime = memory, w.boottime+day
		for _, p := range w.procs {
			p.StartTicks += by
		}
		return w
	}, func(_ *rapid.T, before, after Report) bool { return slices.Equal(pids(before), pids(after)) })
}

func pids(r Report) []int {
	var list []int
	for _, id := range targets(r) {
		list = append(list, id.PID)
	}
	return list
}

// I11: a clock that has gone back makes nobody due who would not be at once.
func TestAClockThatWentBackAddsNoTarget(t *testing.T) {
	checkPair(t, asDrawn, func(t *rapid.T, w *world) *world {
		w.boottime = rapid.SampledFrom([]time.Duration{0, time.Second, 9 * time.Minute, 20 * time.Minute}).Draw(t, "now")
		return w
	}, fewer)
}

// S21, of the pure half: what is remembered may delay a target, or make one due
// that is residual anyway; it makes nobody residual.
func TestMemoryMakesNobodyATarget(t *testing.T) {
	checkPair(t, asDrawn, func(t *rapid.T, w *world) *world {
		for range rapid.IntRange(1, 3).Draw(t, "memories") {
			id := pick(t, w).ProcID
			seen := w.memory[id] // that it was told stays
			seen.Residual = time.Duration(rapid.Int64Range(-1, int64(4*time.Hour)).Draw(t, "residual"))
			seen.Stranded = rapid.Bool().Draw(t, "stranded")
			w.memory[id] = seen
		}
		return w
	}, func(t *rapid.T, before, after Report) bool {
		// A deadline of nothing makes every residual process a target.
		return subset(targets(after), targets(Decide(before, Policy{})))
	})
}

// What a state says of being told is believed only of its owner's processes.
func TestAStateOfAStrangersAddsNoTarget(t *testing.T) {
	checkPair(t, func(w *world) { w.memory, w.owner = Memory{}, uidStranger; withoutStrangers(w) }, func(t *rapid.T, w *world) *world {
		for range rapid.IntRange(1, 4).Draw(t, "memories") {
			w.remember(pick(t, w), pick(t, w))
		}
		return w
	}, fewer)
}
