package reaper_test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// The model's host: who lives there, and every next step that HAProxy, its
// master, its checks and strangers may take. It knows what is true, such as who
// was told to leave; the pass is shown only what the kernel shows.

type sort byte

const (
	master   sort = 'm'
	worker   sort = 'w' // of a master, or a daemon
	check    sort = 'c' // forked by a worker
	dryCheck sort = 'd' // haproxy -c in the unit
	stranger sort = 's' // sshd, under a pid that was a worker's
)

// body is one process. Its serial is its own for good; a pid is not.
type body struct {
	serial, pid, ppid int
	session           int // 0 is its own
	ticks             uint64
	sort              sort
	ready             bool
	listens, paused   bool
	told              bool // to leave, and it does: the truth
	wedged            bool // does not leave by SIGTERM
	named             []int
}

// reload is how far the reload in progress is.
type reload byte

const (
	idle    reload = iota
	begun          // the master holds signals back; no new worker yet
	forked         // the new worker is not ready
	serving        // the new one is ready and listens, the old was not told yet
	told           // the old one was told, the master not yet done
)

// host is a value: a step makes another one.
type host struct {
	bodies []body
	phase  reload
	daemon bool
	modern bool // HAProxy 3.1 and later: the master reloads without holding signals
	ticks  int  // that have passed by steps
	next   int  // serial
}

func (h host) clone() host {
	h.bodies = slices.Clone(h.bodies)
	return h
}

func (h host) find(serial int) int {
	return slices.IndexFunc(h.bodies, func(b body) bool { return b.serial == serial })
}

func (h host) without(serial int) host {
	h.bodies = slices.DeleteFunc(slices.Clone(h.bodies), func(b body) bool { return b.serial == serial })
	for i := range h.bodies {
		if h.bodies[i].sort == check && !slices.ContainsFunc(h.bodies, func(b body) bool { return b.pid == h.bodies[i].ppid }) {
			h.bodies[i].ppid = 1
		}
	}
	return h
}

// with adds a process, born now.
func (h host) with(b body, now uint64) host {
	h = h.clone()
	h.next++
	b.serial = h.next
	if b.ticks == 0 {
		b.ticks = now + uint64(h.ticks)
	}
	h.bodies = append(h.bodies, b)
	return h
}

func (h host) has(s sort) bool {
	return slices.ContainsFunc(h.bodies, func(b body) bool { return b.sort == s })
}

func (h host) workers() []int {
	var pids []int
	for _, b := range h.bodies {
		if b.sort == worker {
			pids = append(pids, b.pid)
		}
	}
	return pids
}

// each changes all workers of a kind.
func (h host) each(which func(body) bool, change func(*body)) host {
	h = h.clone()
	for i := range h.bodies {
		if h.bodies[i].sort == worker && which(h.bodies[i]) {
			change(&h.bodies[i])
		}
	}
	return h
}

func (h host) in(p reload) host { h.phase = p; return h }

func old(b body) bool { return b.ready && !b.told }

// pool are the pids of the model, so few that they are soon used again.
var pool = []int{101, 102, 103, 104, 105}

func (h host) free() []int {
	var pids []int
	for _, pid := range pool {
		if !slices.ContainsFunc(h.bodies, func(b body) bool { return b.pid == pid }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

const masterPID = 100

func (h host) parent() int {
	if h.daemon {
		return 1
	}
	return masterPID
}

// step is one thing that may happen, and which pids' facts it changes.
type step struct {
	name string
	to   host
	pids []int
}

// steps are all that may happen next. now is in ticks.
func (h host) steps(now uint64) []step {
	var list []step
	may := func(name string, to host, pids ...int) { list = append(list, step{name, to, pids}) }
	free := h.free()
	h.reloadSteps(now, may)
	for i, b := range h.bodies {
		switch b.sort {
		case worker:
			if b.told || b.ready && b.listens {
				may(fmt.Sprintf("%d exits", b.pid), h.without(b.serial), append(pool, masterPID)...)
			}
			if old(b) && b.listens && len(free) > 0 && !h.has(check) {
				may(fmt.Sprintf("%d forks a check", b.pid), h.with(body{pid: free[0], ppid: b.pid, session: b.pid, sort: check, ready: true, listens: true, named: b.named}, now), free[0])
			}
		case check, dryCheck:
			may(fmt.Sprintf("check %d ends", b.pid), h.without(b.serial), b.pid)
			if b.listens { // which it does before it runs its program
				to := h.clone()
				to.bodies[i].listens = false
				may(fmt.Sprintf("check %d closes its descriptors", b.pid), to, b.pid)
			}
		}
	}
	for _, pid := range free {
		if pid <= 102 && !h.has(stranger) { // a worker had it
			may(fmt.Sprintf("a stranger gets pid %d", pid), h.with(body{pid: pid, ppid: 1, sort: stranger, ready: true}, now), pid)
		}
	}
	if len(free) > 0 && !h.has(dryCheck) && !h.daemon {
		may("haproxy -c", h.with(body{pid: free[len(free)-1], ppid: 1, sort: dryCheck}, now), free[len(free)-1])
	}
	if h.ticks < 2 {
		later := h
		later.ticks++
		may("a tick passes", later)
	}
	return list
}

// reloadSteps are those of a reload, a failed one and one with a bind conflict.
func (h host) reloadSteps(now uint64, may func(string, host, ...int)) {
	all := append(slices.Clone(pool), masterPID)
	giveUp := h.each(func(b body) bool { return b.paused }, func(b *body) { b.paused, b.listens = false, true }).in(idle)
	for i := range giveUp.bodies { // after it the master's own list names the active
		if giveUp.bodies[i].sort == master {
			giveUp.bodies[i].named = h.workers()
		}
	}
	switch h.phase {
	case idle:
		may("a reload begins", h.in(begun), masterPID)
	case begun:
		free := h.free()
		if len(free) > 0 {
			for _, pid := range []int{free[0], free[len(free)-1]} {
				may(fmt.Sprintf("the new worker is %d", pid), h.with(body{pid: pid, ppid: h.parent(), sort: worker, listens: !h.daemon && !h.modern, named: h.workers()}, now).in(forked), pid, masterPID)
			}
		}
		may("the reload fails", giveUp, masterPID)
	case forked:
		fresh := func(b body) bool { return !b.ready }
		may("the new worker is ready", h.each(fresh, func(b *body) { b.ready, b.listens = true, true }).in(serving), all...)
		may("the old worker is paused", h.each(old, func(b *body) { b.listens, b.paused = false, true }), all...)
		if i := slices.IndexFunc(h.bodies, func(b body) bool { return b.sort == worker && fresh(b) }); i >= 0 {
			may("the new worker dies", giveUp.without(h.bodies[i].serial), all...)
		}
	case serving:
		youngest := 0
		for _, b := range h.bodies {
			if b.sort == worker {
				youngest = b.serial // in order of birth
			}
		}
		may("the old worker is told", h.each(func(b body) bool { return b.serial != youngest }, func(b *body) { b.told, b.listens, b.paused = true, false, false }).in(told), all...)
	case told:
		may("the reload ends", h.in(idle), masterPID)
	}
}

// key tells hosts apart.
func (h host) key() string {
	var b strings.Builder
	fmt.Fprint(&b, h.phase, h.ticks, ' ')
	for _, p := range h.bodies {
		fmt.Fprint(&b, p.serial, ' ', p.pid, ' ', p.ppid, ' ', p.ticks, p.ready, p.listens, p.paused, p.told, p.named, ';')
	}
	return b.String()
}

// proc is what the kernel shows of a process.
func (h host) proc(b body) fakehost.Proc {
	p := fakehost.Proc{PID: b.pid, PPID: b.ppid, Session: b.session, Ticks: b.ticks, UID: fakehost.UIDHAProxy, Masks: fakehost.WorkerMasks, Cgroup: "/system.slice/haproxy.service"}
	p.Args = []string{"haproxy"}
	if len(b.named) > 0 {
		p.Args = append(p.Args, "-sf")
		for _, pid := range b.named {
			p.Args = append(p.Args, fmt.Sprint(pid))
		}
	}
	p.Args = append(p.Args, "-f", "/etc/haproxy.cfg")
	switch {
	case b.listens:
		p.Sockets = []fakehost.Socket{fakehost.Listen(443)}
	case b.paused:
		p.Sockets = []fakehost.Socket{fakehost.Paused(443)}
		p.Sockets[0].Inode = 1<<20 + uint64(b.serial) // not the one that others listen on
	case b.sort == worker && b.told:
		p.Sockets = []fakehost.Socket{fakehost.Client(443, b.serial, time.Second)}
		if b.serial%2 == 1 {
			p.Sockets[0] = fakehost.HalfClosed(443, b.serial, time.Second)
		}
	}
	if b.wedged {
		p.Ignores = []syscall.Signal{syscall.SIGTERM}
	}
	switch {
	case b.sort == master:
		p.UID, p.Masks = 0, fakehost.MasterMasks
		if h.phase != idle && h.phase != serving && !h.modern {
			p.Masks = fakehost.ReloadingMasks
		}
	case b.sort == dryCheck:
		p.UID, p.Masks, p.Args = 0, fakehost.StartingMasks, []string{"haproxy", "-c", "-f", "/etc/haproxy.cfg"}
	case b.sort == stranger:
		p.UID, p.Exe, p.Comm, p.Args, p.Masks, p.Cgroup = 0, "/usr/sbin/sshd", "sshd", []string{"sshd"}, inspect.SignalMasks{}, "/system.slice/ssh.service"
	case !b.ready && h.daemon:
		p.UID, p.Masks = 0, fakehost.StartingMasks
	case !b.ready:
		p.Masks = fakehost.ReloadingMasks
	}
	return p
}
