package judge

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// maxName is the most bytes of an instance's name. Paths are chosen by whatever
// starts a process, and names become metric labels and keys of the state.
const maxName = 200

// Qualified are the names that several instances had at one time, with the
// qualifiers that told them apart. An instance that is left alone keeps its own, so
// that the name which was never its own does not pass to it.
type Qualified map[string]QualifiedName

// QualifiedName is one of them.
type QualifiedName struct {
	Kinds uint8  `json:"kinds"` // a bit for each kind of qualifier
	Owner *Owner `json:"owner,omitempty"`
}

// nameInstances gives the instances their names; the processes of no instance have none.
// The name is the systemd unit, which is the cgroup's, with the configuration's path
// where two instances share a unit. Where there is no unit the name is that path,
// followed by the user if that is not root. So no user takes a name from another:
// the arguments of a process can be anything, its cgroup and its user cannot.
//
// Instances that have one name all the same are told apart by qualifiers that a
// reload does not change, never by their age. Those that stand higher are named as
// if the others were not there, see rank. nameInstances returns the names that are
// qualified, with those of earlier passes.
func nameInstances(instances []Instance, groups []Group, netNS uint64, earlier Qualified) Qualified {
	n := namer{groups: groups, netNS: netNS, names: make([]string, len(groups)), taken: map[string]bool{}, qualified: maps.Clone(earlier)}
	if n.qualified == nil {
		n.qualified = Qualified{}
	}
	byRank := map[int][]int{}
	for i := range groups {
		if groups[i].Model != "" {
			rank := groups[i].rank()
			byRank[rank] = append(byRank[rank], i)
		}
	}
	for _, rank := range slices.Sorted(maps.Keys(byRank)) {
		n.name(rank, byRank[rank], instances)
	}
	for i := range instances {
		instances[i].Name = printable(n.names[i])
	}
	return n.qualified
}

// namer names the groups of one look.
type namer struct {
	groups    []Group
	netNS     uint64
	names     []string // of the groups, in full
	taken     map[string]bool
	qualified Qualified
}

// name names the groups of one rank.
func (n *namer) name(rank int, list []int, instances []Instance) {
	units := map[string]int{}
	for _, i := range list {
		units[n.groups[i].unit()]++
	}
	for _, i := range list {
		g := &n.groups[i]
		switch unit := g.unit(); {
		case unit == "":
			n.names[i] = g.path()
		case units[unit] > 1 || n.taken[unit]:
			n.names[i] = unit + ":" + g.path()
		default:
			n.names[i] = unit
		}
	}
	wanted := slices.Collect(maps.Keys(units))
	for kind, qualify := range []func(*Group) string{
		func(g *Group) string { return g.place(n.netNS) },
		(*Group).lowestAddress,
		func(g *Group) string { return g.oldest().ProcID.String() },
	} {
		bit := uint8(1) << kind
		same := map[string][]int{}
		for _, i := range list {
			same[n.names[i]] = append(same[n.names[i]], i)
		}
		wanted = slices.AppendSeq(wanted, maps.Keys(same))
		for name, list := range same {
			key := fmt.Sprintf("%d:%s", rank, printable(name))
			keeper := n.keeper(name, list)
			differ := slices.ContainsFunc(list, func(i int) bool { return qualify(&n.groups[i]) != qualify(&n.groups[list[0]]) })
			if keeper < 0 && differ {
				q := n.qualified[key]
				owner := instances[list[0]].Owner
				n.qualified[key] = QualifiedName{q.Kinds | bit, &owner}
			}
			for _, i := range list {
				alike := len(list) > 1 || n.taken[name]
				if alike && i != keeper && (differ || keeper >= 0 || n.taken[name]) || n.qualified[key].Kinds&bit != 0 {
					if q := qualify(&n.groups[i]); q != "" {
						n.names[i] += "@" + q
					}
				}
			}
		}
	}
	for _, i := range list {
		wanted = append(wanted, n.names[i])
	}
	for _, name := range wanted { // also what several of them wanted, and none has
		n.taken[name] = true
	}
}

// keeper is which of the groups of one name keeps the name as it is, -1 for none:
// the only one with a ready worker.
func (n *namer) keeper(name string, list []int) int {
	ready := slices.DeleteFunc(slices.Clone(list), func(i int) bool { return len(n.groups[i].Workers()) == 0 })
	if len(ready) != 1 || n.taken[name] {
		return -1
	}
	return ready[0]
}

// rank is the place of a group where several want one name: root's on this host,
// those of other users, and then those in containers. A container may have a
// haproxy.service of its own.
func (g *Group) rank() int {
	rank := 0
	if g.head().UID != 0 {
		rank = 1
	}
	if g.contained() {
		rank += 2
	}
	return rank
}

// contained tells a group in a container: its unit stands below directories that are
// no slices of systemd's, or it has no unit and its cgroup names a container.
func (g *Group) contained() bool {
	cgroup, unit := g.head().Cgroup, g.unit()
	if unit == "" {
		return inspect.ContainerOf(cgroup) != ""
	}
	before, _, found := strings.Cut(cgroup+"/", "/"+unit+"/")
	return found && slices.ContainsFunc(strings.Split(before, "/"), func(dir string) bool {
		return dir != "" && dir != ".." && !strings.HasSuffix(dir, ".slice")
	})
}

// path is the first configuration path of a group, or its executable where it has
// none, with the user if that is not root. It is never the name of a unit: those
// have no slash.
func (g *Group) path() string {
	p := g.oldest()
	name := cmp.Or(p.Exe, p.Comm)
	if paths := p.Command.ConfigPaths(p.Dir); len(paths) > 0 {
		name = paths[0]
	}
	if !path.IsAbs(name) {
		name = "./" + name
	}
	if p.UID != 0 {
		name += "@" + cmp.Or(p.User, strconv.FormatUint(uint64(p.UID), 10))
	}
	return name
}

// place is where a group runs: its container or pod, or else its network
// namespace where that is not ours, or else "".
func (g *Group) place(netNS uint64) string {
	p := g.head()
	if id := inspect.ContainerOf(p.Cgroup); id != "" {
		return id
	}
	if p.NetNS != netNS {
		return fmt.Sprintf("netns:%d", p.NetNS)
	}
	return ""
}

// lowestAddress is the first address of the youngest worker's listeners, paused or
// not, in order of address and port, and "" without one.
func (g *Group) lowestAddress() string {
	workers := g.Workers()
	if len(workers) == 0 || workers[len(workers)-1].Sockets == nil {
		return ""
	}
	sockets := workers[len(workers)-1].Sockets
	all := slices.Concat(sockets.Listening, sockets.Paused, sockets.Bound)
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

// oldest is the oldest master or worker of the owner's. A path is that of the
// oldest, so that it stays for as long as something of the instance stays. A process
// of another user's that a list names has no part in it.
func (g *Group) oldest() *inspect.Process {
	head := g.head()
	i := slices.IndexFunc(g.Members, func(m Member) bool { return (m.kind == kindMaster || m.kind == kindWorker) && m.UID == head.UID })
	return g.Members[max(i, 0)].Process
}

// printable is a name that fits a metric label, a terminal and the state. What does
// not print is written as \x1b, \n or \u202e. A name that this changes, or that is cut,
// ends in a hash of the whole: two different names never become one.
func printable(name string) string {
	var b strings.Builder
	for i := 0; i < len(name) && b.Len() <= maxName; {
		r, size := utf8.DecodeRuneInString(name[i:])
		part := name[i : i+size]
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			part = strconv.Quote(part)
			part = part[1 : len(part)-1]
		}
		b.WriteString(part)
		i += size
	}
	if b.String() == name && len(name) <= maxName {
		return name
	}
	hash := fmt.Sprintf("~%x", sha256.Sum256([]byte(name)))[:1+2*8]
	cut := b.String()[:min(b.Len(), maxName-len(hash))]
	for !utf8.ValidString(cut) {
		cut = cut[:len(cut)-1]
	}
	return cut + hash
}
