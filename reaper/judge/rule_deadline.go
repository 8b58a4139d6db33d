package judge

import (
	"maps"
	"slices"
	"time"
)

// term is a process's deadline, with what it is called.
type term struct {
	left   time.Duration // until it comes; 0 or less when it has
	past   Reason        // when it has
	within Reason        // until then
	port   uint16        // whose deadline it is, 0 for none's
}

// deadline is the rule of --deadline, with all that puts it off.
func (j *rules) deadline(p *Process) term {
	after, port := j.policy.deadlineOf(p)
	t := term{past: ReasonPastDeadline, within: ReasonWithinDeadline, port: port}
	if port != 0 {
		t.past, t.within = ReasonPastPortDeadline, ReasonWithinPortDeadline
	}
	residual, jitter := span(*p.ResidualSeconds), j.jitter()
	if residual >= after {
		t.within = ReasonJitter // without it the process is due
	}
	after = later(after, jitter)
	// Whose clients are active is asked when the deadline has come, not before.
	hard := later(j.policy.HardDeadline, jitter)
	if residual >= after && hard > after && j.policy.mayBeActive(p) {
		after = hard
		t = term{past: ReasonPastHardDeadline, within: ReasonActiveClients}
	}
	t.left = after - residual
	return t
}

// deadlineOf is the longest of the deadlines of a process's client connections,
// and the port whose own it is, 0 where it is that of all others. What cannot be
// told apart may be of any port.
func (policy *Policy) deadlineOf(p *Process) (time.Duration, uint16) {
	var ports []uint16 // 0 stands for all that have no deadline of their own
	if toldApart(p) {
		for _, use := range p.Ports {
			if _, own := policy.DeadlineFor[use.Port]; own && use.Clients > 0 {
				ports = append(ports, use.Port)
			} else if use.Clients > 0 {
				ports = append(ports, 0)
			}
		}
		if onPorts(p) < *p.Connections.Client || len(ports) == 0 {
			ports = append(ports, 0)
		}
	} else {
		ports = append(slices.Collect(maps.Keys(policy.DeadlineFor)), 0)
	}
	slices.Sort(ports)
	longest, port := time.Duration(-1), uint16(0)
	for _, n := range ports {
		after := policy.Deadline
		if n != 0 {
			after = policy.DeadlineFor[n]
		}
		if after > longest {
			longest, port = after, n
		}
	}
	return longest, port
}

// SparesPort tells whether the own deadline of a port still spares its client
// connections of a residual process that is due by another rule. The host is the
// report that the process is of.
func SparesPort(policy *Policy, host *Report, p *Process, port uint16) bool {
	j := rules{policy: policy, host: host}
	return j.sparesPort(p, port)
}

func (j *rules) sparesPort(p *Process, port uint16) bool {
	after, own := j.policy.DeadlineFor[port]
	return own && span(*p.ResidualSeconds) < later(after, j.jitter())
}

// mayBeActive tells whether a byte moved on one of a process's client
// connections within --active-within, as far as anybody knows.
func (policy *Policy) mayBeActive(p *Process) bool {
	return !idleKnown(p) || p.IdleSeconds != nil && span(*p.IdleSeconds) <= policy.ActiveWithin
}
