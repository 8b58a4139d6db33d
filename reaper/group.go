package reaper

import (
	"cmp"
	"fmt"
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
	kindStray         // of a group by its looks, and none of the above
)

// member is a process in its group.
type member struct {
	*inspect.Process
	kind kind
}

// group is the processes of one instance: those of one master, or one lineage
// of processes without a master.
type group struct {
	key     string // the same from look to look
	model   Model  // empty for the processes of no instance
	master  *inspect.Process
	members []member // in order of start, the master among them
	// near are members of other groups that may be of this one just as well. They
	// stand in its way too, or a look-alike of somebody's could draw them off.
	near []member
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

func (g *group) add(p *inspect.Process, k kind) { g.members = append(g.members, member{p, k}) }

func (g *group) has(p *inspect.Process) bool {
	return slices.ContainsFunc(g.members, func(m member) bool { return m.Process == p })
}

// unit is the systemd unit of the group, "" when it has none of its own: login
// sessions come and go with their operators and are no part of an instance.
func (g *group) unit() string {
	for _, m := range g.members {
		if (m.kind == kindMaster || m.kind == kindWorker) && !inspect.IsSessionUnit(m.Unit) {
			return m.Unit
		}
	}
	return ""
}

// Group sorts the processes of a look into instances. The last group, if it has
// no model, holds those that belong to none.
func Group(s inspect.Snapshot) []group {
	t := newTree(s.Processes)
	var groups []*group
	byMaster := map[*inspect.Process]*group{}
	for _, p := range s.Processes {
		if t.kind(p) == kindMaster {
			g := &group{key: "master " + p.ProcID.String(), model: ModelMasterWorker, master: p}
			g.add(p, kindMaster)
			byMaster[p] = g
			groups = append(groups, g)
		}
	}
	var roots, checks []*inspect.Process
	for _, p := range s.Processes {
		switch owner := t.owner(p); {
		case t.kind(p) == kindMaster:
		case owner == nil:
			roots = append(roots, p)
		case byMaster[owner] != nil:
			byMaster[owner].add(p, t.kind(p))
		default:
			checks = append(checks, p)
		}
	}
	groups = append(groups, groupDaemons(t, roots, groups)...)
	for _, p := range checks {
		for _, g := range groups {
			if g.has(t.owner(p)) {
				g.add(p, kindCheck)
			}
		}
	}
	for _, p := range s.Processes {
		if p.Err != nil && (t.kind(p) == kindMaster || t.owner(p) == nil || len(t.children[p]) > 0) {
			standNear(groups, p, t)
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return compareGroups(a, b) })
	out := make([]group, len(groups))
	for i, g := range groups {
		slices.SortStableFunc(g.members, func(a, b member) int { return compareStart(a.Process, b.Process) })
		out[i] = *g
	}
	return out
}

// compareGroups orders groups by the start of their oldest process, and puts
// the one of no instance last.
func compareGroups(a, b *group) int {
	none := func(g *group) int {
		if g.model == "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(none(a), none(b)), compareStart(a.members[0].Process, b.members[0].Process))
}

// groupDaemons groups the processes without a master. Strays are added to the
// groups of masters that they look like a part of.
func groupDaemons(t *tree, roots []*inspect.Process, masters []*group) []*group {
	var lineages []*group
	var rest []*inspect.Process // not ready: they join last
	byKey := map[string]*group{}
	for _, p := range roots {
		if t.kind(p) != kindWorker {
			rest = append(rest, p)
			continue
		}
		if near := strayOf(t, p, masters); len(near) > 0 {
			disturb(near, p, kindStray)
			continue
		}
		key := fmt.Sprintf("%s uid %d", lineageKey(p), p.UID)
		g := byKey[key]
		if g == nil {
			g = &group{key: key, model: ModelDaemon}
			byKey[key] = g
			lineages = append(lineages, g)
		}
		g.add(p, kindWorker)
	}
	lineages = mergeNamed(lineages)
	none := &group{key: "none"}
	for _, p := range rest {
		if !p.HAProxy { // a program whose master has gone
			none.add(p, kindProgram)
			continue
		}
		near, k := joins(p, lineages)
		if strays := strayOf(t, p, masters); len(strays) > 0 {
			near, k = append(strays, near...), kindStray
		}
		if len(near) == 0 {
			near = []*group{none}
		}
		disturb(near, p, k)
	}
	if len(none.members) > 0 {
		lineages = append(lineages, none)
	}
	return lineages
}

// lineageKey is what the processes of one lineage have in common from reload to
// reload: namespaces, cgroup, and the arguments without the -sf list.
func lineageKey(p *inspect.Process) string {
	return fmt.Sprintf("pidns %d netns %d cgroup %q args %q", p.PIDNS, p.NetNS, ownCgroup(p), p.Command.Identity())
}

// ownCgroup is the cgroup of a process, and "" for one in a login session.
func ownCgroup(p *inspect.Process) string {
	if inspect.IsSessionUnit(p.Unit) || p.Unit == "" {
		return ""
	}
	return p.Cgroup
}

// mergeNamed joins lineages in which a process of the one names one of the
// other in its -sf list, as after a reload with other arguments or from another
// unit.
func mergeNamed(lineages []*group) []*group {
	for i := 0; i < len(lineages); i++ {
		for j := 0; j < len(lineages); j++ {
			if i == j || !namesAny(lineages[i], lineages[j]) {
				continue
			}
			lineages[i].members = append(lineages[i].members, lineages[j].members...)
			lineages = slices.Delete(lineages, j, j+1)
			i, j = -1, len(lineages) // start again: what was joined may name others
		}
	}
	return lineages
}

func namesAny(younger, older *group) bool {
	for _, y := range younger.members {
		for _, o := range older.members {
			if y.NetNS == o.NetNS && y.UID == o.UID && Names(y.Process, o.Process) {
				return true
			}
		}
	}
	return false
}

// Names tells whether the -sf or -st list of n names p: n is strictly younger,
// and the list's pid is p's in the PID namespace of both. A list may hold pids
// that are long gone; one that was reused after n started names nobody.
func Names(n, p *inspect.Process) bool {
	return n.StartTicks > p.StartTicks && n.PIDNS == p.PIDNS && slices.Contains(n.Command.Finish, p.NSPID)
}
