package reaper

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// How the oracle tells what a process is, and which are of one service.

func bit(mask uint64, signal unix.Signal) bool { return mask>>(uint(signal)-1)&1 != 0 }

func hasMasterHandlers(p *inspect.Process) bool {
	c := p.Signals.Caught
	return bit(c, unix.SIGTERM) && (bit(c, unix.SIGCHLD) || bit(c, unix.SIGUSR2))
}

func holdsSignalsBack(p *inspect.Process) bool {
	b := p.Signals.Blocked
	return bit(b, unix.SIGHUP) || bit(b, unix.SIGUSR1) || hasMasterHandlers(p) && bit(b, unix.SIGUSR2)
}

func takesUSR1(p *inspect.Process) bool {
	return bit(p.Signals.Caught, unix.SIGUSR1) && !bit(p.Signals.Blocked, unix.SIGUSR1)
}

// ready: finished starting, be it to serve or to stop.
func ready(p *inspect.Process) bool { return takesUSR1(p) && !hasMasterHandlers(p) }

// parent is the HAProxy that a process is a child of, nil when that is none. A
// pid that started after its child is another process's by now.
func (o oracle) parent(p *inspect.Process) *inspect.Process {
	for _, q := range o.procs {
		if q != p && q.HAProxy && q.PID == p.PPID && q.StartTicks <= p.StartTicks {
			return q
		}
	}
	return nil
}

// looksLikeMaster: by its handlers; amid a reload it has none, but a child.
func (o oracle) looksLikeMaster(p *inspect.Process) bool {
	child := slices.ContainsFunc(o.procs, func(c *inspect.Process) bool { return c.HAProxy && o.parent(c) == p })
	return p.HAProxy && (hasMasterHandlers(p) || holdsSignalsBack(p) && !takesUSR1(p) && child)
}

// kind: a child of a worker is a check, a child of a master is its worker, or,
// with other arguments than its own, a program.
func (o oracle) kind(p *inspect.Process) string {
	above := ""
	if q := o.parent(p); q != nil {
		above = o.kind(q)
		if above == "master" && p.HAProxy && p.Command.Identity("") == q.Command.Identity("") {
			told := slices.ContainsFunc(o.procs, func(n *inspect.Process) bool {
				sibling := n.PPID == p.PPID && ready(n) && n.HAProxy && n.StartTicks > p.StartTicks && n.PIDNS == p.PIDNS && n.Command.Identity("") == q.Command.Identity("")
				return sibling && slices.Contains(n.Command.Finish, p.NSPID) && (n.UID == 0 || n.UID == p.UID)
			})
			bare := !bit(p.Signals.Caught, unix.SIGUSR1) && !hasMasterHandlers(p) && !holdsSignalsBack(p)
			if ready(p) || told && bare {
				return "worker" // told, and without handlers: amid its exit
			}
			return "starting"
		}
	}
	switch {
	case !p.HAProxy:
		return "program"
	case above == "worker" || above == "check":
		return "check"
	case o.looksLikeMaster(p):
		return "master"
	case above == "master":
		return "program"
	case ready(p):
		return "worker"
	}
	return "starting"
}

// instance is one service. disturbers are those that look like a part of it and
// are none of its workers, its checks or its programs.
type instance struct {
	master     *inspect.Process // nil: daemon mode
	members    []*inspect.Process
	disturbers []*inspect.Process
}

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
	var services, lineages []*instance
	for _, p := range o.procs {
		if o.kind(p) == "master" {
			services = append(services, &instance{master: p, members: []*inspect.Process{p}})
		}
	}
	var alone []*inspect.Process
	for _, p := range o.procs {
		if o.kind(p) == "master" {
			continue
		}
		switch head := o.head(p); {
		case head == nil && p.HAProxy:
			alone = append(alone, p)
		case head != nil && o.kind(head) == "master":
			i := slices.IndexFunc(services, func(in *instance) bool { return in.master == head })
			services[i].members = append(services[i].members, p)
		}
	}
	// One without a master that looks like a part of masters' services. A ready one
	// is then not of a lineage.
	var free []*inspect.Process
	for _, p := range alone {
		stray := false
		for _, in := range services {
			if o.resembles(p, in) {
				in.disturbers, stray = append(in.disturbers, p), true
			}
		}
		if !stray || o.kind(p) != "worker" {
			free = append(free, p)
		}
	}
	// Lineages: what is alike, or named, is one; and so on, until nothing joins.
	for _, p := range free {
		if o.kind(p) != "worker" || slices.ContainsFunc(lineages, func(in *instance) bool { return slices.Contains(in.members, p) }) {
			continue
		}
		in := &instance{members: []*inspect.Process{p}}
		for i := 0; i < len(in.members); i++ {
			for _, q := range free {
				if o.kind(q) == "worker" && !slices.Contains(in.members, q) && related(in.members[i], q) {
					in.members = append(in.members, q)
				}
			}
		}
		lineages = append(lineages, in)
	}
	for _, p := range free {
		for _, in := range lineages {
			if o.kind(p) != "worker" && mayBeOf(p, in) {
				in.disturbers = append(in.disturbers, p)
			}
		}
	}
	for _, p := range o.procs { // a daemon's checks, and theirs
		if head := o.head(p); head != nil && o.kind(head) == "worker" {
			for _, in := range lineages {
				if slices.Contains(in.members, head) {
					in.members = append(in.members, p)
				}
			}
			for _, in := range services {
				if slices.Contains(in.disturbers, head) {
					in.members = append(in.members, p)
				}
			}
		}
	}
	return append(services, lineages...)
}

// head is the master, or the daemon, that a child belongs to; nil for a process
// that stands for itself.
func (o oracle) head(p *inspect.Process) *inspect.Process {
	for q := o.parent(p); q != nil; q = o.parent(q) {
		above := o.parent(q)
		switch o.kind(q) {
		case "master":
			return q
		case "worker":
			if above == nil || o.kind(above) != "master" {
				return q
			}
		case "starting", "program":
			if o.kind(p) != "check" {
				return nil
			}
		}
	}
	return nil
}

func ownUnit(p *inspect.Process) string {
	if inspect.IsSessionUnit(p.Unit) || p.Unit == "" {
		return ""
	}
	return p.Cgroup
}

func alike(p, q *inspect.Process) bool {
	return p.Command.Identity("") == q.Command.Identity("") && p.PIDNS == q.PIDNS && p.NetNS == q.NetNS
}

// resembles: a process without a master looks like a part of a master's service.
func (o oracle) resembles(p *inspect.Process, in *instance) bool {
	m := in.master
	together := ownUnit(p) != "" && p.Cgroup == m.Cgroup
	if o.kind(p) != "worker" {
		return together
	}
	its := p.UID == m.UID || slices.ContainsFunc(in.members, func(q *inspect.Process) bool { return o.kind(q) == "worker" && q.UID == p.UID })
	return alike(p, m) && ownUnit(p) == ownUnit(m) && (its || together && m.UID == 0)
}

// names: the list of a strictly younger process has the other's pid, as it is in
// the namespace of both.
func names(n, p *inspect.Process) bool {
	return n.StartTicks > p.StartTicks && n.PIDNS == p.PIDNS && slices.Contains(n.Command.Finish, p.NSPID)
}

// related: two daemons of one lineage.
func related(p, q *inspect.Process) bool {
	if p.UID != q.UID || p.NetNS != q.NetNS {
		return false
	}
	return alike(p, q) && ownUnit(p) == ownUnit(q) || names(p, q) || names(q, p)
}

// mayBeOf: a process that is not ready names one of a lineage, or is alike, or
// shares its unit; and is root's or that lineage's own user's.
func mayBeOf(p *inspect.Process, in *instance) bool {
	near := func(q *inspect.Process) bool {
		return names(p, q) || alike(p, q) && ownUnit(p) == ownUnit(q) || ownUnit(p) != "" && p.Cgroup == q.Cgroup
	}
	return (p.UID == 0 || p.UID == in.members[0].UID) && slices.ContainsFunc(in.members, near)
}
