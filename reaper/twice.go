package reaper

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// This file compares two looks at one instance.

// SameActive tells whether two looks saw the same active generation and master.
func SameActive(a, b Instance) bool { return slices.Equal(InCharge(a), InCharge(b)) }

func InCharge(in Instance) []inspect.ProcID {
	var ids []inspect.ProcID
	for i := range in.Processes {
		if p := &in.Processes[i]; p.InCharge() {
			ids = append(ids, p.ProcID)
		}
	}
	return ids
}

// Agreed is the first look, less what the second does not bear out. What was
// measured is the first look's; what is still there, the second's. left tells
// whether a process has exited.
func Agreed(first, second Instance, approved map[inspect.ProcID]bool, left func(inspect.ProcID) bool) Instance {
	first.Processes = slices.Clone(first.Processes)
	for i := range first.Processes {
		p := &first.Processes[i]
		if p.Verdict != VerdictTerminate {
			continue
		}
		j := slices.IndexFunc(second.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		switch {
		case j < 0 && left(p.ProcID):
			p.Outcome = OutcomeVanished
		case j < 0:
			p.Verdict, p.Reason = VerdictRefuse, ReasonChanged // nothing ties it to the instance any more
		case second.Processes[j].Verdict != VerdictTerminate:
			p.Verdict, p.Reason = second.Processes[j].Verdict, second.Processes[j].Reason
		case !approved[p.ProcID]:
			p.Verdict, p.Reason = VerdictWait, ReasonDeclined
		}
	}
	return first
}

// CarryOver takes what only the first look measures over to a later one, so that
// every look decides on the same clients, idle times and memory.
func CarryOver(in, first Instance) Instance {
	in.Name, in.sides = first.Name, first.sides
	in.MemoryLimitBytes, in.MemoryLimitAvailableBytes = first.MemoryLimitBytes, first.MemoryLimitAvailableBytes
	for i := range in.Processes {
		p := &in.Processes[i]
		j := slices.IndexFunc(first.Processes, func(q Process) bool { return q.ProcID == p.ProcID })
		if j < 0 {
			continue
		}
		before := first.Processes[j]
		p.PrivateBytes = before.PrivateBytes
		if p.Connections.Client == nil {
			p.Connections, p.Ports, p.IdleSeconds = before.Connections, before.Ports, before.IdleSeconds
		}
	}
	return in
}

// IsTarget tells a process that is to be signalled, and has not been dealt with.
func IsTarget(p Process) bool { return p.Verdict == VerdictTerminate && p.Outcome == "" }
