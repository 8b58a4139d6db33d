package judge

import (
	"cmp"
	"slices"
)

// Decide gives every process of a classified report its one verdict with its
// one reason. It is a function of its arguments: what the report says and the
// policy, nothing else, so a saved report can be decided again.
func Decide(r Report, policy Policy) Report {
	r.DeadlineSeconds = policy.Deadline.Seconds()
	r.Instances = slices.Clone(r.Instances)
	for i := range r.Instances {
		decideInstance(&r.Instances[i], &r, policy)
	}
	r.Summary = Summarize(r)
	return r
}

func decideInstance(in *Instance, host *Report, policy Policy) {
	in.Processes = slices.Clone(in.Processes)
	for i := range in.Processes {
		p := &in.Processes[i]
		p.Verdict, p.Reason = VerdictKeep, Reason(p.Role)
		p.Due, p.DueReason, p.Deadline, p.DeadlinePort, p.IdleDue = nil, "", nil, 0, nil
	}
	j := rules{&policy, host, in, residuals(in)}
	j.schedule()
	var due []*Process
	for _, p := range j.residual {
		switch {
		case in.Refusal != "":
			p.Verdict, p.Reason = VerdictRefuse, in.Refusal
		case p.Due.After(host.Time):
			p.Verdict = VerdictWait
		default:
			p.Verdict, p.Reason = VerdictTerminate, p.DueReason
			due = append(due, p)
		}
	}
	if policy.MaxTerminations > 0 {
		due = slices.DeleteFunc(due, (*Process).Stuck)
		slices.SortStableFunc(due, FirstToGo)
		for _, p := range due[min(len(due), policy.MaxTerminations):] {
			p.Verdict, p.Reason = VerdictWait, ReasonMaxTerminations
		}
	}
}

// FirstToGo orders processes that are due. Stuck ones come last, so that a pass
// that runs out of time has signalled the others. Before all others comes the
// process whose memory is needed, then the longest superseded.
func FirstToGo(a, b *Process) int {
	turn := func(p *Process) int {
		switch {
		case p.Stuck():
			return 2
		case p.DueReason == ReasonLowMemory:
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(turn(a), turn(b)), cmp.Compare(*b.ResidualSeconds, *a.ResidualSeconds))
}

// Summarize counts over the instances of a decided, or executed, report.
func Summarize(r Report) Summary {
	var s Summary
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			p := &r.Instances[i].Processes[j]
			due := p.IsDue(r.Time)
			switch {
			case p.Outcome == OutcomeTerminated || p.Outcome == OutcomeKilled || p.Outcome == OutcomeDrained:
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
