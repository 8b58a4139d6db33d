package judge

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
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

	// Told is set when something said that it was told to stop. Heir is the active
	// process of its instance then, and of a replaced master the master that
	// replaced it. See Past for what this is worth. Heir alone, of a process whose
	// instance changed its user, only says where it is shown.
	Told bool `json:",omitempty"`
	Heir Heir `json:",omitzero"`

	// Superseded is the CLOCK_BOOTTIME at which it was superseded; 0 is not known.
	Superseded time.Duration `json:",omitempty"`

	// Silent is set when the process did not answer by its master's CLI. It is not
	// asked again: each question may cost the master a connection for ever. That
	// only takes a witness away, whatever the owner of the state.
	Silent bool `json:",omitempty"`

	// The rest is for the account of a residual process that has left: its
	// instance, and the signals that it was sent and did not leave by.
	Unit    string   `json:",omitempty"`
	Signals []string `json:",omitempty"`

	// Owner is that of its instance, for what is forgotten first. It decides nothing.
	Owner *Owner `json:",omitempty"`
}

// Heir names a process, also by its pid in its own PID namespace: the lists of
// HAProxy have that one.
type Heir struct {
	inspect.ProcID
	NSPID int `json:"nspid"`
}

func heirOf(p *inspect.Process) Heir { return Heir{p.ProcID, p.NSPID} }

// Memory is what earlier passes of this boot remember. Losing it may delay a
// reap, never cause one.
type Memory map[inspect.ProcID]Seen

// Past is the memory together with the user that owns the state it is from. What
// it says of being told and superseded is believed of a process only if that user
// could signal the process anyway: it is root, or the process's own. So a state
// gives nobody a target that was not theirs already.
type Past struct {
	Memory Memory
	Owner  *uint32 // nil is not known: nothing is believed

	// Qualified are the names that earlier passes qualified. They are shown, and
	// decide nothing.
	Qualified Qualified
}

// of is what is believed of a process. That it was told by what is older no pass saw.
func (p Past) of(q *inspect.Process) Seen {
	if p.Owner == nil || *p.Owner != 0 && *p.Owner != q.UID {
		return Seen{}
	}
	seen := p.Memory[q.ProcID]
	seen.Told = seen.Told && seen.Heir.StartTicks >= q.StartTicks
	return seen
}

// Remember adds what a look saw to a memory, and returns the new one without
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
			case p.Role == RoleStranded && in.Model != "":
				seen.Stranded, seen.Residual, seen.Superseded, known = true, 0, 0, true
			case p.Role == RoleResidual && r.Boottime > 0:
				seen, known = seen.residual(in.Name, p, r.Boottime), true
			}
			if in.Refusal == "" && (p.toldToStop() || p.StrandedReason == StrandedOtherUser) {
				seen.Told, seen.Heir, known = p.toldToStop(), p.Heir, true
			}
			if known {
				if in.Model != "" || seen.Owner == nil {
					seen.Owner = &in.Owner
				}
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

// WithSilent adds the processes that did not answer by their master's CLI.
func (m Memory) WithSilent(list []inspect.ProcID) Memory {
	all := maps.Clone(m)
	if all == nil {
		all = Memory{}
	}
	for _, id := range list {
		seen := all[id]
		seen.Silent = true
		all[id] = seen
	}
	return all
}

// toldToStop tells whether something says of a process for good that it was told to
// stop. Its connections do so for as long as they last, no longer.
func (p *Process) toldToStop() bool {
	return slices.ContainsFunc(p.Evidence, func(word string) bool { return word != EvidenceConnections })
}

// residual is what is remembered of a process that is residual at boottime.
func (s Seen) residual(unit string, p *Process, boottime time.Duration) Seen {
	if s.Residual == 0 {
		s.Residual = boottime
	}
	s.Unit = unit
	if p.ResidualSeconds != nil {
		s.Superseded = max(1, boottime-time.Duration(*p.ResidualSeconds*float64(time.Second)))
	}
	return s
}

// WithOutcomes adds what became of the processes after the look: those that have left
// are forgotten, those that have not keep their signals.
func (m Memory) WithOutcomes(r Report) Memory {
	settled := maps.Clone(m)
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			p := &r.Instances[i].Processes[j]
			seen, known := settled[p.ProcID]
			switch {
			case p.Left():
				delete(settled, p.ProcID)
			case known && len(p.Signals) > 0:
				seen.Signals = p.Signals
				settled[p.ProcID] = seen
			}
		}
	}
	return settled
}

// Possible is the part of the memory that can be true at boottime: nothing was
// seen after now, nor before it was there.
func (m Memory) Possible(boottime time.Duration) Memory {
	kept := make(Memory, len(m))
	for id, seen := range m {
		if seen.Residual > boottime || seen.Residual < inspect.TicksToBoottime(id.StartTicks) {
			seen.Residual = 0
		}
		if seen.Superseded > boottime || seen.Superseded < 0 {
			seen.Superseded = 0
		}
		if seen.Residual > 0 || seen.Stranded || seen.Told || seen.Heir.PID > 0 || seen.Silent {
			kept[id] = seen
		}
	}
	return kept
}

// MarshalJSON writes the keys as pid@ticks.
func (m Memory) MarshalJSON() ([]byte, error) {
	byName := make(map[string]Seen, len(m))
	for id, seen := range m {
		byName[id.String()] = seen
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a state has a limit, and names of "<" would be six times as long
	err := e.Encode(byName)
	return b.Bytes(), err
}

// UnmarshalJSON leaves out what is not a process.
func (m *Memory) UnmarshalJSON(b []byte) error {
	var byName map[string]Seen
	if err := json.Unmarshal(b, &byName); err != nil {
		return err
	}
	*m = make(Memory, len(byName))
	for name, seen := range byName {
		if id, ok := parseProcID(name); ok {
			(*m)[id] = seen
		}
	}
	return nil
}

// parseProcID is the reverse of ProcID.String, and takes nothing else.
func parseProcID(name string) (inspect.ProcID, bool) {
	left, right, _ := strings.Cut(name, "@")
	pid, err := strconv.Atoi(left)
	if err != nil || pid <= 0 {
		return inspect.ProcID{}, false
	}
	ticks, err := strconv.ParseUint(right, 10, 64)
	id := inspect.ProcID{PID: pid, StartTicks: ticks}
	return id, err == nil && id.String() == name
}
