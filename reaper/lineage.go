package reaper

import (
	"fmt"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// joinNamed joins what a list of a cluster's processes names to the home of the
// process that names it: the master of a worker, or a daemon itself. The process
// that names counts if counts says so. What an earlier pass remembers as told
// joins the home of the process that was active then, or of a process that names
// that one.
func (t *tree) joinNamed(c cluster, past Past, join func(home, p *inspect.Process), counts func(member) bool) {
	all := t.candidates(c)
	home := map[inspect.ProcID]*inspect.Process{}
	named := map[nsPID]member{}
	for _, m := range c.masters {
		home[m.ProcID] = m
		named[idOf(m)] = member{m, kindMaster, nil}
	}
	for _, m := range all {
		home[m.ProcID] = m.home()
		if m.master == nil {
			named[idOf(m.Process)] = m
		}
	}
	namers := map[nsPID]member{} // by the pids in their lists, the youngest of each
	for _, n := range all {
		if n.kind != kindWorker || !counts(n) {
			continue
		}
		for _, pid := range n.listed() {
			id := nsPID{n.PIDNS, pid}
			namers[id] = n
			if p, known := named[id]; known && t.joins(n, p) {
				join(n.home(), p.Process)
			}
		}
	}
	for _, p := range named {
		seen := past.of(p.Process)
		if p.kind == kindMaster && !seen.Told {
			seen = t.rememberedOfWorkers(p.Process, past)
		}
		if !seen.Told {
			continue
		}
		heir := home[seen.Heir.ProcID]
		if n, known := namers[nsPID{p.PIDNS, seen.Heir.NSPID}]; heir == nil && known && n.StartTicks > seen.Heir.StartTicks && n.sameSide(p) {
			heir = n.home()
		}
		if heir != nil && heir != p.Process && (p.kind != kindMaster || t.kind(heir) == kindMaster && heir.StartTicks > p.StartTicks) {
			join(heir, p.Process)
		}
	}
}

// rememberedOfWorkers is what is remembered of the youngest worker of a master, if
// all of them were told to stop and none listens: then the master was replaced. A
// state of the workers' user says nothing of a master of root's itself.
func (t *tree) rememberedOfWorkers(master *inspect.Process, past Past) (seen Seen) {
	for _, p := range t.children[master] {
		if t.kind(p) != kindWorker {
			continue
		}
		if seen = past.of(p); !seen.Told || listens(p) {
			return Seen{}
		}
	}
	return seen
}

// home is what stands for a worker among its kind: its master, or itself.
func (m member) home() *inspect.Process {
	if m.master != nil {
		return m.master
	}
	return m.Process
}

// joins tells whether a list of n, or of its master, may make p one of n's
// instance: a daemon that n could tell, or an older master that n's master
// replaces.
func (t *tree) joins(n, p member) bool {
	if !n.sameSide(p) {
		return false
	}
	if p.kind != kindMaster {
		return Names(n.Process, p.Process)
	}
	m := n.master
	if m == nil || m == p.Process || m.StartTicks <= p.StartTicks {
		return false
	}
	return Names(m, p.Process) || Names(n.Process, p.Process) && t.couldTellWorkersOf(p.Process, n.UID)
}

// couldTellWorkersOf tells whether a user could signal every worker of a master. A
// worker may write its own arguments, though its master wrote them first: a list in
// them replaces no master whose workers are another user's.
func (t *tree) couldTellWorkersOf(master *inspect.Process, uid uint32) bool {
	return !slices.ContainsFunc(t.children[master], func(p *inspect.Process) bool {
		return t.kind(p) == kindWorker && uid != 0 && uid != p.UID
	})
}

// sameSide tells whether the owner of n could tell p, and both mean the same by a
// pid and an address.
func (n member) sameSide(p member) bool {
	if n.PIDNS != p.PIDNS || n.NetNS != p.NetNS {
		return false
	}
	if p.kind == kindMaster {
		return n.master != nil && n.master.UID == p.UID
	}
	return n.UID == p.UID || n.UID == 0
}

// lineages sorts a cluster into instances, now that its sockets were looked at.
// without are the processes of no instance: they hold no listener, and nothing
// ties them to a process that does.
func (t *tree) lineages(c cluster, past Past) (groups []*group, without []*inspect.Process) {
	u := union{}
	all := t.candidates(c)
	by := tellers(all, func(p *inspect.Process) bool { return past.of(p).Told })
	// Only a list, or the memory of one, makes two masters one instance. So what
	// belongs to a master already belongs to no other.
	ofMaster := func(p *inspect.Process) bool {
		return slices.ContainsFunc(c.masters, func(m *inspect.Process) bool { return u.find(m) == u.find(p) })
	}
	join := func(home, p *inspect.Process) {
		if t.kind(p) == kindMaster || !ofMaster(home) || !ofMaster(p) {
			u.join(home, p)
		}
	}
	t.joinNamed(c, past, join, func(n member) bool {
		return mayServe(n.Process) || by[n.Process] != nil || past.of(n.Process).Told
	})
	t.joinAlike(c, join)
	heads := map[*inspect.Process]bool{}
	for _, m := range c.masters {
		heads[u.find(m)] = true
	}
	for _, p := range c.roots {
		if t.kind(p) == kindWorker && mayServe(p) {
			heads[u.find(p)] = true
		}
	}
	t.joinClients(u, c, heads)
	bySet := map[*inspect.Process]*group{}
	for _, m := range c.masters {
		g := bySet[u.find(m)]
		if g == nil {
			g = &group{model: ModelMasterWorker}
			bySet[u.find(m)] = g
			groups = append(groups, g)
		}
		if g.master != nil { // the youngest replaced the others
			g.replaced = append(g.replaced, g.master)
		}
		g.master = m
		g.key = "master " + m.ProcID.String()
		g.add(m, kindMaster, nil)
		for _, p := range t.children[m] {
			if k := t.kind(p); k != kindMaster {
				g.add(p, k, m)
			}
		}
	}
	for _, p := range c.roots {
		set := u.find(p)
		if !heads[set] {
			without = append(without, p)
			continue
		}
		g := bySet[set]
		if g == nil {
			g = &group{model: ModelDaemon, key: "daemon " + p.ProcID.String()}
			bySet[set] = g
			groups = append(groups, g)
		}
		g.add(p, t.kind(p), nil)
	}
	return groups, without
}

// mayServe tells whether a process holds a listener of any kind, or may.
func mayServe(p *inspect.Process) bool {
	s := p.Sockets
	return s == nil || len(s.Listening)+len(s.Paused)+len(s.Bound) > 0
}

// joinAlike joins processes of one service that are siblings, that listen on one
// address or hold one socket, and those that could not be looked at.
func (t *tree) joinAlike(c cluster, join func(home, p *inspect.Process)) {
	unread := map[string]bool{}
	for _, p := range c.roots {
		unread[t.service(p)] = unread[t.service(p)] || p.Sockets == nil
	}
	first := map[string]*inspect.Process{}
	for _, m := range c.masters {
		for _, service := range t.servicesOf(m) {
			for _, p := range t.children[m] {
				for _, place := range placesOf(p, service) {
					if first[place] == nil {
						first[place] = m
					}
				}
			}
		}
	}
	of := generations(c.roots)
	for _, p := range c.roots {
		service := t.service(p)
		words := slices.Concat(placesOf(p, service), placesOf(p, masterService(p, p.UID)))
		if unread[service] {
			words = append(words, service)
		}
		join(of.find(p), p)
		for _, word := range words {
			if first[word] == nil {
				first[word] = p
			}
			join(first[word], p)
		}
	}
}

// placesOf are a word for each address that a process listens on, and for each of
// its listeners, as one of a service.
func placesOf(p *inspect.Process, service string) (words []string) {
	if p.Sockets == nil {
		return nil
	}
	for _, l := range p.Sockets.Listening {
		words = append(words, fmt.Sprintf("%s at %s", service, l), fmt.Sprintf("%s socket %d", service, l.Inode))
	}
	return words
}

// joinClients joins each process that holds no listener to the set of one service
// with it whose active has a listener, paused or not, on the address of one of its
// connections. Connections that were not read may be there.
func (t *tree) joinClients(u union, c cluster, heads map[*inspect.Process]bool) {
	workers := map[*inspect.Process][]*inspect.Process{} // of the sets with a head
	for _, m := range t.candidates(c) {
		if set := u.find(m.home()); heads[set] && m.kind == kindWorker {
			workers[set] = append(workers[set], m.Process)
		}
	}
	homes := map[string][]*inspect.Process{}
	for _, m := range c.masters {
		for _, service := range t.servicesOf(m) {
			homes[service] = append(homes[service], u.find(m))
		}
	}
	for set, list := range workers {
		service := t.service(list[len(list)-1])
		homes[service] = append(homes[service], set)
	}
	for _, p := range c.roots {
		if heads[u.find(p)] || p.Sockets == nil {
			continue
		}
		for _, set := range slices.Concat(homes[t.service(p)], homes[masterService(p, p.UID)]) {
			if p.Sockets.Ends == nil || connectedTo(p, served(youngest(workers[set]))) {
				u.join(set, p)
				break
			}
		}
	}
}
