package reaper

import (
	"cmp"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// kind is what a process is by its own facts and its parent's, before its
// sockets are looked at.
type kind int

const (
	kindMaster   kind = iota
	kindWorker        // ready, or on its way out: a worker of a master, or a process without one
	kindStarting      // not ready yet
	kindProgram       // a master's child that is no worker
	kindCheck         // a worker's child
	kindOrphan        // ready, and without the HAProxy that forked it
	kindLeft          // an older process of another user, which a worker of the group names
	kindStray         // of a group by its looks, and none of the above
)

// member is a process in its group.
type member struct {
	*inspect.Process
	kind   kind
	master *inspect.Process // whose child it is; nil without one
}

// mayBeResidual tells a member that may be residual.
func (m member) mayBeResidual() bool { return m.kind == kindWorker || m.kind == kindOrphan }

// ready tells a ready worker. One on its way out may never have been.
func (m member) ready() bool { return m.kind == kindWorker && isReady(m.Process) }

// group is the processes of one instance: those of one master and of the masters
// that it replaced, or one lineage of processes without a master.
type group struct {
	key     string // tells the groups of one look apart
	model   Model  // empty for the processes of no instance
	master  *inspect.Process
	members []member // in order of start, the masters among them
	// near are members of other groups that may be of this one just as well. They
	// stand in its way too, or a look-alike of another instance could hide them.
	near []member
	// replaced are the masters that the group's master has replaced.
	replaced []*inspect.Process
}

// workers are the ready ones, oldest first.
func (g *group) workers() []*inspect.Process {
	var list []*inspect.Process
	for _, m := range g.members {
		if m.kind == kindWorker {
			list = append(list, m.Process)
		}
	}
	return list
}

// ownWorkers are the workers of the group's master, oldest first.
func (g *group) ownWorkers() []*inspect.Process {
	return slices.DeleteFunc(g.workers(), func(p *inspect.Process) bool { return p.PPID != g.master.PID })
}

// candidates are the members that may be residual, oldest first.
func (g *group) candidates() []member {
	return slices.DeleteFunc(slices.Clone(g.members), func(m member) bool { return !m.mayBeResidual() })
}

func (g *group) add(p *inspect.Process, k kind, master *inspect.Process) {
	g.members = append(g.members, member{p, k, master})
}

func (g *group) has(p *inspect.Process) bool {
	return slices.ContainsFunc(g.members, func(m member) bool { return m.Process == p })
}

// hasUser tells whether a process of the group runs as a user. A process that is
// only shown there does not count: its user is a stranger to the instance.
func (g *group) hasUser(uid uint32) bool {
	return slices.ContainsFunc(g.members, func(m member) bool { return m.kind != kindLeft && m.UID == uid })
}

// strangers tells whether all processes of a group are strangers'.
func (g *group) strangers() bool {
	return !slices.ContainsFunc(g.members, func(m member) bool { return !m.Stranger })
}

// elsewhere tells whether a process is known to be in another PID or network namespace
// than everything of the group. One cgroup ties processes of several namespaces.
func (g *group) elsewhere(p *inspect.Process) bool {
	if p.Cgroup == "" {
		return false // it could not be read
	}
	differ := func(a, b uint64) bool { return a != 0 && b != 0 && a != b }
	return !slices.ContainsFunc(g.members, func(m member) bool {
		return !differ(m.PIDNS, p.PIDNS) && !differ(m.NetNS, p.NetNS)
	})
}

// unit is the systemd unit of the group, "" when it has none of its own: login
// sessions come and go with their operators and are no part of an instance. Nor is
// the unit of a process of another user's, which a list of root's may name.
func (g *group) unit() string {
	head := g.head()
	for _, m := range g.members {
		if (m.kind == kindMaster || m.kind == kindWorker) && (m.UID == 0 || m.UID == head.UID) && !inspect.IsSessionUnit(m.Unit) {
			return m.Unit
		}
	}
	return ""
}

// Group sorts the processes of a look into instances, by what their sockets and
// the past tell besides. The last group, if it has no model, holds the processes
// of no instance.
func Group(s inspect.Snapshot, past Past) []group {
	t := newTree(s.Processes)
	var groups []*group
	none := &group{key: "none"}
	for _, c := range t.clusters(past) {
		found, without := t.lineages(c, past)
		groups = append(groups, found...)
		for _, p := range without {
			none.add(p, t.kind(p), nil)
		}
	}
	takeLeft(groups, none, past)
	t.addUnready(groups, none)
	for _, p := range t.processes {
		owner, k := t.owner(p), t.kind(p)
		if owner == nil || k != kindCheck && (k != kindProgram || t.kind(owner) == kindMaster) {
			continue
		}
		for _, g := range append(groups, none) {
			if g.has(owner) {
				g.add(p, k, nil)
				break
			}
		}
	}
	for _, p := range s.Processes {
		if p.Err != nil && (t.kind(p) == kindMaster || t.owner(p) == nil || len(t.children[p]) > 0) {
			standNear(groups, p, t)
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return compareStart(a.members[0].Process, b.members[0].Process) })
	if len(none.members) > 0 {
		groups = append(groups, none)
	}
	out := make([]group, len(groups))
	for i, g := range groups {
		slices.SortStableFunc(g.members, func(a, b member) int { return compareStart(a.Process, b.Process) })
		out[i] = *g
	}
	return out
}

// takeLeft moves processes of no instance to the group of a worker that names
// them, or that named them in an earlier pass, though their user differs. A list
// of another user tells nothing, since any process could have written it. So they
// are shown there, and that is all.
func takeLeft(groups []*group, none *group, past Past) {
	byID, byHeir := roll[*inspect.Process]{}, roll[[]*inspect.Process]{}
	for _, m := range none.members {
		if m.mayBeResidual() {
			byID[idOf(m.Process)] = m.Process
			heir := nsPID{m.PIDNS, past.Memory[m.ProcID].Heir.NSPID}
			byHeir[heir] = append(byHeir[heir], m.Process)
		}
	}
	pids, heirs := byID.pids(), byHeir.pids()
	taken := map[*inspect.Process]bool{}
	for _, g := range groups {
		take := func(n, p *inspect.Process) {
			if !taken[p] && n.StartTicks > p.StartTicks && n.NetNS == p.NetNS {
				taken[p] = true
				g.add(p, kindLeft, nil)
			}
		}
		for _, n := range g.workers() {
			if !listens(n) {
				continue
			}
			for _, pid := range common(n.Command.Finish, pids) {
				if p := byID[nsPID{n.PIDNS, pid}]; p != nil {
					take(n, p)
				}
			}
			for _, pid := range append(common(n.Command.Finish, heirs), n.NSPID) {
				for _, p := range byHeir[nsPID{n.PIDNS, pid}] {
					take(n, p)
				}
			}
		}
	}
	none.members = slices.DeleteFunc(none.members, func(m member) bool { return taken[m.Process] })
}

// ownCgroup is the cgroup of a process, and "" for one in a login session.
func ownCgroup(p *inspect.Process) string {
	if inspect.IsSessionUnit(p.Unit) || p.Unit == "" {
		return ""
	}
	return p.Cgroup
}

func compareStart(a, b *inspect.Process) int {
	return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
}
