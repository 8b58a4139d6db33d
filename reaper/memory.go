package reaper

import (
	"maps"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Seen is what earlier passes remember of one process.
type Seen struct {
	// Residual is the CLOCK_BOOTTIME at which it was first seen residual; 0 is
	// never.
	Residual time.Duration
	// Stranded is set when it was seen stranded before that.
	Stranded bool
}

// Memory is what earlier passes of this boot remember. Losing it may delay a
// reap, never cause one.
type Memory map[inspect.ProcID]Seen

// Remember adds what a report saw to a memory, and returns the new one without
// the processes that are gone. Instances that were refused are not believed:
// what they saw changes nothing, what was known of them stays.
func Remember(old Memory, r Report) Memory {
	kept := Memory{}
	for _, in := range r.Instances {
		for i := range in.Processes {
			p := &in.Processes[i]
			seen, known := old[p.ProcID]
			switch {
			case p.Left():
				continue
			case in.Refusal != "":
			case p.Role == RoleStranded:
				seen, known = Seen{Stranded: true}, true
			case p.Role == RoleResidual && seen.Residual == 0 && r.boottime > 0:
				seen.Residual, known = r.boottime, true
			}
			if known {
				kept[p.ProcID] = seen
			}
		}
	}
	if len(r.Errors) > 0 {
		// Who could not be seen is not gone.
		all := maps.Clone(old)
		maps.Copy(all, kept)
		return all
	}
	return kept
}
