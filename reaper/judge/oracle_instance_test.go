package judge

import (
	"cmp"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// How the oracle tells which processes are of one service.
//
// Who belongs together says who was told, and who was told says who belongs
// together. So the oracle first tells by what would be together if the lists are
// right, then joins one by one, and then tells again.

// instance is one service. disturbers are those that look like a part of it and
// fit no role in it.
type instance struct {
	master     *inspect.Process // nil: daemon mode
	members    []*inspect.Process
	disturbers []*inspect.Process
}

// learned is what the oracle has found out so far.
type learned struct {
	service  map[*inspect.Process]int // of masters and of what has none
	told     map[*inspect.Process]bool
	replaced map[*inspect.Process]bool // masters
	changed  bool
}

// learn finds out all that can be.
func (o oracle) learn() *learned {
	l := &learned{map[*inspect.Process]int{}, map[*inspect.Process]bool{}, map[*inspect.Process]bool{}, true}
	for i, p := range o.procs {
		l.service[p] = i
		l.told[p] = o.believed(p).Told
	}
	o.until(l, o.tellBefore)
	o.eachTwo(l, o.replace, o.joinNamed)
	o.eachTwo(l, o.replaceRemembered, o.joinRemembered)
	o.eachTwo(l, o.joinAlike)
	o.eachTwo(l, o.joinBeside)
	o.joinConnected(l)
	for _, p := range o.procs { // the master CLI is asked last
		l.told[p] = o.believed(p).Told || stopping(p)
	}
	o.until(l, o.tell)
	return l
}

// until does to each two processes what may be, until nothing changes.
func (o oracle) until(l *learned, may func(l *learned, n, p *inspect.Process)) {
	for l.changed = true; l.changed; {
		l.changed = false
		o.eachTwo(l, may)
	}
}

// eachTwo does it once, the oldest first.
func (o oracle) eachTwo(l *learned, may ...func(l *learned, n, p *inspect.Process)) {
	for _, n := range o.byAge() {
		for _, p := range o.byAge() {
			for _, does := range may {
				does(l, n, p)
			}
		}
	}
}

func (o oracle) byAge() []*inspect.Process {
	list := slices.Clone(o.procs)
	slices.SortFunc(list, func(a, b *inspect.Process) int {
		return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
	})
	return list
}

// joins: its list says who is of its service. It is a ready worker that holds a
// listener, paused or not, or may, or was told itself.
func (o oracle) joins(l *learned, n *inspect.Process) bool {
	return o.kind(n) == "worker" && ready(n) && (o.mayServe(n) || l.told[n])
}

// counts: its list tells. It is a ready worker that listens, or was told itself.
func (o oracle) counts(l *learned, n *inspect.Process) bool {
	return o.kind(n) == "worker" && ready(n) && (listens(n) || l.told[n])
}

// stands: a worker or an orphan that is nobody's child.
func (o oracle) stands(p *inspect.Process) bool {
	k := o.kind(p)
	return o.head(p) == nil && (k == "worker" || k == "orphan")
}

// home is what stands for a worker: its master, or itself.
func (o oracle) home(n *inspect.Process) *inspect.Process {
	if m := o.masterOf(n); m != nil {
		return m
	}
	return n
}

// join makes one service of two, unless each has a master of its own.
func (o oracle) join(l *learned, p, q *inspect.Process) {
	a, b := l.service[p], l.service[q]
	if a == b || o.masterIn(l, a) != nil && o.masterIn(l, b) != nil {
		return
	}
	for of, number := range l.service {
		if number == a {
			l.service[of] = b
		}
	}
	l.changed = true
}

// masterIn is the master of a service that no other has replaced.
func (o oracle) masterIn(l *learned, service int) *inspect.Process {
	for _, p := range o.procs {
		if l.service[p] == service && o.kind(p) == "master" && !l.replaced[p] {
			return p
		}
	}
	return nil
}

// replace: n is a worker that names m, or whose master does. That stands in the place
// of m.
func (o oracle) replace(l *learned, n, m *inspect.Process) {
	if o.masterOf(n) != nil && o.joins(l, n) && o.namesMaster(n, m) {
		o.standsFor(l, o.masterOf(n), m)
	}
}

// namesMaster: a worker or its younger master names another master, of their side. The
// worker's list counts if it could tell all workers of that.
func (o oracle) namesMaster(n, m *inspect.Process) bool {
	by := o.masterOf(n)
	mayTell := n.UID == 0 || !slices.ContainsFunc(o.childrenOf(m), func(p *inspect.Process) bool { return p.UID != n.UID })
	return n.PIDNS == by.PIDNS && o.mayStandFor(by, m) && (names(by, m) || names(n, m) && mayTell)
}

func (o oracle) mayStandFor(by, m *inspect.Process) bool {
	return o.kind(m) == "master" && by.StartTicks > m.StartTicks && by.UID == m.UID && here(by, m)
}

// replaceRemembered: n is the master that stood in the place of m, or a worker of it,
// or names what did and has left.
func (o oracle) replaceRemembered(l *learned, n, m *inspect.Process) {
	by := o.masterOf(n)
	if o.kind(n) == "master" {
		by = n
	}
	seen := o.rememberedOfMaster(m)
	if by == nil || !seen.Told || seen.Heir.PID == 0 || n.PIDNS != by.PIDNS {
		return
	}
	heir := &inspect.Process{ProcID: seen.Heir.ProcID, NSPID: seen.Heir.NSPID, PIDNS: m.PIDNS}
	if n.ProcID == heir.ProcID || !o.lives(heir, m) && o.joins(l, n) && (names(by, heir) || names(n, heir)) {
		o.standsFor(l, by, m)
	}
}

// standsFor puts a younger master into the place of m, if both are of one side and
// no other is there.
func (o oracle) standsFor(l *learned, by, m *inspect.Process) {
	if !l.replaced[m] && o.mayStandFor(by, m) {
		l.replaced[m] = true
		o.join(l, m, by)
		l.changed = true
	}
}

// lives tells whether the very heir of p is there, is of p's side, and may be one: a
// master or its worker of a master, a worker or an orphan of what has none.
func (o oracle) lives(heir, p *inspect.Process) bool {
	return slices.ContainsFunc(o.procs, func(q *inspect.Process) bool {
		by, may := q, o.masterOf(q) != nil || o.stands(q) || o.kind(q) == "master"
		if o.kind(p) == "master" {
			by = o.home(q)
			may = o.kind(by) == "master"
		}
		return q.ProcID == heir.ProcID && may && here(p, by) && (by.UID == p.UID || by.UID == 0 && o.kind(p) != "master")
	})
}

// childrenOf are the workers of a master.
func (o oracle) childrenOf(m *inspect.Process) []*inspect.Process {
	return slices.DeleteFunc(o.byAge(), func(p *inspect.Process) bool { return o.masterOf(p) != m })
}

// rememberedOfMaster is what is believed of a master, or of its youngest worker where
// all of them were told and none listens.
func (o oracle) rememberedOfMaster(m *inspect.Process) Seen {
	seen := o.believed(m)
	if seen.Told {
		return seen
	}
	for _, p := range o.childrenOf(m) {
		if seen = o.believed(p); !seen.Told || listens(p) {
			return Seen{}
		}
	}
	return seen
}

// joinNamed: n names p.
func (o oracle) joinNamed(l *learned, n, p *inspect.Process) {
	if o.mayJoin(n, p) && names(n, p) && o.joins(l, n) {
		o.join(l, p, o.home(n))
	}
}

// joinRemembered: n is what was active when p was last seen told, or names that, which
// has left.
func (o oracle) joinRemembered(l *learned, n, p *inspect.Process) {
	seen := o.believed(p)
	if !seen.Told || seen.Heir.PID == 0 || !o.mayJoin(n, p) {
		return
	}
	heir := &inspect.Process{ProcID: seen.Heir.ProcID, NSPID: seen.Heir.NSPID, PIDNS: p.PIDNS}
	if n.ProcID == heir.ProcID || !o.lives(heir, p) && names(n, heir) && n.StartTicks > p.StartTicks && o.joins(l, n) {
		o.join(l, p, o.home(n))
	}
}

// mayJoin: p has no master, and n could have told it.
func (o oracle) mayJoin(n, p *inspect.Process) bool {
	worker := o.masterOf(n) != nil || o.stands(n)
	return o.stands(p) && worker && n != p && (n.UID == 0 || n.UID == p.UID) && here(n, p)
}

// tell: a ready, strictly younger worker of its service has its pid, or its
// replaced master's, in its list.
func (o oracle) tell(l *learned, n, p *inspect.Process) {
	if !l.told[p] && o.tells(l, n, p) {
		l.told[p], l.changed = true, true
	}
}

// tellBefore is tell before it is known what is of one service. It is if p has no
// master, or the same, or one that n's master stands for.
func (o oracle) tellBefore(l *learned, n, p *inspect.Process) {
	m, by := o.masterOf(p), o.masterOf(n)
	together := m == nil && here(n, p) || m != nil && m == by || m != nil && by != nil && o.namesMaster(n, m)
	if together && !l.told[p] && o.counts(l, n) && o.mayTell(n, p) {
		l.told[p], l.changed = true, true
	}
}

func (o oracle) tells(l *learned, n, p *inspect.Process) bool {
	return o.counts(l, n) && o.mayTell(n, p) && l.service[o.home(n)] == l.service[o.home(p)]
}

// mayTell: it has its pid, or its replaced master's, in its list, and runs as root or
// as the same user; for two workers of one master it is enough that the master does.
// Or its master names the replaced one.
func (o oracle) mayTell(n, p *inspect.Process) bool {
	m, by := o.masterOf(p), o.masterOf(n)
	its := n.UID == 0 || n.UID == p.UID
	told := names(n, p) && (its || m != nil && m == by && (m.UID == 0 || m.UID == p.UID))
	if m != nil && by != nil && m != by {
		told = told || names(n, m) && its || names(by, m) && m.UID == by.UID
	}
	return o.kind(n) == "worker" && n.StartTicks > p.StartTicks && told
}

// joinAlike: siblings, what listens on one address or holds one listener, and what
// could not be looked at.
func (o oracle) joinAlike(l *learned, p, q *inspect.Process) {
	if p == q || !o.stands(p) || !o.stands(q) || !alike(p, q) {
		return
	}
	if siblings(p, q) || onePlace(p, q) || p.Sockets == nil || q.Sockets == nil {
		o.join(l, p, q)
	}
}

// joinBeside: what listens beside a master's worker n, or may, is of its service.
func (o oracle) joinBeside(l *learned, n, p *inspect.Process) {
	if m := o.masterOf(n); m != nil && o.stands(p) && o.alikeMasters(p, n) && (p.Sockets == nil || onePlace(p, n)) {
		o.join(l, p, m)
	}
}

// alikeMasters: alike a worker of a master, which is where its master is.
func (o oracle) alikeMasters(p, q *inspect.Process) bool {
	m := o.masterOf(q)
	return p.UID == q.UID && ofOneMaster(p, m) && here(p, m)
}

// ofOneMaster: a process without a master has the arguments of one. A process that has
// changed its root has no working directory to tell.
func ofOneMaster(p, m *inspect.Process) bool {
	return arguments(p) == arguments(m) || p.Dir == "" && written(p) == written(m)
}

// joinConnected: what has no listener, and holds a connection on an address of the
// younger active of a service.
func (o oracle) joinConnected(l *learned) {
	before := l.service
	l.service = map[*inspect.Process]int{}
	for p, number := range before {
		l.service[p] = number
	}
	// Of several services it is of a daemon's rather than of a master's, and of the one
	// that began first.
	daemonsFirst := slices.Concat(
		slices.DeleteFunc(o.byAge(), func(q *inspect.Process) bool { return o.activeHasMaster(before, before[o.home(q)]) }),
		slices.DeleteFunc(o.byAge(), func(q *inspect.Process) bool { return !o.activeHasMaster(before, before[o.home(q)]) }))
	for _, p := range o.byAge() {
		if !o.stands(p) || o.mayServe(p) || o.serves(l.service, l.service[p]) {
			continue
		}
		for _, first := range daemonsFirst {
			number := before[o.home(first)]
			workers := o.workersOf(before, number)
			if number == before[p] || !slices.Contains(workers, first) || !o.serves(before, number) {
				continue
			}
			if p.StartTicks > workers[len(workers)-1].StartTicks {
				continue
			}
			// What was not read may be there. What would be signalled for what is remembered
			// has to be there for sure.
			connected := func(to []inspect.Listener) bool {
				if o.believed(p).Told {
					return isAccepted(p, to)
				}
				return p.Sockets.Ends == nil || isConnected(p, to)
			}
			i := slices.IndexFunc(generation(workers), func(a *inspect.Process) bool {
				return (o.masterOf(a) != nil && o.alikeMasters(p, a) || o.masterOf(a) == nil && alike(p, a)) && connected(allListeners(a))
			})
			if i >= 0 {
				o.join(l, p, o.home(first))
				break
			}
		}
	}
	l.changed = true
}

// activeHasMaster tells whether the active of a service is a master's worker.
func (o oracle) activeHasMaster(service map[*inspect.Process]int, number int) bool {
	return slices.ContainsFunc(generation(o.workersOf(service, number)), func(a *inspect.Process) bool { return o.masterOf(a) != nil })
}

// mayServe: it listens, or it is not known that it does not.
func (o oracle) mayServe(p *inspect.Process) bool { return hasListener(p) || p.Sockets == nil }

// serves: a service has a master, or a worker that may serve.
func (o oracle) serves(service map[*inspect.Process]int, number int) bool {
	return slices.ContainsFunc(o.procs, func(p *inspect.Process) bool {
		k := o.kind(p)
		return service[p] == number && (k == "master" || k == "worker" && o.stands(p) && o.mayServe(p))
	})
}

// workersOf are the workers of a service, its masters' and those without one.
func (o oracle) workersOf(service map[*inspect.Process]int, number int) []*inspect.Process {
	return slices.DeleteFunc(o.byAge(), func(p *inspect.Process) bool {
		return o.kind(p) != "worker" || o.masterOf(p) == nil && !o.stands(p) || service[o.home(p)] != number
	})
}

// generation is the youngest of some workers.
func generation(workers []*inspect.Process) []*inspect.Process {
	if len(workers) == 0 {
		return nil
	}
	return generationOf(workers, workers[len(workers)-1])
}

// generationOf is a worker with its siblings, and theirs.
func generationOf(workers []*inspect.Process, p *inspect.Process) []*inspect.Process {
	all := []*inspect.Process{p}
	for i := 0; i < len(all); i++ {
		for _, q := range workers {
			if !slices.Contains(all, q) && siblings(all[i], q) {
				all = append(all, q)
			}
		}
	}
	return all
}

// believed is what is remembered of a process, if whoever wrote that could signal
// it anyway.
func (o oracle) believed(p *inspect.Process) Seen {
	past := o.past()
	if past.Owner != nil && (*past.Owner == 0 || *past.Owner == p.UID) {
		seen := past.Memory[p.ProcID]
		if seen.Heir.StartTicks < p.StartTicks { // nothing is told by what is older
			seen.Told = false
		}
		return seen
	}
	return Seen{}
}

// stopping: the master CLI says so.
func stopping(p *inspect.Process) bool { return p.CLI != nil && p.CLI.Stopping }

// instanceOf is the service that a process is a part of, nil when of none.
func (o oracle) instanceOf(p *inspect.Process) *instance {
	for _, in := range o.instances() {
		if slices.Contains(in.members, p) {
			return in
		}
	}
	return nil
}

func (o oracle) instances() []*instance {
	l := o.learned
	var list []*instance
	for number := range o.procs {
		if !o.serves(l.service, number) {
			continue
		}
		in := &instance{master: o.masterIn(l, number)}
		for _, p := range o.procs {
			top := o.head(p)
			if o.kind(p) == "master" || o.stands(p) {
				top = p
			}
			if top != nil && l.service[top] == number {
				in.members = append(in.members, p)
			}
		}
		list = append(list, in)
	}
	for _, p := range o.procs {
		if o.head(p) != nil || o.kind(p) != "starting" {
			continue
		}
		for _, in := range list {
			if o.mayStartFor(p, in) {
				in.disturbers = append(in.disturbers, p)
			}
		}
	}
	return list
}

// mayStartFor: a process that is not ready, of root's or of the user of one of the
// service's, or of an owner that could not be read, names a worker or master of it, has
// its arguments, or shares the unit.
// In a master's own cgroup it may be any user's: only root put it there.
func (o oracle) mayStartFor(p *inspect.Process, in *instance) bool {
	its := p.UID == 0 || p.UID == inspect.NoUID || slices.ContainsFunc(in.members, func(q *inspect.Process) bool { return o.kind(q) != "check" && p.UID == q.UID })
	for _, q := range in.members {
		k := o.kind(q)
		server := k == "worker" || k == "master"
		together := server && ownUnit(p) != "" && p.Cgroup == q.Cgroup
		near := server && here(p, q) && (names(p, q) || arguments(p) == arguments(q) || k == "master" && ofOneMaster(p, q))
		if its && (near || together) || together && q == in.master {
			return true
		}
	}
	return false
}

func ownUnit(p *inspect.Process) string {
	if inspect.IsSessionUnit(p.Unit) || p.Unit == "" {
		return ""
	}
	return p.Cgroup
}
