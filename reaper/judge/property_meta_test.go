package judge

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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

// withOneClaim leaves no strangers, and no process that two masters name, or a worker
// whose own master does not. Of two claims the older one counts, and that may not be the
// one that can be read.
func withOneClaim(w *world) {
	withoutStrangers(w)
	w.sort()
	claims := map[int]int{} // the pid of the first master that names one
	for _, n := range w.procs {
		by := n
		if i := slices.IndexFunc(w.procs, func(m *inspect.Process) bool { return m.PID == n.PPID }); i >= 0 {
			by = w.procs[i]
		}
		left := slices.DeleteFunc(slices.Clone(n.Command.Finish), func(pid int) bool {
			master := func(m *inspect.Process) bool { return m.NSPID == pid && m.Signals.Master() }
			if by == n && !n.Signals.Master() && !slices.ContainsFunc(w.procs, master) {
				return false // of a daemon's, by a daemon
			}
			if _, claimed := claims[pid]; !claimed {
				claims[pid] = by.PID
			}
			return claims[pid] != by.PID || !slices.Contains(by.Command.Finish, pid)
		})
		if len(left) < len(n.Command.Finish) {
			n.Command = withList(n.Command, left)
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

// I7: a process whose owner could not signal the instance's workers adds no target to
// the instance, and takes none away, whatever the process pretends to be.
func TestAStrangersProcessChangesNoTarget(t *testing.T) {
	checkPair(t, withoutStrangers, func(t *rapid.T, w *world) *world {
		parents := []int{1}
		for range rapid.IntRange(1, 3).Draw(t, "strangers") {
			p, q := pick(t, w), pick(t, w)
			d := w.double(p, 1, q.StartTicks+rapid.SampledFrom([]uint64{0, 1, 300}).Draw(t, "later"))
			for range rapid.IntRange(0, 2).Draw(t, "disguises") {
				oddities[rapid.IntRange(0, len(oddities)-1).Draw(t, "disguise")](&world{procs: []*inspect.Process{d}, memory: Memory{}, boottime: w.boottime}, d, clone(q))
			}
			// What no user can choose.
			d.UID, d.HAProxy, d.Err = uidStranger, true, nil
			d.PPID = rapid.SampledFrom(parents).Draw(t, "parent")
			d.Cgroup, d.Unit = "/user.slice/user-5001.slice/session-2.scope", "session-2.scope"
			parents = append(parents, d.PID)
		}
		w.sort()
		return w
	}, func(t *rapid.T, before, after Report) bool {
		known := func(id inspect.ProcID) bool {
			return slices.ContainsFunc(before.Instances, func(in Instance) bool {
				return slices.ContainsFunc(in.Processes, func(p Process) bool { return p.ProcID == id })
			})
		}
		others := slices.DeleteFunc(targets(after), func(id inspect.ProcID) bool { return !known(id) }) // less its own
		return slices.Equal(others, targets(before))
	})
}

// I8: a fact that can no longer be read adds no target. A stranger who makes his
// own process unreadable only takes it out of the way. A daemon that listens beside a
// master's worker is judged with the master; when that worker cannot be read, alone.
func TestAReadErrorAddsNoTarget(t *testing.T) {
	checkPair(t, withOneClaim, func(t *rapid.T, w *world) *world {
		p := pick(t, w)
		unread[rapid.IntRange(0, len(unread)-1).Draw(t, "fact")](w, p)
		w.sort()
		return w
	}, fewerOrTheNext)
}

// modelOf is that of the instance that a process is in.
func modelOf(r Report, id inspect.ProcID) Model {
	for _, in := range r.Instances {
		if slices.ContainsFunc(in.Processes, func(p Process) bool { return p.ProcID == id }) {
			return in.Model
		}
	}
	return ""
}

// fewerOrTheNext lets what is remembered as told join an instance by a connection that
// it may have made. And it lets another process go for want of memory where the one that would
// have gone is not known to be residual any more.
func fewerOrTheNext(_ *rapid.T, before, after Report) bool {
	had, may := targets(before), targets(Decide(before, Policy{}))
	for _, in := range after.Instances {
		for _, p := range in.Processes {
			next := p.Reason == ReasonLowMemory && slices.Contains(may, p.ProcID)
			alone := in.Model == ModelDaemon && modelOf(before, p.ProcID) == ModelMasterWorker
			joined := modelOf(before, p.ProcID) == "" && slices.Contains(p.Evidence, "remembered")
			if p.Verdict == VerdictTerminate && !next && !alone && !joined && !slices.Contains(had, p.ProcID) {
				return false
			}
		}
	}
	return true
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
		p.NSPID, p.Signals, p.Err = 0, inspect.SignalMasks{}, errRead
	},
	func(_ *world, p *inspect.Process) {
		p.UID, p.User, p.Err = inspect.NoUID, "", errRead
	},
	func(_ *world, p *inspect.Process) { p.Command, p.Err = inspect.Command{}, errRead },
	func(_ *world, p *inspect.Process) { p.Cgroup, p.Unit, p.Err = "", "", errRead },
	func(_ *world, p *inspect.Process) { p.PIDNS, p.Err = 0, errRead },
	func(_ *world, p *inspect.Process) { p.NetNS, p.Err = 0, errRead },
	func(_ *world, p *inspect.Process) { p.Sockets, p.Err = nil, errRead },
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
	func(_ *world, p *inspect.Process) {
		if p.CLI != nil && p.Sockets != nil { // it knows of every client that was accepted
			cli, clients := *p.CLI, 0
			for end, use := range p.Sockets.Ends {
				if end.Origin.Accepted() {
					clients += use.Connections
				}
			}
			cli.CurrConns = max(cli.CurrConns, clients)
			p.CLI = &cli
		}
		change(p, withoutOptions)
	},
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
		// Both ways round, so that pids in order of start are not in order any more. Where
		// two claims are of one tick the lower number decides: of two heirs, say.
		ticks := map[uint64]bool{}
		for _, p := range w.procs {
			ticks[p.StartTicks] = true
		}
		number := func(pid int) int { return pid }
		if rapid.Bool().Draw(t, "backwards") && len(ticks) == len(w.procs) {
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
			if seen.Superseded > 0 {
				seen.Superseded += day
			}
			if seen.Told {
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

// What a state says is believed only of its owner's processes, so that of another user
// adds no target, and makes none due.
func TestAStateOfAStrangersAddsNoTarget(t *testing.T) {
	checkPair(t, func(w *world) { w.memory, w.owner = Memory{}, uidStranger; withoutStrangers(w) }, func(t *rapid.T, w *world) *world {
		for range rapid.IntRange(1, 4).Draw(t, "memories") {
			p := pick(t, w)
			w.remember(p, pick(t, w))
			seen := w.memory[p.ProcID]
			seen.Residual = rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(t, "residual")
			seen.Stranded = rapid.IntRange(0, 3).Draw(t, "stranded") == 1
			w.memory[p.ProcID] = seen
		}
		return w
	}, fewer)
}

// Losing the state makes nothing residual, and nothing due. It may take away what stood
// in the way, such as an old worker that is paused and was told by what has left.
func TestLosingTheStateMakesNothingDue(t *testing.T) {
	checkPair(t, func(w *world) {
		for id, seen := range w.memory { // those only delay, and are lost as well
			seen.Stranded, seen.Signals = false, nil
			p, heir := w.of([]inspect.ProcID{id}), w.of([]inspect.ProcID{seen.Heir.ProcID})
			w.memory[id] = seen
			if len(p)+len(heir) == 2 && p[0].Unit != heir[0].Unit || len(p) == 1 && hasListener(p[0]) {
				delete(w.memory, id) // no pass saw that, or it is no target by it
			}
		}
	}, func(t *rapid.T, w *world) *world {
		w.memory = Memory{}
		return w
	}, func(_ *rapid.T, before, after Report) bool {
		var due []inspect.ProcID
		for _, in := range before.Instances {
			for _, p := range in.Processes {
				if p.IsDue(before.Time) || p.Verdict == VerdictRefuse {
					due = append(due, p.ProcID)
				}
			}
		}
		for _, in := range after.Instances {
			for _, p := range in.Processes {
				// A limit counts what is residual, and that is less now.
				limit := p.Reason == ReasonLowMemory || p.Reason == ReasonMaxResidual
				// Its deadline begins anew.
				fresh := len(p.Evidence) == 1 && p.Evidence[0] == EvidenceConnections
				if p.Verdict == VerdictTerminate && !limit && !fresh && !slices.Contains(due, p.ProcID) {
					return false
				}
			}
		}
		return true
	})
}

// What is no part of an identity changes nothing: the program's path, the order of
// options, the pid file, the unit and the cgroup. Siblings have the very same of them.
func TestWhatIsNoPartOfAnIdentityChangesNothing(t *testing.T) {
	checkPair(t, func(w *world) {
		for _, p := range w.procs {
			p.Cgroup, p.Unit = "/", ""
		}
	}, func(t *rapid.T, w *world) *world {
		generation := map[string]int{}
		way := rapid.IntRange(0, 3).Draw(t, "way")
		for _, p := range w.procs {
			c := p.Command
			if len(c.Config) == 0 || c.CheckOnly {
				continue
			}
			word := strings.Join(c.Args, " ")
			if _, known := generation[word]; !known {
				generation[word] = len(generation)
			}
			mode := []string{}
			for _, o := range []string{"-W", "-D", "-q"} {
				if slices.Contains(c.Args, o) {
					mode = append(mode, o)
				}
			}
			if (generation[word]+way)%2 == 0 {
				slices.Reverse(mode)
			}
			options := slices.Concat([]string{[]string{"haproxy", "/opt/haproxy"}[generation[word]%2], "-p", "/run/" + strconv.Itoa(generation[word])}, mode)
			p.Command = commandWith(c.Config[0], c.Finish, options...)
			p.Cgroup = "/user.slice/session-" + strconv.Itoa(generation[word]) + ".scope"
			p.Unit = "session-" + strconv.Itoa(generation[word]) + ".scope"
		}
		return w
	}, same)
}
