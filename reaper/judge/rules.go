package judge

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// rules applies a policy to one instance, on what a report says of the host and
// of it. The rules are in the files rule_*.go, their order in Policy.
type rules struct {
	policy   *Policy
	host     *Report
	in       *Instance
	residual []*Process // of the instance, the one that started first first
}

// residuals are those of an instance, in the order that they started in.
func residuals(in *Instance) []*Process {
	var list []*Process
	for i := range in.Processes {
		if p := &in.Processes[i]; p.Role == RoleResidual && p.ResidualSeconds != nil {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *Process) int {
		return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
	})
	return list
}

// claim is what a rule says of a process: how long until it is due by it, 0 or
// less when it is, if as things stand it ever will be.
type claim struct {
	reason Reason
	left   time.Duration
	ever   bool
}

// schedule says of every residual process when it comes due and why, and gives
// the reason for which those wait that are not due yet.
func (j *rules) schedule() {
	dearest := j.dearest()
	for _, p := range j.residual {
		deadline, idle := j.deadline(p), j.idle(p)
		p.Deadline, p.DeadlinePort, p.Reason = j.after(deadline.left), deadline.port, deadline.within
		if idle.ever {
			p.IdleDue = j.after(idle.left)
		}
		idle.ever = idle.ever && idle.left <= 0 // that nothing moves until then is a guess
		j.due(p, []claim{
			{ReasonLowMemory, 0, p == dearest},
			{ReasonMaxResidual, 0, j.excess(p)},
			{deadline.past, deadline.left, true},
			j.empty(p),
			idle,
		})
	}
}

// due takes the earliest time of all claims, and the reason of the first that
// has come, or else will come first.
func (j *rules) due(p *Process, claims []claim) {
	claims = slices.DeleteFunc(claims, func(c claim) bool { return !c.ever })
	first, least := claims[0], claims[0].left
	for _, c := range claims[1:] {
		least = min(least, c.left)
		if first.left > 0 && c.left < first.left {
			first = c
		}
	}
	p.Due, p.DueReason = j.after(least), first.reason
}

func (j *rules) after(left time.Duration) *time.Time {
	t := j.host.Time.Add(left)
	return &t
}

// toldApart tells whether the clients of a process are known: how many there
// are, and that there are no others, of a former listener or unknown.
func toldApart(p *Process) bool {
	c := p.Connections
	return c.Client != nil && c.Former != nil && *c.Former == 0 && c.Unknown != nil && *c.Unknown == 0
}

// onPorts is the number of clients that came by a port. The others came by a unix
// socket, which has no deadline of its own, and no idle time.
func onPorts(p *Process) int {
	n := 0
	for _, use := range p.Ports {
		n += use.Clients
	}
	return n
}

// idleKnown tells whether IdleSeconds is about all clients of a process.
func idleKnown(p *Process) bool {
	untimed := func(use PortUse) bool { return use.Clients > 0 && use.MinIdleSeconds == nil }
	return toldApart(p) && onPorts(p) == *p.Connections.Client && !slices.ContainsFunc(p.Ports, untimed)
}

// span is a report's number of seconds as a duration: none if negative, and the
// longest that there is if no clock could have measured it.
func span(seconds float64) time.Duration {
	ns := math.Round(seconds * float64(time.Second))
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(max(0, ns))
}

// later is the sum of two durations, none of them negative, or the longest that
// there is.
func later(a, b time.Duration) time.Duration { return a + min(b, math.MaxInt64-a) }
