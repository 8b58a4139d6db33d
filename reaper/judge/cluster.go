package judge

import (
	"fmt"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Cluster is the masters, and the ready processes without a master, that may be
// of one instance by all but their sockets. What is of one instance is of one
// cluster. So a look at one instance reads the sockets of its cluster alone.
type Cluster struct {
	tree    *tree
	masters []*inspect.Process // in order of start
	roots   []*inspect.Process // in order of start; workers and orphans
}

// Has tells whether one of some processes is in a cluster, or is the child of one
// of its masters.
func (c Cluster) Has(ids map[inspect.ProcID]bool) bool {
	for _, p := range c.roots {
		if ids[p.ProcID] {
			return true
		}
	}
	for _, m := range c.masters {
		if ids[m.ProcID] {
			return true
		}
		for _, p := range c.tree.children[m] {
			if ids[p.ProcID] {
				return true
			}
		}
	}
	return false
}

// Candidates are the ready workers of a cluster, in order of start.
func (c Cluster) Candidates() []Member {
	t := c.tree
	var list []Member
	for _, p := range c.roots {
		list = append(list, Member{p, t.kind(p), nil})
	}
	for _, m := range c.masters {
		for _, p := range t.children[m] {
			if t.kind(p) == kindWorker {
				list = append(list, Member{p, kindWorker, m})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Member) int { return compareStart(a.Process, b.Process) })
	return list
}

// service is what processes of one daemon lineage have in common, whatever names
// the other: user, namespaces and parsed arguments.
func (t *tree) service(p *inspect.Process) string {
	text, known := t.services[p]
	if !known {
		text = fmt.Sprintf("pidns %d netns %d uid %d args %x", p.PIDNS, p.NetNS, p.UID, t.identity(p))
		t.services[p] = text
	}
	return text
}

// servicesOf are the services that a process without a master may be of by the
// arguments of a master: that master's, for each user of its workers.
func (t *tree) servicesOf(master *inspect.Process) []string {
	users := map[uint32]bool{master.UID: true}
	for _, p := range t.children[master] {
		if t.kind(p) == kindWorker {
			users[p.UID] = true
		}
	}
	var list []string
	for uid := range users {
		list = append(list, t.servicesFor(master, uid)...)
	}
	return list
}

// servicesFor are those for one user: with paths from the master's directory, and for
// a process that has changed its root, and no longer knows the directory that it was
// started in, as they are written.
func (t *tree) servicesFor(master *inspect.Process, uid uint32) []string {
	list := []string{besideMaster(master, uid, t.identity(master))}
	if master.Dir != "" {
		list = append(list, besideMaster(master, uid, t.writtenIdentity(master)))
	}
	return list
}

// besideMasters is the service of a process without a master among those of masters.
func (t *tree) besideMasters(p *inspect.Process) string {
	return besideMaster(p, p.UID, t.identity(p))
}

func besideMaster(p *inspect.Process, uid uint32, args string) string {
	return fmt.Sprintf("master pidns %d netns %d uid %d args %x", p.PIDNS, p.NetNS, uid, args)
}

// Clusters are the clusters of a look's processes.
func Clusters(processes []*inspect.Process, past Past) []Cluster {
	return newTree(processes).clusters(past)
}

// clusters sorts masters and ready processes without a master by what may join
// them: the arguments, the -sf lists, and what is remembered.
func (t *tree) clusters(past Past) []Cluster {
	var masters, roots []*inspect.Process
	for _, p := range t.processes {
		switch k := t.kind(p); {
		case k == kindMaster:
			masters = append(masters, p)
		case t.owner(p) == nil && (k == kindWorker || k == kindOrphan):
			roots = append(roots, p)
		}
	}
	u := union{}
	byService := map[string]*inspect.Process{}
	for _, p := range roots {
		joinFirst(u, byService, t.service(p), p)
	}
	byMaster := map[string]*inspect.Process{}
	for _, m := range masters {
		for _, service := range t.servicesOf(m) {
			joinFirst(u, byMaster, service, m)
		}
	}
	for _, p := range roots {
		if m := byMaster[t.besideMasters(p)]; m != nil {
			u.join(m, p)
		}
	}
	all := Cluster{t, masters, roots}
	t.joinNamed(all, past, u.join, func(Member) bool { return true })
	var list []Cluster
	index := map[*inspect.Process]int{}
	at := func(p *inspect.Process) *Cluster {
		i, known := index[u.find(p)]
		if !known {
			i = len(list)
			index[u.find(p)] = i
			list = append(list, Cluster{tree: t})
		}
		return &list[i]
	}
	for _, p := range masters {
		c := at(p)
		c.masters = append(c.masters, p)
	}
	for _, p := range roots {
		c := at(p)
		c.roots = append(c.roots, p)
	}
	return list
}

// union joins processes to sets, each known by one of its own.
type union map[*inspect.Process]*inspect.Process

func (u union) find(p *inspect.Process) *inspect.Process {
	for u[p] != nil {
		p = u[p]
	}
	return p
}

// join joins the sets of two processes; that of a keeps its own.
func (u union) join(a, b *inspect.Process) {
	if a, b = u.find(a), u.find(b); a != b {
		u[b] = a
	}
}

// joinFirst joins a process to the first one that came with the same key.
func joinFirst[K comparable](u union, first map[K]*inspect.Process, key K, p *inspect.Process) {
	if first[key] == nil {
		first[key] = p
		return
	}
	u.join(first[key], p)
}
