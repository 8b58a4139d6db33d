package state

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The most bytes of each part of the state, as it is written. A process of the
// service takes at most some 800 of memory, an instance 1,500 of counters. Together
// they stay below maxStateSize.
const (
	maxMemory    = 5 << 18 // 1.25 MiB
	maxCounters  = 2 << 20
	maxOpen      = 1 << 18
	maxQualified = 1 << 16
)

// rememberedPerUser is how many processes of a user are remembered before others
// have none.
const rememberedPerUser = 256

// bound forgets what the state has no room for: that of strangers first, see ByOwner.
// Any user may start thousands of processes under long names, each with residual
// processes of its own. What is forgotten delays a reap of theirs.
func (s *State) bound() {
	s.Forgotten = 0
	owner := func(name string) *judge.Owner { return s.Counters.Units[name].Owner }
	s.Memory = fit(s, s.Memory, maxMemory, rememberedPerUser,
		func(id inspect.ProcID) *judge.Owner { return s.Memory[id].Owner },
		func(a, b inspect.ProcID) int {
			x, y := s.Memory[a], s.Memory[b]
			return cmp.Or(first(x.Residual > 0, y.Residual > 0), cmp.Compare(x.Residual, y.Residual),
				cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
		})
	if s.Open != nil {
		s.Open.Signals = fit(s, s.Open.Signals, maxOpen, unitsPerUser, owner, s.Counters.compare)
	}
	s.Qualified = fit(s, s.Qualified, maxQualified, unitsPerUser, func(name string) *judge.Owner { return s.Qualified[name].Owner }, strings.Compare)
	s.Counters.Units = fit(s, s.Counters.Units, maxCounters, unitsPerUser, owner, s.Counters.compare)
}

// fit is a part of the state that has so many bytes at the most.
func fit[M ~map[K]V, K comparable, V any](s *State, part M, limit, perUser int, owner func(K) *judge.Owner, less func(a, b K) int) M {
	if content, err := encode(part); err == nil && len(content) <= limit {
		return part
	}
	kept, size := M{}, 0
	for _, key := range judge.ByOwner(slices.Collect(maps.Keys(part)), perUser, owner, less) {
		// Its share of the whole: an entry alone has braces and an end of line more.
		content, err := encode(M{key: part[key]})
		if size += len(content); err != nil || size > limit {
			size -= len(content)
			s.Forgotten++
			continue
		}
		kept[key] = part[key]
	}
	return kept
}

// encode is JSON in which no character takes more than two bytes for each of its
// own: a name holds none that does not print.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return out.Bytes(), err
}
