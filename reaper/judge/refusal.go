package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// refusal finds the first thing that stands against acting on the instance, and
// says it in words; empty when nothing does. The order is that of help to the
// reader: what explains the rest comes first.
func (c *classifier) refusal() (Reason, string) {
	for _, rule := range []func() (Reason, string){
		c.tooMany, c.unreadable, c.noActive, c.unsettled, c.foreign, c.tie, c.draining, c.apart, c.silent, c.unproven, c.paused, c.unclassified, c.contradicted,
	} {
		if reason, detail := rule(); reason != "" {
			return reason, detail
		}
	}
	return "", ""
}

func (c *classifier) tooMany() (Reason, string) {
	if n := len(c.group.Members); n > MaxProcesses {
		return ReasonTooMany, fmt.Sprintf("%d processes, more than the %d that are looked at", n, MaxProcesses)
	}
	return "", ""
}

// unreadable refuses on any fact that could not be read: of the members, and of
// the host where it may hide a member. A check, or a program that is not HAProxy,
// counts for nothing, so nothing it hides does. A program is executed: a master's child
// that runs on from a fork may be a worker whose file was renamed.
func (c *classifier) unreadable() (Reason, string) {
	for _, err := range c.look.Snapshot.Incomplete {
		return ReasonUnreadable, err.Error()
	}
	for _, m := range slices.Concat(c.group.Members, c.group.near) {
		if m.Err != nil && m.kind != kindCheck && m.kind != kindLeft && (m.kind != kindProgram || m.HAProxy || m.Forked && m.master != nil) {
			return ReasonUnreadable, fmt.Sprintf("process %d: %v", m.PID, m.Err)
		}
	}
	// A process without a parent or a start could be of any instance, and a stranger's of
	// any that has processes of its user.
	for _, p := range c.look.Snapshot.Processes {
		if p.Err != nil && p.StartTicks == 0 && (!p.Stranger || c.group.hasUser(p.UID)) {
			return ReasonUnreadable, fmt.Sprintf("process %d: %v", p.PID, p.Err)
		}
	}
	return "", ""
}

func (c *classifier) noActive() (Reason, string) {
	if len(c.active) == 0 {
		if c.reloading() {
			return ReasonReloading, fmt.Sprintf("master %d is reloading", c.group.Master.PID)
		}
		return ReasonNoActive, "no worker is ready"
	}
	return "", ""
}

// unsettled refuses while something is on its way: a reload, or a process that
// is none of those that belong here.
func (c *classifier) unsettled() (Reason, string) {
	if c.reloading() {
		return ReasonReloading, fmt.Sprintf("master %d is reloading", c.group.Master.PID)
	}
	for _, m := range slices.Concat(c.group.Members, c.group.near) {
		switch m.kind {
		case kindStarting:
			return ReasonStarting, fmt.Sprintf("process %d is starting", m.PID)
		case kindStray:
			return ReasonStray, fmt.Sprintf("process %d is of this instance by its looks, and neither master nor worker", m.PID)
		}
	}
	return "", ""
}

func (c *classifier) reloading() bool {
	return c.group.Master != nil && (c.group.Master.Signals.Reloading() || !c.group.Master.Signals.Master())
}

// foreign refuses when not all workers live in one PID and network namespace:
// then their pids and their sockets do not mean the same.
func (c *classifier) foreign() (Reason, string) {
	a := c.active[0]
	for _, m := range c.group.Members {
		if m.kind != kindWorker && m.kind != kindMaster {
			continue
		}
		if m.PIDNS != a.PIDNS || m.NetNS != a.NetNS {
			return ReasonNamespace, fmt.Sprintf("process %d is in another PID or network namespace than the active %d", m.PID, a.PID)
		}
	}
	return "", ""
}

// tie refuses when the order of start does not tell who is older.
func (c *classifier) tie() (Reason, string) {
	for _, m := range c.group.Members {
		if m.kind == kindWorker && !slices.Contains(c.active, m.Process) && m.StartTicks >= c.active[0].StartTicks {
			return ReasonTie, fmt.Sprintf("processes %d and %d started at the same time", m.PID, c.active[0].PID)
		}
	}
	return "", ""
}

// draining refuses when the whole service finishes, as after SIGUSR1 to the master
// or to the current worker. Nothing younger has taken over, so nothing is
// superseded: what is left serves its last clients.
func (c *classifier) draining() (Reason, string) {
	if !c.finishes() {
		return "", ""
	}
	return ReasonDraining, fmt.Sprintf("the youngest, %s, was told to stop, and nothing younger has taken over", pidList(c.active))
}

// finishes tells whether all of the youngest generation was told to stop. Of a
// process that listens the memory counts for nothing: its user may have forged it.
func (c *classifier) finishes() bool {
	return !slices.ContainsFunc(c.active, func(p *inspect.Process) bool {
		e := c.evidence[p]
		e.remembered = e.remembered && !listens(p)
		return !e.any()
	})
}

// silent refuses when the youngest generation is not seen to serve.
func (c *classifier) silent() (Reason, string) {
	pids := pidList(c.active)
	if !c.listening(c.active) {
		for _, p := range c.active {
			if p.Sockets != nil && len(p.Sockets.Bound) > 0 {
				return ReasonNoStreamListener, fmt.Sprintf("the youngest, %s, listens on UDP only, if at all", pids)
			}
		}
		return ReasonNotListening, fmt.Sprintf("the youngest, %s, holds no socket in LISTEN", pids)
	}
	for _, p := range c.active {
		if strings.IndexByte("Tt", p.State) >= 0 {
			return ReasonActiveStopped, fmt.Sprintf("the active %d is stopped (state %c) and serves nobody", p.PID, p.State)
		}
	}
	return "", ""
}

// others are the members that may be residual, less the active.
func (c *classifier) others() []Member {
	return slices.DeleteFunc(c.group.Candidates(), func(m Member) bool { return slices.Contains(c.active, m.Process) })
}

// apart refuses where a thread of an old worker has a table of descriptors of its own
// (HAProxy 3.5, tune.fd.tables per-thread-group): what that holds was not examined.
// The same of an active that is not seen to listen: it may listen there.
func (c *classifier) apart() (Reason, string) {
	serves := c.listening(c.active)
	for _, m := range c.group.Candidates() {
		if m.Sockets != nil && m.Sockets.Apart != 0 && !(serves && slices.Contains(c.active, m.Process)) {
			return ReasonApart, fmt.Sprintf("thread %d of process %d has descriptors of its own, which cannot be examined", m.Sockets.Apart, m.PID)
		}
	}
	return "", ""
}

// unproven refuses where not every descriptor of an old worker was examined:
// then it holds no listener only as far as anybody looked.
func (c *classifier) unproven() (Reason, string) {
	for _, m := range c.others() {
		if m.Sockets == nil || !m.Sockets.Proof {
			return ReasonUnreadable, fmt.Sprintf("process %d: not all of its descriptors were examined", m.PID)
		}
	}
	return "", ""
}

// paused refuses while an older worker may come back to listening.
func (c *classifier) paused() (Reason, string) {
	for _, m := range c.group.Candidates() {
		if c.role(m, true) == RolePaused {
			return ReasonPaused, fmt.Sprintf("process %d has paused listeners: %s", m.PID, m.Sockets.Paused[0])
		}
	}
	return "", ""
}

// unclassified refuses on a socket of an old worker that fits no known kind.
func (c *classifier) unclassified() (Reason, string) {
	for _, m := range c.others() {
		if m.Sockets != nil && len(m.Sockets.Unclassified) > 0 {
			return ReasonUnclassified, fmt.Sprintf("process %d has a %s", m.PID, m.Sockets.Unclassified[0])
		}
	}
	return "", ""
}

// contradicted refuses when the master CLI says that an old worker is not
// stopping, or that one of the active generation is and another is not.
func (c *classifier) contradicted() (Reason, string) {
	for _, m := range c.group.Members {
		if m.kind != kindWorker || m.CLI == nil {
			continue
		}
		active := slices.Contains(c.active, m.Process)
		if active && m.CLI.Stopping {
			return ReasonWitness, fmt.Sprintf("the master CLI says that the active %d is stopping", m.PID)
		}
		// Of one that listens it is no news.
		if !active && !m.CLI.Stopping && !listens(m.Process) && (c.evidence[m.Process].any() || c.listed(m.Process)) {
			return ReasonWitness, fmt.Sprintf("the master CLI says that process %d is not stopping", m.PID)
		}
	}
	return "", ""
}

func pidList(processes []*inspect.Process) string {
	var list []string
	for _, p := range processes {
		list = append(list, fmt.Sprint(p.PID))
	}
	return strings.Join(list, ", ")
}
