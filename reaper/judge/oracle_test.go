package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// oracle is a second decision, written from the rules of "How it decides" in the
// README.md beside it and from nothing in classify.go: one process at a time, one rule a
// method, as slow as that is. What it and the product agree on was thought of twice.
type oracle struct {
	*world
	policy  Policy
	kinds   map[*inspect.Process]string
	learned *learned
}

// newOracle looks at a world.
func newOracle(w *world, policy Policy) oracle {
	o := oracle{world: w, policy: policy, kinds: map[*inspect.Process]string{}}
	o.learned = o.learn()
	return o
}

// targets are the processes that may be signalled now.
func (o oracle) targets() []inspect.ProcID {
	list := []inspect.ProcID{}
	for _, p := range o.procs {
		if o.mayBeSignalled(p) {
			list = append(list, p.ProcID)
		}
	}
	slices.SortFunc(list, func(a, b inspect.ProcID) int { return a.PID - b.PID })
	return list
}

func (o oracle) mayBeSignalled(p *inspect.Process) bool {
	in := o.instanceOf(p)
	return in != nil && o.mayStop(p) && // rules 1 and 2
		o.settled(in) && o.confirmed(in) && // rules 6 and 7
		o.older(in, p) && o.toldToLeave(in, p) && o.holdsNoListener(in, p) && // rules 3 to 5
		o.noObjection(in) && o.isDue(in, p) // rules 8 and 9
}

// explain says which rules hold of each process, for a person.
func (o oracle) explain() string {
	text := ""
	for _, p := range o.procs {
		text += fmt.Sprintf("the oracle: %v is %s", p.ProcID, o.kind(p))
		if in := o.instanceOf(p); in != nil {
			text += fmt.Sprintf(" with %v; settled %v, confirmed %v, no objection %v", idsOfProcesses(in.members), o.settled(in), o.confirmed(in), o.noObjection(in))
			if o.mayStop(p) {
				text += fmt.Sprintf("; older %v, told %v, no listener %v, residual for %v, due %v", o.older(in, p), o.toldToLeave(in, p), o.holdsNoListener(in, p), o.residual(in, p), o.isDue(in, p))
			}
			if len(in.disturbers) > 0 {
				text += fmt.Sprintf("; disturbed by %v", idsOfProcesses(in.disturbers))
			}
		}
		text += "\n"
	}
	return text
}

func idsOfProcesses(list []*inspect.Process) []inspect.ProcID {
	var ids []inspect.ProcID
	for _, p := range list {
		ids = append(ids, p.ProcID)
	}
	return ids
}

// mayStop: it is a worker, or what is left of one whose master has gone.
func (o oracle) mayStop(p *inspect.Process) bool {
	k := o.kind(p)
	return k == "orphan" && o.stands(p) || k == "worker" && (o.masterOf(p) != nil || o.stands(p))
}

// workers are the ready ones of an instance, oldest first, but for orphans.
func (o oracle) workers(in *instance) []*inspect.Process {
	return slices.DeleteFunc(o.byAge(), func(p *inspect.Process) bool {
		return !slices.Contains(in.members, p) || o.kind(p) != "worker" || !o.mayStop(p)
	})
}

// candidates are those with the orphans.
func (o oracle) candidates(in *instance) []*inspect.Process {
	return slices.DeleteFunc(o.byAge(), func(p *inspect.Process) bool {
		return !slices.Contains(in.members, p) || !o.mayStop(p)
	})
}

// active is the youngest generation.
func (o oracle) active(in *instance) []*inspect.Process { return generation(o.workers(in)) }

func (o oracle) isActive(in *instance, p *inspect.Process) bool {
	return slices.Contains(o.active(in), p)
}

// settled: rule 7, and that all of it could be read.
func (o oracle) settled(in *instance) bool {
	if o.incomplete || len(in.disturbers) > 0 || len(in.members) > 1000 {
		return false
	}
	if in.master != nil && (holdsSignalsBack(in.master) || !hasMasterHandlers(in.master)) {
		return false
	}
	for _, p := range o.procs {
		if p.Err != nil && p.StartTicks == 0 {
			return false
		}
		// Whose it is, and whose its children are, may be what could not be read.
		child := func(c *inspect.Process) bool { return o.parent(c) == p }
		apart := func(q *inspect.Process) bool {
			return p.PIDNS*q.PIDNS != 0 && p.PIDNS != q.PIDNS || p.NetNS*q.NetNS != 0 && p.NetNS != q.NetNS
		}
		elsewhere := p.Cgroup != "" && !slices.ContainsFunc(in.members, func(q *inspect.Process) bool { return !apart(q) })
		owner := p.UID == 0 || p.UID == inspect.NoUID || slices.ContainsFunc(in.members, func(q *inspect.Process) bool { return q.UID == p.UID })
		its := owner && !elsewhere || in.master != nil && o.head(p) == in.master || slices.ContainsFunc(in.members, child)
		open := o.kind(p) == "master" || o.head(p) == nil || slices.ContainsFunc(o.procs, child)
		if p.Err != nil && its && open && p.HAProxy && o.kind(p) != "check" {
			return false
		}
	}
	for _, p := range in.members {
		switch k := o.kind(p); {
		case k == "starting":
			return false
		case k == "check", k == "program" && !p.HAProxy && !p.Forked:
			continue
		case p.Err != nil:
			return false
		}
		if o.mayStop(p) && !o.isActive(in, p) && (p.Sockets == nil || !p.Sockets.Proof || p.Sockets.Apart > 0 || len(p.Sockets.Unclassified) > 0) {
			return false
		}
		if younger := o.kind(p) == "orphan" && !o.older(in, p); o.mayStop(p) && !o.isActive(in, p) && !younger && o.isPaused(in, p) {
			return false
		}
	}
	return true
}

// isPaused: no listener, but one that may come back.
func (o oracle) isPaused(in *instance, p *inspect.Process) bool {
	return !o.accepts(in, p) && len(p.Sockets.Paused) > 0
}

// confirmed: rule 6, in one PID and network namespace. An active generation that
// was told to stop itself is a whole service that drains; one that listens only
// if its master says so, since no list is younger than it.
func (o oracle) confirmed(in *instance) bool {
	active := o.active(in)
	if !slices.ContainsFunc(active, listens) || !slices.ContainsFunc(active, func(p *inspect.Process) bool { return !stopping(p) && (listens(p) || !o.learned.told[p]) }) {
		return false
	}
	for _, p := range active {
		if p.State == 'T' || p.State == 't' {
			return false
		}
	}
	for _, p := range in.members {
		here := p.PIDNS == active[0].PIDNS && p.NetNS == active[0].NetNS
		if k := o.kind(p); !here && (k == "worker" || k == "orphan" || k == "master") {
			return false
		}
	}
	return true
}

// older: rule 3, for all of the instance: a tie refuses.
func (o oracle) older(in *instance, p *inspect.Process) bool {
	for _, a := range o.active(in) {
		for _, q := range o.workers(in) {
			if !o.isActive(in, q) && q.StartTicks >= a.StartTicks {
				return false
			}
		}
		if p.StartTicks >= a.StartTicks {
			return false
		}
	}
	return !o.isActive(in, p)
}

// toldToLeave: rule 4.
func (o oracle) toldToLeave(in *instance, p *inspect.Process) bool {
	return o.learned.told[p] || o.byItsConnections(in, p)
}

// byItsConnections: in daemon mode, it accepted one on an address that the active
// listens on, and nothing else could be listening.
func (o oracle) byItsConnections(in *instance, p *inspect.Process) bool {
	alone := !p.Forked || p.Session == p.PID // else it may be a check, of -D too
	if in.master != nil || !alone || p.Sockets == nil || !p.Sockets.Proof || listens(p) || len(p.Sockets.Unused) > 0 {
		return false
	}
	return slices.ContainsFunc(o.active(in), func(a *inspect.Process) bool { return alike(p, a) && isAccepted(p, openListeners(a)) })
}

// holdsNoListener: rule 5.
func (o oracle) holdsNoListener(in *instance, p *inspect.Process) bool {
	return p.Sockets != nil && p.Sockets.Proof && !o.accepts(in, p) && len(p.Sockets.Paused) == 0 && !o.receives(in, p)
}

// accepts tells whether an old worker takes connections, receives whether it takes
// datagrams. A socket that the active holds as well is nothing to it if no HAProxy
// ever accepted through it, or if it says of itself that it has stopped.
func (o oracle) accepts(in *instance, p *inspect.Process) bool {
	for _, l := range p.Sockets.Listening {
		if !o.isLeftOver(in, p, l) {
			return true
		}
	}
	for _, l := range p.Sockets.Unused {
		if !o.activeHolds(in, l) {
			return true
		}
	}
	return false
}

func (o oracle) receives(in *instance, p *inspect.Process) bool {
	for _, l := range p.Sockets.Bound {
		if !o.isLeftOver(in, p, l) {
			return true
		}
	}
	return false
}

func (o oracle) isLeftOver(in *instance, p *inspect.Process, l inspect.Listener) bool {
	return p.CLI != nil && p.CLI.Stopping && p.CLI.Listeners == 1 && o.activeHolds(in, l)
}

func (o oracle) activeHolds(in *instance, l inspect.Listener) bool {
	for _, a := range o.active(in) {
		if a.Sockets != nil && a.Sockets.Inodes[l.Inode] {
			return true
		}
	}
	return false
}

// noObjection: rule 8, for all of the instance.
func (o oracle) noObjection(in *instance) bool {
	for _, p := range o.workers(in) {
		if p.CLI == nil {
			continue
		}
		stopping, active := p.CLI.Stopping, o.isActive(in, p)
		if active && stopping || !active && !stopping && !listens(p) && (o.toldToLeave(in, p) || o.named(in, p)) {
			return false
		}
	}
	return true
}

// named: by a list of its service that could tell it, of a worker that need not
// listen.
func (o oracle) named(in *instance, p *inspect.Process) bool {
	return slices.ContainsFunc(o.workers(in), func(n *inspect.Process) bool { return ready(n) && o.mayTell(n, p) })
}

// residual is how long a process has been so: since the next younger generation
// started, or since an earlier pass said. Of what has no master, or is beside one,
// the next is the first that names it. Of what has one, it is the next of that master
// with another list, or of a younger master. After it was seen stranded it is since it was
// first seen residual again.
func (o oracle) residual(in *instance, p *inspect.Process) time.Duration {
	at := o.boottime
	for _, y := range o.workers(in) {
		its := o.kind(p) == "worker" && slices.Contains(generationOf(o.workers(in), p), y)
		m, by := o.masterOf(p), o.masterOf(y)
		next := o.mayTell(y, p)
		if m != nil && by != nil {
			next = next || m == by && !slices.Equal(p.Command.Args, y.Command.Args) || by.StartTicks > m.StartTicks
		}
		if started := time.Duration(y.StartTicks) * 10 * time.Millisecond; y.StartTicks > p.StartTicks && !its && next && started < at {
			at = started
		}
	}
	seen := o.believed(p)
	switch {
	case o.memory[p.ProcID].Stranded: // that only delays, whatever the state's owner
		at = o.boottime
		if seen.Residual > 0 {
			at = min(at, seen.Residual)
		}
	default:
		for _, earlier := range []time.Duration{seen.Residual, seen.Superseded} {
			if earlier > 0 && earlier < at {
				at = earlier
			}
		}
	}
	if born := time.Duration(p.StartTicks) * 10 * time.Millisecond; at < born {
		at = born
	}
	return o.boottime - min(at, o.boottime)
}
