package judge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// The properties of the pure half, on worlds drawn at random. Each holds for
// every one of them: -rapid.checks says how many (scripts/test: 100,000).

// TestTheDecisionIsTheOracles compares the product with a second decision that
// was written apart from it.
func TestTheDecisionIsTheOracles(t *testing.T) {
	t.Parallel()
	var worlds, acted, signals int
	rapid.Check(t, func(t *rapid.T) {
		w, policy := drawWorld(t), drawPolicy(t)
		r := w.decide(policy)
		o := newOracle(w, policy)
		got, want := targets(r), o.targets()
		if !slices.Equal(got, want) {
			t.Fatalf("would signal %v, the oracle %v, by %+v\n%s%s", got, want, policy, describe(w, r), o.explain())
		}
		worlds++
		signals += len(got)
		if len(got) > 0 {
			acted++
		}
	})
	t.Logf("%d worlds, %d of them with targets, %d targets", worlds, acted, signals)
	if acted*20 < worlds {
		t.Errorf("only %d of %d worlds have a target: they prove little", acted, worlds)
	}
}

// describe is a world and its report, for a person.
func describe(w *world, r Report) string {
	text := fmt.Sprintf("boottime %v, incomplete %v, memory %v of %d\n", w.boottime, w.incomplete, w.memory, w.owner)
	for _, p := range w.procs {
		text += fmt.Sprintf("%v child of %d, uid %d, caught %x, blocked %x, state %c, haproxy %v, forked %v, session %d, pidns %d as %d, netns %d, %s, %q, CLI %+v, err %v\n    %+v\n",
			p.ProcID, p.PPID, p.UID, p.Signals.Caught, p.Signals.Blocked, p.State, p.HAProxy, p.Forked, p.Session, p.PIDNS, p.NSPID, p.NetNS, p.Cgroup, p.Command.Args, p.CLI, p.Err, p.Sockets)
	}
	for _, in := range r.Instances {
		text += fmt.Sprintf("%q %s: %s %s\n", in.Name, in.Model, in.Refusal, in.RefusalDetail)
		for _, p := range in.Processes {
			text += fmt.Sprintf("    %v %s %s %s\n", p.ProcID, p.Role, p.Verdict, p.Reason)
		}
	}
	return text
}

// invariant is what holds of every decided report, seen with the facts that it
// was made of. It names what is wrong, or "".
type invariant struct {
	says  string
	wrong func(w *world, in Instance, targets []*inspect.Process) string
}

var invariants = []invariant{
	{"I1: a target is HAProxy, or a worker whose file was renamed, and neither a master nor anything's parent but a check's", func(w *world, in Instance, targets []*inspect.Process) string {
		for _, p := range targets {
			renamed := p.Forked && slices.ContainsFunc(idsOf(in, RoleMaster), func(m inspect.ProcID) bool { return m.PID == p.PPID })
			if !p.HAProxy && !renamed || p.Signals.Master() || p.PID <= 1 {
				return fmt.Sprintf("%v is no worker", p.ProcID)
			}
			for _, role := range []Role{RoleMaster, RoleActive} {
				if slices.Contains(idsOf(in, role), p.ProcID) {
					return fmt.Sprintf("%v is the %s", p.ProcID, role)
				}
			}
		}
		return ""
	}},
	{"I2: a target is a child of its master or of one that this replaced, or is tied to the instance by a list, the memory or a connection; equal arguments tie nothing", func(w *world, in Instance, targets []*inspect.Process) string {
		active := w.of(idsOf(in, RoleActive))
		for _, p := range targets {
			if p.PIDNS != active[0].PIDNS || p.NetNS != active[0].NetNS {
				return fmt.Sprintf("%v is in another namespace", p.ProcID)
			}
			child := slices.ContainsFunc(idsOf(in, RoleMaster), func(m inspect.ProcID) bool { return m.PID == p.PPID })
			if !child && !w.tied(in, p) {
				return fmt.Sprintf("nothing ties %v to the instance", p.ProcID)
			}
		}
		return ""
	}},
	{"I3: not all workers of an instance are targets", func(w *world, in Instance, targets []*inspect.Process) string {
		if len(targets) > 0 && len(idsOf(in, RoleActive)) == 0 {
			return "nobody would be left"
		}
		return ""
	}},
	{"I4: a target started before every one of the active generation", func(w *world, in Instance, targets []*inspect.Process) string {
		for _, p := range targets {
			for _, a := range idsOf(in, RoleActive) {
				if p.StartTicks >= a.StartTicks {
					return fmt.Sprintf("%v is not older than %v", p.ProcID, a)
				}
			}
		}
		return ""
	}},
	{"I5: with a target, one of the active generation is ready and in LISTEN", func(w *world, in Instance, targets []*inspect.Process) string {
		serves := func(a *inspect.Process) bool {
			return IsReady(a) && a.Err == nil && a.Sockets != nil && len(a.Sockets.Listening) > 0
		}
		if len(targets) > 0 && !slices.ContainsFunc(w.of(idsOf(in, RoleActive)), serves) {
			return "nobody serves"
		}
		return ""
	}},
	{"I6: every descriptor of a target was examined, and none is a listener, a paused one or of no known kind", func(w *world, in Instance, targets []*inspect.Process) string {
		for _, p := range targets {
			s := p.Sockets
			if s == nil || !s.Proof || len(s.Listening)+len(s.Paused)+len(s.Unclassified) > 0 {
				return fmt.Sprintf("%v has %+v", p.ProcID, s)
			}
		}
		return ""
	}},
	{"I8: nothing of an instance with a target was unreadable, but for what another user has left there", func(w *world, in Instance, targets []*inspect.Process) string {
		if len(targets) == 0 {
			return ""
		}
		if w.incomplete {
			return "the listing of the host was incomplete"
		}
		for _, p := range in.Processes {
			left := p.UID != uidOf(in) && p.Role == RoleStranded && in.Model == ModelDaemon // only shown there
			if q := w.of([]inspect.ProcID{p.ProcID})[0]; q.Err != nil && !left && p.Role != RoleCheck && (p.Role != RoleProgram || q.HAProxy) {
				return fmt.Sprintf("%v could not be read", q.ProcID)
			}
		}
		return ""
	}},
	{"I9, I14: nothing of an instance with a target is starting, paused or stray, and its master is idle; one that it replaced may be reloading", func(w *world, in Instance, targets []*inspect.Process) string {
		for _, p := range in.Processes {
			if len(targets) > 0 && slices.Contains([]Role{RoleStarting, RolePaused, RoleStray}, p.Role) {
				return fmt.Sprintf("%v is %s", p.ProcID, p.Role)
			}
		}
		for i := range in.Processes {
			p := &in.Processes[i]
			if len(targets) == 0 || p.Role != RoleMaster || !p.InCharge() {
				continue
			}
			if m := w.of([]inspect.ProcID{p.ProcID})[0]; m.Signals.Reloading() || !m.Signals.Master() {
				return "the master is reloading"
			}
		}
		return ""
	}},
	{"I12: no target has been superseded for less than the deadline, whatever its age", func(w *world, in Instance, targets []*inspect.Process) string {
		for _, p := range in.Processes {
			if p.Verdict == VerdictTerminate && (p.ResidualSeconds == nil || *p.ResidualSeconds > p.AgeSeconds || p.Due.After(time.Unix(1_800_000_000, 0))) {
				return fmt.Sprintf("%v is due at %v", p.ProcID, p.Due)
			}
		}
		return ""
	}},
	{"every process has one verdict with one reason, and stands in one instance", func(w *world, in Instance, targets []*inspect.Process) string {
		for _, p := range in.Processes {
			if p.Verdict == "" || p.Reason == "" || in.Model == "" && p.Verdict != VerdictKeep {
				return fmt.Sprintf("%v: %q %q", p.ProcID, p.Verdict, p.Reason)
			}
		}
		return ""
	}},
}

// uidOf is the user of the active of an instance.
func uidOf(in Instance) UID {
	for _, p := range in.Processes {
		if p.Role == RoleActive {
			return p.UID
		}
	}
	return 0
}

// tied tells whether a younger process of an instance names p, whether the memory
// has it as told, whether a master CLI says that it stops, or whether a connection of
// its own is on an address of the active.
func (w *world) tied(in Instance, p *inspect.Process) bool {
	for i := range in.Processes {
		for _, q := range w.of([]inspect.ProcID{in.Processes[i].ProcID}) {
			named := slices.Contains(q.Command.Finish, p.NSPID) && q.StartTicks > p.StartTicks
			if named || in.Processes[i].Role == RoleActive && isConnected(p, allListeners(q)) {
				return true
			}
		}
	}
	return stopping(p) || w.tiedByMemory(in, p)
}

// tiedByMemory tells whether the process that was active when p was seen told is of an
// instance, or one of the instance names it, or accepted a connection with p's address.
func (w *world) tiedByMemory(in Instance, p *inspect.Process) bool {
	seen := w.past().of(p)
	return seen.Told && slices.ContainsFunc(in.Processes, func(q Process) bool {
		return q.ProcID == seen.Heir.ProcID || slices.ContainsFunc(w.of([]inspect.ProcID{q.ProcID}), func(n *inspect.Process) bool {
			return slices.Contains(n.Command.Finish, seen.Heir.NSPID) || siblings(n, p)
		})
	})
}

// of are the facts of some processes.
func (w *world) of(ids []inspect.ProcID) []*inspect.Process {
	var list []*inspect.Process
	for _, p := range w.procs {
		if slices.Contains(ids, p.ProcID) {
			list = append(list, p)
		}
	}
	return list
}

func TestTheInvariantsHold(t *testing.T) {
	t.Parallel()
	worlds, acted, only := 0, 0, map[string]int{} // targets, by the evidence that each has alone
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := w.decide(drawPolicy(t))
		seen := 0
		for _, in := range r.Instances {
			seen += len(in.Processes)
			var list []inspect.ProcID
			for _, p := range in.Processes {
				if p.Verdict == VerdictTerminate {
					list = append(list, p.ProcID)
					if len(p.Evidence) == 1 {
						kind, _, _ := strings.Cut(p.Evidence[0], " ")
						only[kind]++
					}
				}
			}
			acted += min(1, len(list))
			for _, i := range invariants {
				if wrong := i.wrong(w, in, w.of(list)); wrong != "" {
					t.Fatalf("%s: %s\n%s", i.says, wrong, describe(w, r))
				}
			}
		}
		if seen != len(w.procs) {
			t.Fatalf("%d of %d processes are in the report\n%s", seen, len(w.procs), describe(w, r))
		}
		worlds++
	})
	t.Logf("%d invariants on %d worlds, %d instances with targets; the only evidence was %v", len(invariants), worlds, acted, only)
	for _, kind := range []string{"told", "stopping", "remembered", EvidenceConnections} {
		if worlds >= 10000 && only[kind] == 0 { // of fewer it may be chance
			t.Errorf("no target had %s alone for its evidence", kind)
		}
	}
}

// Of more than 1,000 processes none is judged. This one is slow, and says the
// same of every world: so it is asked of fewer.
func TestACrowdIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := &world{boottime: 2 * time.Hour, memory: Memory{}}
	w.procs = append(w.procs, w.process(10, 1, 60000, 0, masksMaster, "/etc/0.cfg", "h.service", nil))
	var finish []int
	for pid := 11; pid < 1009; pid++ {
		w.procs = append(w.procs, w.process(pid, 10, 60000+uint64(pid), uidWorkers, masksWorker, "/etc/0.cfg", "h.service", nil))
		finish = append(finish, pid)
	}
	active := w.process(2000, 10, 70000, uidWorkers, masksWorker, "/etc/0.cfg", "h.service", finish)
	active.Sockets.Listening = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 443}}
	w.procs = append(w.procs, active)
	if got := len(targets(w.decide(Policy{}))); got != 998 {
		t.Errorf("of 1,000 processes %d would be signalled, want 998", got)
	}
	w.procs = append(w.procs, w.process(2001, 10, 60001, uidWorkers, masksWorker, "/etc/0.cfg", "h.service", nil))
	w.sort()
	if got := len(targets(w.decide(Policy{}))); got != 0 {
		t.Errorf("of 1,001 processes %d would be signalled, want none", got)
	}
}

func idsOf(in Instance, role Role) []inspect.ProcID {
	var ids []inspect.ProcID
	for _, p := range in.Processes {
		if p.Role == role {
			ids = append(ids, p.ProcID)
		}
	}
	return ids
}
