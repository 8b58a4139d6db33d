package reaper

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// maxName is the most bytes of an instance's name. Paths are chosen by whatever
// starts a process, and names become metric labels and keys of the state.
const maxName = 200

// Qualified are the names that several instances had at one time, with the
// qualifiers that told them apart. An instance that is left alone keeps its own, so
// that the name which was never its own does not pass to it.
type Qualified map[string]qualifiers

// qualifiers are a set of kinds of qualifiers.
type qualifiers uint8

// maxQualified bounds what is kept of that.
const maxQualified = 100

// name gives the instances their names; the processes of no instance have none.
// The name is the systemd unit, with the configuration's path where two instances
// share a unit, or else that path. Instances of one name are told apart by
// qualifiers that a reload does not change, never by their age. It returns the
// names that are qualified, with those of earlier passes.
func name(instances []Instance, groups []group, netNS uint64, earlier Qualified) Qualified {
	byUnit := map[string]int{}
	for _, g := range groups {
		if g.model != "" {
			byUnit[g.unit()]++
		}
	}
	bases := make([]string, len(groups))
	for i := range groups {
		if g := &groups[i]; g.model != "" {
			bases[i] = g.unit()
			switch {
			case bases[i] == "":
				bases[i] = g.configPath()
			case byUnit[bases[i]] > 1:
				bases[i] += ":" + g.configPath()
			}
			bases[i] = printable(bases[i])
		}
	}
	names, qualified := slices.Clone(bases), maps.Clone(earlier)
	for kind, qualify := range []func(*group) string{
		func(g *group) string { return "@" + g.place(netNS) },
		func(g *group) string { return "@" + g.lowestAddress() },
		func(g *group) string { return "@" + g.oldest().ProcID.String() },
	} {
		bit := qualifiers(1 << kind)
		taken := map[string][]int{}
		for i, n := range names {
			if n != "" {
				taken[n] = append(taken[n], i)
			}
		}
		for _, list := range taken {
			keeper := keeps(groups, list)
			differ := slices.ContainsFunc(list, func(i int) bool { return qualify(&groups[i]) != qualify(&groups[list[0]]) })
			base := bases[list[0]]
			if keeper < 0 && differ && len(qualified) < maxQualified {
				if qualified == nil {
					qualified = Qualified{}
				}
				qualified[base] |= bit
			}
			for _, i := range list {
				if i != keeper && len(list) > 1 && (differ || keeper >= 0) || qualified[base]&bit != 0 {
					names[i] += printable(qualify(&groups[i]))
				}
			}
		}
	}
	for i := range instances {
		instances[i].Name = names[i]
	}
	return qualified
}

// keeps is which of the groups of one name keeps it as it is, -1 for none. It is
// the only one with a ready worker, or else the only one of root's: what another
// user starts takes no name from a service of root's.
func keeps(groups []group, list []int) int {
	for _, better := range []func(*group) bool{
		func(g *group) bool { return len(g.workers()) > 0 },
		func(g *group) bool { return len(g.workers()) > 0 && g.oldest().UID == 0 },
	} {
		best := slices.DeleteFunc(slices.Clone(list), func(i int) bool { return !better(&groups[i]) })
		if len(best) == 1 {
			return best[0]
		}
	}
	return -1
}

// place is where a group runs: its container or pod, or else its network
// namespace where that is not ours, or else its user.
func (g *group) place(netNS uint64) string {
	p := g.youngest()
	if id := inspect.ContainerOf(p.Cgroup); id != "" {
		return id
	}
	if p.NetNS != netNS {
		return fmt.Sprintf("netns:%d", p.NetNS)
	}
	return cmp.Or(p.User, fmt.Sprint(p.UID))
}

// youngest is the youngest ready worker, or the oldest process without one.
func (g *group) youngest() *inspect.Process {
	if workers := g.workers(); len(workers) > 0 {
		return workers[len(workers)-1]
	}
	return g.oldest()
}

// lowestAddress is the first address of the youngest worker's listeners, paused or
// not, in order of address and port, and "" without one.
func (g *group) lowestAddress() string {
	p := g.youngest()
	var all []inspect.Listener
	if p.Sockets != nil {
		all = slices.Concat(p.Sockets.Listening, p.Sockets.Paused, p.Sockets.Bound)
	}
	if len(all) == 0 {
		return ""
	}
	return inspect.ShownName(unixName(slices.MinFunc(all, compareListeners).Address))
}

// compareListeners orders listeners by address and port, those without a port last.
func compareListeners(a, b inspect.Listener) int {
	x, xErr := netip.ParseAddrPort(a.Address)
	y, yErr := netip.ParseAddrPort(b.Address)
	switch {
	case xErr != nil && yErr != nil:
		return strings.Compare(a.Address, b.Address)
	case xErr != nil:
		return 1
	case yErr != nil:
		return -1
	}
	return x.Compare(y)
}

// oldest is the oldest master or worker. A name is that of the oldest, so that it
// stays for as long as something of the instance stays.
func (g *group) oldest() *inspect.Process {
	i := slices.IndexFunc(g.members, func(m member) bool { return m.kind == kindMaster || m.kind == kindWorker })
	return g.members[max(i, 0)].Process
}

// configPath is the first configuration path of the group's oldest process, or
// its executable where it has none.
func (g *group) configPath() string {
	p := g.oldest()
	if paths := p.Command.ConfigPaths(p.Dir); len(paths) > 0 {
		return paths[0]
	}
	return cmp.Or(p.Exe, p.Comm)
}

// printable makes a part of a name fit for a metric label.
func printable(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "?")
}
