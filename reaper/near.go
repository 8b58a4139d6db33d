package reaper

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Whose a process is may be open. This file finds the groups that one without a
// master, or that could not be read in full, may be of: it is listed in the first
// and stands in the way of all.

// disturb adds a process to the first of the groups that it may be of, and puts
// it in the way of the others.
func disturb(groups []*group, p *inspect.Process, k kind) {
	groups[0].add(p, k)
	for _, g := range groups[1:] {
		g.near = append(g.near, member{p, k})
	}
}

// standNear puts a process that is nobody's worker, or somebody's parent, in the
// way of every group that it may be of by its owner or its children: what could
// not be read of it may be what tells. In that of its own master it is as it is.
func standNear(groups []*group, p *inspect.Process, t *tree) {
	for _, g := range groups {
		if p.UID == 0 || slices.ContainsFunc(t.children[p], g.has) ||
			slices.ContainsFunc(g.members, func(m member) bool { return m.UID == p.UID }) {
			g.near = append(g.near, member{p, t.kind(p)})
		}
	}
}

// strayOf finds the masters' groups that a process without a master looks like a
// part of: a worker whose master has gone or a forked check whose worker has,
// by the arguments; a `haproxy -c` of ExecReload, or something hostile, by the
// cgroup. A ready process with a configuration of its own is an instance beside
// it, even in the same unit.
func strayOf(t *tree, p *inspect.Process, masters []*group) []*group {
	var near []*group
	for _, g := range masters {
		m := g.master
		sameArgs := p.Command.Identity() == m.Command.Identity() && p.PIDNS == m.PIDNS && p.NetNS == m.NetNS
		sameCgroup := ownCgroup(p) != "" && p.Cgroup == m.Cgroup
		if t.kind(p) != kindWorker && sameCgroup ||
			t.kind(p) == kindWorker && sameArgs && ownCgroup(p) == ownCgroup(m) && mayStandIn(p, g, sameCgroup) {
			near = append(near, g)
		}
	}
	return near
}

// mayStandIn tells whether a ready process without a master may be one of a
// master's by its owner: the master's, or one that its workers run as. Anybody
// else's look-alike is no business of the instance, unless it is in the unit of
// a master of root's.
func mayStandIn(p *inspect.Process, g *group, sameCgroup bool) bool {
	if p.UID == g.master.UID || g.master.UID == 0 && sameCgroup {
		return true
	}
	return slices.ContainsFunc(g.members, func(m member) bool { return m.kind == kindWorker && m.UID == p.UID })
}

// joins finds the lineages that a process which is not ready may be of, and what
// it is there: starting, where its list names one of it or one of it has its
// arguments and cgroup; a stray where it has the cgroup alone. Only root and the
// lineage's own user may stand in its way.
func joins(p *inspect.Process, lineages []*group) ([]*group, kind) {
	key := lineageKey(p)
	var starting, stray []*group
	for _, g := range lineages {
		if p.UID != 0 && p.UID != g.members[0].UID {
			continue
		}
		switch {
		case slices.ContainsFunc(g.members, func(m member) bool {
			return m.kind == kindWorker && (Names(p, m.Process) || key == lineageKey(m.Process))
		}):
			starting = append(starting, g)
		case slices.ContainsFunc(g.members, func(m member) bool { return ownCgroup(p) != "" && p.Cgroup == m.Cgroup }):
			stray = append(stray, g)
		}
	}
	k := kindStarting
	if len(starting) == 0 && (len(stray) > 0 || p.Command.CheckOnly) {
		k = kindStray
	}
	return append(starting, stray...), k
}
