package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Names tells whether the -sf or -st list of n names p: n is strictly younger,
// and the list's pid is p's in the PID namespace of both. A list may hold pids
// that are long gone; a pid that was reused after n started names nothing.
func Names(n, p *inspect.Process) bool {
	if n.StartTicks <= p.StartTicks || n.PIDNS != p.PIDNS {
		return false
	}
	_, named := slices.BinarySearch(n.Command.Finish, p.NSPID)
	return named
}

// tells says that n has told p to stop, by its list, and that its owner could. A
// process writes its own arguments, so the list of another user's process counts
// for nothing. Siblings under one master have their arguments from that master,
// so there its user counts. A list of n, or of its master, that names p's master tells
// p through it.
func tells(n, p Member) bool {
	its := n.SameUser(p.Process) || n.UID == 0
	switch {
	case n.StartTicks <= p.StartTicks:
		return false
	case n.master == nil || p.master == nil:
		return its && Names(n.Process, p.Process)
	case n.master == p.master:
		return (its || p.master.SameUser(p.Process) || p.master.UID == 0) && Names(n.Process, p.Process)
	}
	return its && (Names(n.Process, p.Process) || Names(n.Process, p.master)) || n.master.SameUser(p.master) && Names(n.master, p.master)
}

// tellers finds which of some workers, oldest first, were told to stop, and by
// which worker. That worker is of one instance with it, as together says. It is
// ready, and listens or was told itself: by the same rule, or as known says.
func tellers(workers []Member, known func(*inspect.Process) bool, together func(n, p Member) bool) map[*inspect.Process]*inspect.Process {
	named := roll[[]Member]{} // by its own pid, and by its master's
	for _, p := range workers {
		named[idOf(p.Process)] = append(named[idOf(p.Process)], p)
		if p.master != nil {
			named[idOf(p.master)] = append(named[idOf(p.master)], p)
		}
	}
	pids := named.pids()
	by := map[*inspect.Process]*inspect.Process{}
	for _, n := range slices.Backward(workers) {
		if !n.ready() || !listens(n.Process) && by[n.Process] == nil && !known(n.Process) {
			continue
		}
		for _, list := range n.lists() {
			for _, pid := range common(list, pids) {
				for _, p := range named[nsPID{n.PIDNS, pid}] {
					if by[p.Process] == nil && tells(n, p) && together(n, p) {
						by[p.Process] = n.Process
					}
				}
			}
		}
	}
	return by
}

// NamedBy finds which of some workers, oldest first, were told to stop, listening or
// not, and by which worker: the list of a younger one names them.
func NamedBy(workers []Member) map[*inspect.Process]*inspect.Process {
	return tellers(workers, func(*inspect.Process) bool { return true }, anyTwo)
}

// anyTwo takes any two workers for ones of one instance.
func anyTwo(Member, Member) bool { return true }

// lists are the lists of a worker and of its master, each sorted. Workers share their
// master's.
func (m Member) lists() [][]int {
	if m.master == nil {
		return [][]int{m.Command.Finish}
	}
	return [][]int{m.Command.Finish, m.master.Command.Finish}
}

// roll is what is found by a pid in a list.
type roll[T any] map[nsPID]T

// pids are those of a roll, sorted, each once.
func (r roll[T]) pids() []int {
	list := make([]int, 0, len(r))
	for id := range r {
		list = append(list, id.pid)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// common is what two sorted lists of pids have in common. It costs no more than the
// shorter list: a list may name 50,000 processes that have left, for each of 300 workers.
func common(a, b []int) []int {
	if len(a) > len(b) {
		a, b = b, a
	}
	var both []int
	for _, pid := range a {
		if _, found := slices.BinarySearch(b, pid); found {
			both = append(both, pid)
		}
	}
	return both
}

// nsPID is a pid with the inode number of the PID namespace that it is of.
type nsPID struct {
	namespace uint64
	pid       int
}

func idOf(p *inspect.Process) nsPID { return nsPID{p.PIDNS, p.NSPID} }

// listens tells whether a process is seen to hold a stream socket in LISTEN.
func listens(p *inspect.Process) bool { return p.Sockets != nil && len(p.Sockets.Listening) > 0 }

// evidence is what says of a process that it was told to stop.
type evidence struct {
	by          *inspect.Process // whose list names it, or whose master's its master
	stopping    bool             // the master CLI says Stopping: 1
	remembered  bool             // an earlier pass saw one of these
	connections bool             // daemon mode: it has no listener, and clients of the active's address
}

func (e evidence) any() bool { return e.by != nil || e.stopping || e.remembered || e.connections }

const (
	EvidenceRemembered  = "remembered"
	EvidenceConnections = "connections"
)

// words are the evidence for the report.
func (e evidence) words() []string {
	list := []string{}
	if e.by != nil {
		list = append(list, fmt.Sprintf("told by %d", e.by.PID))
	}
	for _, w := range []struct {
		stands bool
		word   string
	}{{e.stopping, "stopping"}, {e.remembered, EvidenceRemembered}, {e.connections, EvidenceConnections}} {
		if w.stands {
			list = append(list, w.word)
		}
	}
	return list
}

// findEvidence collects what says of each member that it was told to stop.
func (c *classifier) findEvidence() {
	c.evidence = map[*inspect.Process]evidence{}
	candidates := c.group.Candidates()
	for _, m := range candidates {
		e := evidence{
			stopping:   m.CLI != nil && m.CLI.Stopping,
			remembered: c.past.of(m.Process).Told,
		}
		e.connections = m.kind == kindWorker && c.group.Model == ModelDaemon && c.holdsClients(m.Process)
		c.evidence[m.Process] = e
	}
	c.namers = NamedBy(candidates)
	by := tellers(candidates, func(p *inspect.Process) bool { return c.evidence[p].stopping || c.evidence[p].remembered }, anyTwo)
	for _, m := range candidates {
		e := c.evidence[m.Process]
		e.by = by[m.Process]
		c.evidence[m.Process] = e
	}
	for _, old := range c.group.replaced {
		c.evidence[old] = evidence{by: c.group.Master, remembered: c.past.of(old).Told}
	}
}

// holdsClients tells whether a daemon that is not the active, and that is no check,
// has no listener, proven descriptor by descriptor, and a client of an active of the
// same service. What was passed to it and seems to be left over counts as a listener:
// another service that was passed the same socket may have made it seem so.
func (c *classifier) holdsClients(p *inspect.Process) bool {
	if !standsAlone(p) || len(c.active) == 0 || slices.Contains(c.active, p) || p.Sockets == nil || !p.Sockets.Proof || mayServe(p) || len(p.Sockets.Unused) > 0 {
		return false
	}
	a := c.active[0]
	return p.SameUser(a) && p.PIDNS == a.PIDNS && p.NetNS == a.NetNS && p.Identity() == c.activeIdentity && acceptedAt(p, open(c.active))
}

// listed tells whether the list of a younger worker, listening or not, names a
// process.
func (c *classifier) listed(p *inspect.Process) bool { return c.namers[p] != nil }

// acceptedAt tells whether a process holds a client that came in at one of some
// places, which it accepted for sure. A path is no evidence: two services may have one
// path, in turn or each in a mount namespace of its own.
func acceptedAt(p *inspect.Process, at *Places) bool {
	for end := range p.Sockets.Ends {
		if end.Network != inspect.NetworkUnix && !end.Gone && end.Origin.Accepted() && at.Holds(end) {
			return true
		}
	}
	return false
}

// mayBelong tells whether a process may have accepted a connection at one of some
// places. That keeps the process in an instance, where it stands in the way.
func mayBelong(p *inspect.Process, at *Places) bool {
	if p.Sockets.Ends == nil {
		return true // they were not read
	}
	for end := range p.Sockets.Ends {
		// HAProxy closes an abstract listener when it pauses it (SIGTTOU), and opens it
		// anew when it resumes. So a connection there does not tell a stop.
		if !end.Gone && !end.Origin.Made() && !strings.HasPrefix(end.Path, "@") && at.Holds(end) {
			return true
		}
	}
	return false
}
