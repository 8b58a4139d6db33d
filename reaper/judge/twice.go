package judge

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// This file compares two looks at one instance.

// SameActive tells whether two looks saw the same active generation and master.
func SameActive(a, b Instance) bool { return slices.Equal(InCharge(a), InCharge(b)) }

// InCharge are the processes that an instance stands on: its active generation, and its
// master.
func InCharge(in Instance) []inspect.ProcID {
	var ids []inspect.ProcID
	for i := range in.Processes {
		if p := &in.Processes[i]; p.InCharge() {
			ids = append(ids, p.ProcID)
		}
	}
	return ids
}

// Find is a process of the instance; nil when the instance does not have it.
func (in *Instance) Find(id inspect.ProcID) *Process {
	i := slices.IndexFunc(in.Processes, func(p Process) bool { return p.ProcID == id })
	if i < 0 {
		return nil
	}
	return &in.Processes[i]
}

// VerdictOn is the verdict of an instance on a process, with its reason. A process that
// the instance does not have is refused: nothing ties it to the instance any more.
func (in *Instance) VerdictOn(id inspect.ProcID) (Verdict, Reason) {
	if p := in.Find(id); p != nil {
		return p.Verdict, p.Reason
	}
	return VerdictRefuse, ReasonChanged
}

// Withhold turns verdicts to terminate into another one, for the reason given.
func (in Instance) Withhold(verdict Verdict, why Reason) Instance {
	in.Processes = slices.Clone(in.Processes)
	for i := range in.Processes {
		if p := &in.Processes[i]; p.Verdict == VerdictTerminate {
			p.Verdict, p.Reason = verdict, why
		}
	}
	return in
}

// Refuse refuses an instance, and turns its verdicts to terminate into refusals.
func (in Instance) Refuse(why Reason, detail string) Instance {
	in.Refusal, in.RefusalDetail = why, detail
	return in.Withhold(VerdictRefuse, why)
}

// Measured is an instance with what only the first look measures of it, so that every
// look decides on the same clients, idle times and memory.
func (in Instance) Measured(first Instance) Instance {
	in.Name, in.sides = first.Name, first.sides
	in.MemoryLimitBytes, in.MemoryLimitAvailableBytes = first.MemoryLimitBytes, first.MemoryLimitAvailableBytes
	for i := range in.Processes {
		p := &in.Processes[i]
		before := first.Find(p.ProcID)
		if before == nil {
			continue
		}
		p.PrivateBytes = before.PrivateBytes
		if p.Connections.Client == nil {
			p.Connections, p.Ports, p.IdleSeconds = before.Connections, before.Ports, before.IdleSeconds
		}
	}
	return in
}
