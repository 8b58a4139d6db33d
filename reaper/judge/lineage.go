package judge

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// joinNamed joins what a list of a cluster's processes names to the home of the
// process that names it: the master of a worker, or a daemon itself. The process
// that names counts if counts says so. What an earlier pass remembers as told
// joins the home of the process that was active then, or of a process that names
// that one. Where a worker of a master could not be read, that master may have
// replaced what it names.
func (t *tree) joinNamed(c Cluster, past Past, join func(home, p *inspect.Process), counts func(Member) bool) {
	all := c.Candidates()
	living := map[inspect.ProcID]Member{}
	var older []Member // what may be named: the masters, and what has none
	for _, m := range c.masters {
		living[m.ProcID] = Member{m, kindMaster, m}
		older = append(older, Member{m, kindMaster, nil})
	}
	for _, m := range all {
		living[m.ProcID] = m
		if m.master == nil {
			older = append(older, m)
		}
	}
	named, heirs := roll[Member]{}, roll[bool]{}
	remembered := map[*inspect.Process]Seen{}
	for _, p := range older {
		named[idOf(p.Process)] = p
		seen := past.of(p.Process)
		if p.kind == kindMaster && !seen.Told {
			seen = t.rememberedOfWorkers(p.Process, past)
		}
		if seen.Told {
			remembered[p.Process] = seen
			heirs[nsPID{p.PIDNS, seen.Heir.NSPID}] = true
		}
	}
	pids, heirPIDs := named.pids(), heirs.pids()
	for _, n := range t.unread(c) {
		for _, list := range n.lists() {
			for _, pid := range common(list, pids) {
				if p, known := named[nsPID{n.master.PIDNS, pid}]; known && p.kind == kindMaster && t.joins(n, p) {
					join(n.master, p.Process)
				}
			}
		}
	}
	namers := map[sidePID]Member{} // by the heirs in their lists, the youngest of each side
	for _, n := range all {
		if !n.ready() || !counts(n) {
			continue
		}
		for _, pid := range common(n.Command.Finish, heirPIDs) {
			namers[sidePID{nsPID{n.PIDNS, pid}, sideOf(n.Process, false)}] = n
		}
		for _, list := range n.lists() {
			if n.master != nil {
				for _, pid := range common(list, heirPIDs) {
					namers[sidePID{nsPID{n.PIDNS, pid}, sideOf(n.master, true)}] = n
				}
			}
			for _, pid := range common(list, pids) {
				if p, known := named[nsPID{n.PIDNS, pid}]; known && t.joins(n, p) {
					join(n.home(), p.Process)
				}
			}
		}
	}
	for _, p := range older {
		seen, told := remembered[p.Process]
		if !told {
			continue
		}
		n, known := living[seen.Heir.ProcID]
		if !known || !n.sameSide(p) {
			n, known = namerOf(namers, seen.Heir, p)
		}
		if !known || n.kind == kindMaster && p.kind != kindMaster {
			continue
		}
		if heir := n.home(); heir != p.Process && (p.kind != kindMaster || t.kind(heir) == kindMaster && heir.StartTicks > p.StartTicks) {
			join(heir, p.Process)
		}
	}
}

// unread is a worker of each master that has one which could not be read.
func (t *tree) unread(c Cluster) (list []Member) {
	for _, m := range c.masters {
		i := slices.IndexFunc(t.children[m], func(p *inspect.Process) bool { return p.Err != nil && p.HAProxy })
		if i >= 0 {
			list = append(list, Member{t.children[m][i], t.kind(t.children[m][i]), m})
		}
	}
	return list
}

// sideOwner is what the processes of one side have in common: see sameSide.
type sideOwner struct {
	netNS  uint64
	uid    uint32
	master bool
}

func sideOf(p *inspect.Process, master bool) sideOwner { return sideOwner{p.NetNS, p.UID, master} }

// sidePID is a pid in the list of a process of a side.
type sidePID struct {
	nsPID
	sideOwner
}

// namerOf finds the youngest process of p's side, or of root's, that names the heir of
// p, which has left. Any user may name it, so each side is looked up by itself.
func namerOf(namers map[sidePID]Member, heir Heir, p Member) (n Member, known bool) {
	side := sideOf(p.Process, p.kind == kindMaster)
	root := side
	root.uid = 0
	for _, of := range []sideOwner{side, root} {
		by, named := namers[sidePID{nsPID{p.PIDNS, heir.NSPID}, of}]
		if named && by.StartTicks > max(heir.StartTicks, p.StartTicks) && by.sameSide(p) && (!known || by.StartTicks > n.StartTicks) {
			n, known = by, true
		}
	}
	return n, known
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
func (m Member) home() *inspect.Process {
	if m.master != nil {
		return m.master
	}
	return m.Process
}

// joins tells whether a list of n, or of its master, may make p one of n's
// instance: a daemon that n could tell, or an older master that n's master
// replaces.
func (t *tree) joins(n, p Member) bool {
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

// together tells whether two workers are of one instance by what names p if n does:
// p has no master, or that of n, or one that this replaces.
func (t *tree) together(n, p Member) bool {
	return p.master == nil || p.master == n.master || t.joins(n, Member{p.master, kindMaster, nil})
}

// couldTellWorkersOf tells whether a user could signal every worker of a master. A
// worker may write its own arguments, though its master wrote them first: a list in
// them replaces no master whose workers are another user's.
func (t *tree) couldTellWorkersOf(master *inspect.Process, uid uint32) bool {
	return !slices.ContainsFunc(t.children[master], func(p *inspect.Process) bool {
		return t.kind(p) == kindWorker && uid != 0 && (uid != p.UID || uid == inspect.NoUID)
	})
}

// sameSide tells whether the owner of n could tell p, and both mean the same by a
// pid and an address. A master is told by another master.
func (n Member) sameSide(p Member) bool {
	by := n.Process
	if p.kind == kindMaster {
		by = n.master
	}
	if by == nil || by.PIDNS != p.PIDNS || by.NetNS != p.NetNS {
		return false
	}
	return by.SameUser(p.Process) || by.UID == 0 && p.kind != kindMaster
}

// lineages sorts a cluster into instances, now that its sockets were looked at.
// without are the processes of no instance: they hold no listener, and nothing
// ties them to a process that does.
func (t *tree) lineages(c Cluster, past Past) (groups []*Group, without []*inspect.Process) {
	u := union{}
	all := c.Candidates()
	by := tellers(all, func(p *inspect.Process) bool { return past.of(p).Told }, t.together)
	// Only a list, or the memory of one, makes two masters one instance, and a master
	// is replaced once. So what belongs to a master already belongs to no other.
	ofMaster := func(p *inspect.Process) bool {
		return slices.ContainsFunc(c.masters, func(m *inspect.Process) bool { return u.find(m) == u.find(p) })
	}
	replaced := map[*inspect.Process]bool{}
	join := func(home, p *inspect.Process) {
		if t.kind(p) == kindMaster && !replaced[p] || !ofMaster(home) || !ofMaster(p) {
			u.join(home, p)
		}
		replaced[p] = replaced[p] || t.kind(p) == kindMaster
	}
	t.joinNamed(c, past, join, func(n Member) bool {
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
	t.joinClients(u, c, past, heads)
	bySet := map[*inspect.Process]*Group{}
	for _, m := range c.masters {
		g := bySet[u.find(m)]
		if g == nil {
			g = &Group{Model: ModelMasterWorker}
			bySet[u.find(m)] = g
			groups = append(groups, g)
		}
		if g.Master != nil { // the youngest replaced the others
			g.replaced = append(g.replaced, g.Master)
		}
		g.Master = m
		g.Key = "master " + m.ProcID.String()
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
			g = &Group{Model: ModelDaemon, Key: "daemon " + p.ProcID.String()}
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
func (t *tree) joinAlike(c Cluster, join func(home, p *inspect.Process)) {
	unread := map[string]bool{}
	for _, p := range c.roots {
		unread[t.service(p)] = unread[t.service(p)] || p.Sockets == nil
	}
	words := numbers{}
	first := map[meeting]*inspect.Process{}
	beside := map[meeting][]*inspect.Process{} // a master's worker
	of := generations(c.roots)
	for _, p := range c.roots {
		service := t.service(p)
		places := meetings(p, words.of(service))
		if unread[service] {
			places = append(places, meeting{service: words.of(service)})
		}
		join(of.find(p), p)
		for _, at := range places {
			if first[at] == nil {
				first[at] = p
			}
			join(first[at], p)
		}
		service = t.besideMasters(p)
		if p.Sockets == nil {
			at := meeting{service: words.of(service)}
			beside[at] = append(beside[at], p)
		}
		for _, at := range meetings(p, words.of(service)) {
			beside[at] = append(beside[at], p)
		}
	}
	for _, m := range c.Candidates() {
		if m.master == nil {
			continue
		}
		for _, service := range t.servicesFor(m.master, m.UID) {
			number := words.of(service)
			for _, at := range append(meetings(m.Process, number), meeting{service: number}) {
				for _, p := range beside[at] {
					join(m.master, p)
				}
			}
		}
	}
}

// meeting is where processes of one service meet: an address, or a socket.
type meeting struct {
	service int // by its number
	address string
	inode   uint64
}

// meetings are those of the listeners of a process.
func meetings(p *inspect.Process, service int) []meeting {
	if p.Sockets == nil {
		return nil
	}
	var list []meeting
	for _, l := range p.Sockets.Listening {
		list = append(list, meeting{service: service, address: l.String()}, meeting{service: service, inode: l.Inode})
	}
	return list
}

// numbers gives each text a number: it is needed for each socket of a process.
type numbers map[string]int

func (n numbers) of(text string) int {
	if _, known := n[text]; !known {
		n[text] = len(n)
	}
	return n[text]
}

// joinClients joins each process that holds no listener to the set of one service
// with it whose active is younger and has a listener, paused or not, on the address of
// one of its connections. Connections that were not read may be there. What is younger
// than the active is no old worker of it: a service of its own that has stopped. Of what
// is remembered as told only a connection that it accepted for sure says so: the process
// would be signalled, and its own service may have ended.
func (t *tree) joinClients(u union, c Cluster, past Past, heads map[*inspect.Process]bool) {
	type home struct {
		set     *inspect.Process
		workers []*inspect.Process
		active  *inspect.Process // the youngest of them
		master  *inspect.Process // its master
		places  *Places
	}
	of := map[*inspect.Process]*home{}
	var all []*home // those with a head
	for _, m := range c.Candidates() {
		set := u.find(m.home())
		if !heads[set] || m.kind != kindWorker {
			continue
		}
		if of[set] == nil {
			of[set] = &home{set: set}
			all = append(all, of[set])
		}
		h := of[set]
		h.workers, h.active, h.master = append(h.workers, m.Process), m.Process, m.master
	}
	homes := map[string][]*home{} // by the services of their actives
	for _, h := range all {
		h.places = Served(Youngest(h.workers))
		services := []string{t.service(h.active)}
		if h.master != nil {
			services = t.servicesFor(h.master, h.active.UID)
		}
		for _, service := range services {
			homes[service] = append(homes[service], h)
		}
	}
	belongs := func(p *inspect.Process, at *Places) bool {
		if past.of(p).Told {
			return acceptedAt(p, at)
		}
		return mayBelong(p, at)
	}
	for _, p := range c.roots {
		if heads[u.find(p)] || mayServe(p) {
			continue
		}
		for _, h := range slices.Concat(homes[t.service(p)], homes[t.besideMasters(p)]) {
			if p.StartTicks <= h.active.StartTicks && belongs(p, h.places) {
				u.join(h.set, p)
				break
			}
		}
	}
}
