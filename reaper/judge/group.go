package judge

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

// Member is a process in its group.
type Member struct {
	*inspect.Process
	kind   kind
	master *inspect.Process // whose child it is; nil without one
}

// MayBeResidual tells a member that may be residual.
func (m Member) MayBeResidual() bool { return m.kind == kindWorker || m.kind == kindOrphan }

// ready tells a ready worker. One on its way out may never have been.
func (m Member) ready() bool { return m.kind == kindWorker && IsReady(m.Process) }

// Group is the processes of one instance: those of one master and of the masters
// that it replaced, or one lineage of processes without a master.
type Group struct {
	Key     string // tells the groups of one look apart
	Model   Model  // empty for the processes of no instance
	Master  *inspect.Process
	Members []Member // in order of start, the masters among them
	// near are members of other groups that may be of this one just as well. They
	// stand in its way too, or a look-alike of another instance could hide them.
	near []Member
	// replaced are the masters that the group's master has replaced.
	replaced []*inspect.Process
}

// Workers are the ready ones, oldest first.
func (g *Group) Workers() []*inspect.Process {
	var list []*inspect.Process
	for _, m := range g.Members {
		if m.kind == kindWorker {
			list = append(list, m.Process)
		}
	}
	return list
}

// OwnWorkers are the workers of the group's master, oldest first.
func (g *Group) OwnWorkers() []*inspect.Process {
	return slices.DeleteFunc(g.Workers(), func(p *inspect.Process) bool { return p.PPID != g.Master.PID })
}

// Candidates are the members that may be residual, oldest first.
func (g *Group) Candidates() []Member {
	return slices.DeleteFunc(slices.Clone(g.Members), func(m Member) bool { return !m.MayBeResidual() })
}

func (g *Group) add(p *inspect.Process, k kind, master *inspect.Process) {
	g.Members = append(g.Members, Member{p, k, master})
}

func (g *Group) has(p *inspect.Process) bool {
	return slices.ContainsFunc(g.Members, func(m Member) bool { return m.Process == p })
}

// hasUser tells whether a process of the group runs as a user. A process that is
// only shown there does not count: its user is a stranger to the instance.
func (g *Group) hasUser(uid uint32) bool {
	return slices.ContainsFunc(g.Members, func(m Member) bool { return m.kind != kindLeft && m.UID == uid })
}

// Strangers tells whether all processes of a group are strangers'.
func (g *Group) Strangers() bool {
	return !slices.ContainsFunc(g.Members, func(m Member) bool { return !m.Stranger })
}

// elsewhere tells whether a process is known to be in another PID or network namespace
// than everything of the group. One cgroup ties processes of several namespaces.
func (g *Group) elsewhere(p *inspect.Process) bool {
	if p.Cgroup == "" {
		return false // it could not be read
	}
	differ := func(a, b uint64) bool { return a != 0 && b != 0 && a != b }
	return !slices.ContainsFunc(g.Members, func(m Member) bool {
		return !differ(m.PIDNS, p.PIDNS) && !differ(m.NetNS, p.NetNS)
	})
}

// unit is the systemd unit of the group, "" when it has none of its own: login
// sessions come and go with their operators and are no part of an instance. Nor is
// the unit of a process of another user's, which a list of root's may name.
func (g *Group) unit() string {
	head := g.head()
	for _, m := range g.Members {
		if (m.kind == kindMaster || m.kind == kindWorker) && (m.UID == 0 || m.UID == head.UID) && !inspect.IsSessionUnit(m.Unit) {
			return m.Unit
		}
	}
	return ""
}

// Groups sorts the processes of a look into instances, by what their sockets and
// the past tell besides. The last group, if it has no model, holds the processes
// of no instance.
func Groups(s inspect.Snapshot, past Past) []Group {
	t := newTree(s.Processes)
	var groups []*Group
	none := &Group{Key: "none"}
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
	slices.SortStableFunc(groups, func(a, b *Group) int { return compareStart(a.Members[0].Process, b.Members[0].Process) })
	if len(none.Members) > 0 {
		groups = append(groups, none)
	}
	out := make([]Group, len(groups))
	for i, g := range groups {
		slices.SortStableFunc(g.Members, func(a, b Member) int { return compareStart(a.Process, b.Process) })
		out[i] = *g
	}
	return out
}

// takeLeft moves processes of no instance to the group of a worker that names
// them, or that named them in an earlier pass, though their user differs. A list
// of another user tells nothing, since any process could have written it. So they
// are shown there, and that is all.
func takeLeft(groups []*Group, none *Group, past Past) {
	byID, byHeir := roll[*inspect.Process]{}, roll[[]*inspect.Process]{}
	for _, m := range none.Members {
		if m.MayBeResidual() {
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
		for _, n := range g.Workers() {
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
	none.Members = slices.DeleteFunc(none.Members, func(m Member) bool { return taken[m.Process] })
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
