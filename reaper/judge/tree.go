package judge

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// tree is the family tree of a look's processes.
type tree struct {
	processes []*inspect.Process // in order of start
	byPID     map[int]*inspect.Process
	children  map[*inspect.Process][]*inspect.Process
	kinds     map[*inspect.Process]kind
	services  map[*inspect.Process]string
	// What is compared with many others is made once.
	identities, written map[*inspect.Process]string
}

func newTree(processes []*inspect.Process) *tree {
	processes = slices.SortedFunc(slices.Values(processes), compareStart)
	t := &tree{
		processes: processes, byPID: map[int]*inspect.Process{}, children: map[*inspect.Process][]*inspect.Process{},
		kinds: map[*inspect.Process]kind{}, services: map[*inspect.Process]string{},
		identities: map[*inspect.Process]string{}, written: map[*inspect.Process]string{},
	}
	for _, p := range processes {
		t.byPID[p.PID] = p
	}
	for _, p := range processes {
		if parent := t.parent(p); parent != nil {
			t.children[parent] = append(t.children[parent], p)
		}
	}
	return t
}

// parent is a process's parent, if that runs HAProxy. One that is younger than
// its child has only its pid.
func (t *tree) parent(p *inspect.Process) *inspect.Process {
	parent := t.byPID[p.PPID]
	if parent == nil || parent == p || !parent.HAProxy || parent.StartTicks > p.StartTicks {
		return nil
	}
	return parent
}

// isMaster tells a master from what else runs HAProxy: by its signal handlers,
// and in the middle of a reload (up to 3.0 it has none then, and blocks its
// signals) by its children.
func (t *tree) isMaster(p *inspect.Process) bool {
	return p.Signals.Master() || p.Signals.Reloading() && !p.Signals.Ready() && t.hasHAProxyChild(p)
}

// IsReady tells a worker that serves, or is told to stop, from one that is on
// its way: a master's child has its master's handlers for an instant.
func IsReady(p *inspect.Process) bool { return p.Signals.Ready() && !p.Signals.Master() }

func (t *tree) hasHAProxyChild(p *inspect.Process) bool {
	for _, c := range t.children[p] {
		if c.HAProxy {
			return true
		}
	}
	return false
}

// kind tells what a process is. A process whose parent is no part of an
// instance stands for itself.
func (t *tree) kind(p *inspect.Process) kind {
	if k, known := t.kinds[p]; known {
		return k
	}
	t.kinds[p] = kindStarting // ends a cycle, which parents that are older than their children cannot make
	k := t.findKind(p)
	t.kinds[p] = k
	return k
}

func (t *tree) findKind(p *inspect.Process) kind {
	alone := kindStarting
	if IsReady(p) {
		alone = kindWorker
	}
	parent := t.parent(p)
	switch {
	case !p.HAProxy && !t.renamed(p):
		return kindProgram
	case parent == nil:
		if t.isMaster(p) {
			return kindMaster
		}
		if alone == kindWorker && orphaned(p) {
			return kindOrphan
		}
		return alone
	}
	switch t.kind(parent) {
	case kindMaster:
		switch {
		case !t.ofMaster(p, parent):
			if t.isMaster(p) {
				return kindMaster // a program that is a HAProxy service itself
			}
			return kindProgram
		case IsReady(p), t.leaving(p, parent):
			return kindWorker
		}
		// Also the first instant of any child: it still has its master's handlers.
		return kindStarting
	case kindWorker, kindCheck, kindOrphan:
		return kindCheck
	}
	// The parent is on its way out: a launcher, about to leave its daemon alone.
	if t.isMaster(p) {
		return kindMaster
	}
	return alone
}

// ofMaster tells a master's worker from its programs: a worker has the arguments
// of its master. Paths are compared as they are written, since a worker that has
// changed its root no longer knows the directory that it was started in.
func (t *tree) ofMaster(p, master *inspect.Process) bool {
	return t.writtenIdentity(p) == t.writtenIdentity(master)
}

func (t *tree) writtenIdentity(p *inspect.Process) string {
	return once(t.written, p, func() string { return p.Command.Identity("") })
}

func (t *tree) identity(p *inspect.Process) string { return once(t.identities, p, p.Identity) }

// once is what find finds for a process, which is kept.
func once(kept map[*inspect.Process]string, p *inspect.Process, find func() string) string {
	if _, known := kept[p]; !known {
		kept[p] = find()
	}
	return kept[p]
}

// renamed tells a master's worker whose executable was given another name after
// its start, as by `mv haproxy haproxy.old`. The kernel shows the new name of the
// file. The name of the process, its signal handlers and its arguments stay.
func (t *tree) renamed(p *inspect.Process) bool {
	master := t.parent(p)
	return master != nil && t.kind(master) == kindMaster && p.Forked && p.Comm == master.Comm && IsReady(p) && t.ofMaster(p, master)
}

// orphaned tells a process that has lost the HAProxy that forked it: a worker
// without its master, or a check without its daemon. A daemon stands for itself.
// Up to 3.0 it serves for an instant before it begins its session, so that of -D
// is told by its arguments. A check that it has left behind looks the same until it
// runs its program.
func orphaned(p *inspect.Process) bool {
	return !standsAlone(p) && !(p.Command.Daemon && !p.Command.MasterWorker)
}

// standsAlone tells a process that is no part of another: a daemon leads a session
// of its own (-D, 1.5 to 3.4), and one of -db has executed its program itself.
func standsAlone(p *inspect.Process) bool { return !p.Forked || p.Session == p.PID }

// owner is the process that a child belongs to the group of: its master, or the
// worker that it is a check of. nil for a process that stands for itself.
func (t *tree) owner(p *inspect.Process) *inspect.Process {
	for q := t.parent(p); q != nil; q = t.parent(q) {
		switch t.kind(q) {
		case kindMaster, kindWorker, kindOrphan:
			return q
		case kindStarting, kindProgram:
			return nil
		}
	}
	return nil
}
