package judge

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// This file finds the groups of a process that may be of several: a process that
// is not ready and has no master, or that could not be read in full. It is listed
// in the first group, and stands in the way of all.

// disturb adds a process to the first of the groups that it may be of, and puts
// it in the way of the others.
func disturb(groups []*Group, p *inspect.Process, k kind) {
	groups[0].add(p, k, nil)
	for _, g := range groups[1:] {
		g.near = append(g.near, Member{p, k, nil})
	}
}

// standNear puts a process that could not be read in the way of every group that
// it may be of by its owner, its parent or its children. What could not be read of it
// may be what tells, but not where its namespaces are known to be others. In the group
// of its own master it is as it is.
func standNear(groups []*Group, p *inspect.Process, t *tree) {
	for _, g := range groups {
		if p.Stranger && slices.ContainsFunc(g.near, func(m Member) bool { return m.Err != nil }) {
			continue // one is enough, and there may be thousands
		}
		owner := g.mayHave(p) && !g.elsewhere(p)
		if owner || slices.ContainsFunc(t.children[p], g.has) || g.Master != nil && g.Master == t.parent(p) {
			g.near = append(g.near, Member{p, t.kind(p), nil})
		}
	}
}

// mayHave tells whether a process may be of a group by its owner: root, a user of the
// group, or an owner that could not be read.
func (g *Group) mayHave(p *inspect.Process) bool {
	return p.UID == 0 || p.UID == inspect.NoUID || g.hasUser(p.UID)
}

// addUnready adds the processes without a master that are not ready to the groups
// that they may be of, or else to none.
func (t *tree) addUnready(groups []*Group, none *Group) {
	for _, p := range t.processes {
		k := t.kind(p)
		if t.owner(p) != nil || k == kindMaster || k == kindWorker || k == kindOrphan {
			continue
		}
		if !p.HAProxy { // a program whose master has gone
			none.add(p, kindProgram, nil)
			continue
		}
		near, k := t.joining(p, groups)
		if len(near) == 0 {
			near = []*Group{none}
		}
		disturb(near, p, k)
	}
}

// joining finds the groups that a process which is not ready may be of, and what
// it is there. It is starting where it names a process of the group, or has its
// arguments. It is a stray where it shares the cgroup alone, as `haproxy -c` of
// ExecReload does. Only root, the group's own users, and what runs in the cgroup
// of a master may stand in its way.
func (t *tree) joining(p *inspect.Process, groups []*Group) ([]*Group, kind) {
	var starting, stray []*Group
	for _, g := range groups {
		owner := g.mayHave(p)
		together := ownCgroup(p) != "" && slices.ContainsFunc(g.Members, func(m Member) bool {
			return (m.kind == kindMaster || m.kind == kindWorker) && p.Cgroup == m.Cgroup
		})
		switch {
		case owner && slices.ContainsFunc(g.Members, func(m Member) bool { return t.startsFor(p, m) }):
			starting = append(starting, g)
		case together && (owner || g.Master != nil && p.Cgroup == g.Master.Cgroup):
			stray = append(stray, g)
		}
	}
	k := kindStarting
	if len(starting) == 0 && (len(stray) > 0 || p.Command.CheckOnly) {
		k = kindStray
	}
	return append(starting, stray...), k
}

// startsFor tells whether a process that is not ready may be a new one of the
// instance of a worker or of a master.
func (t *tree) startsFor(p *inspect.Process, m Member) bool {
	if p.PIDNS != m.PIDNS || p.NetNS != m.NetNS || m.kind != kindWorker && m.kind != kindMaster {
		return false
	}
	return Names(p, m.Process) || t.identity(p) == t.identity(m.Process) || m.kind == kindMaster && p.Dir == "" && t.ofMaster(p, m.Process)
}
