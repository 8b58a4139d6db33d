package reaper

import (
	"cmp"
	"slices"
	"time"
)

// Decide gives every process of a classified report its one verdict with its
// one reason. It is a function of its arguments: what the report says and the
// policy, nothing else, so a saved report can be decided again.
func Decide(r Report, policy Policy) Report {
	r.DeadlineSeconds = policy.Deadline.Seconds()
	r.Instances = slices.Clone(r.Instances)
	for i := range r.Instances {
		decideInstance(&r.Instances[i], r.Time, policy)
	}
	r.Summary = Summarize(r)
	return r
}

func decideInstance(in *Instance, at time.Time, policy Policy) {
	in.Processes = slices.Clone(in.Processes)
	var due []*Process
	for i := range in.Processes {
		p := &in.Processes[i]
		p.Verdict, p.Reason, p.Due = VerdictKeep, Reason(p.Role), nil
		if p.Role != RoleResidual || p.ResidualSeconds == nil {
			continue
		}
		left := policy.Deadline.Seconds() - *p.ResidualSeconds
		t := at.Add(time.Duration(left * float64(time.Second)))
		p.Due = &t
		switch {
		case in.Refusal != "":
			p.Verdict, p.Reason = VerdictRefuse, in.Refusal
		case left > 0:
			p.Verdict, p.Reason = VerdictWait, ReasonWithinDeadline
		default:
			p.Verdict, p.Reason = VerdictTerminate, ReasonPastDeadline
			due = append(due, p)
		}
	}
	if policy.MaxTerminations > 0 && len(due) > policy.MaxTerminations {
		slices.SortStableFunc(due, longestFirst)
		for _, p := range due[policy.MaxTerminations:] {
			p.Verdict, p.Reason = VerdictWait, ReasonMaxTerminations
		}
	}
}

// longestFirst orders residual processes by the time since they were superseded.
func longestFirst(a, b *Process) int { return cmp.Compare(*b.ResidualSeconds, *a.ResidualSeconds) }

// Summarize counts over the instances of a decided, or executed, report.
func Summarize(r Report) Summary {
	var s Summary
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			p := &r.Instances[i].Processes[j]
			due := p.IsDue(r.Time)
			switch {
			case p.Outcome == OutcomeTerminated || p.Outcome == OutcomeKilled:
				s.Terminated++
			case p.Left():
			case p.Role == RoleActive:
				s.Active++
			case p.Role == RoleResidual:
				s.Residual++
				if due {
					s.Due++
				}
				if due && p.Verdict == VerdictRefuse {
					s.Refused++
				}
			}
		}
	}
	return s
}
