package judge

import (
	"cmp"
	"slices"
)

// excess is the rule of --max-residual: a process goes when so many, due or not
// by another rule, started after it. Those that started in one tick, as with
// nbproc, are not told apart by their numbers: they go together.
func (j *rules) excess(p *Process) bool {
	younger := 0
	for _, q := range j.residual {
		if q.StartTicks > p.StartTicks {
			younger++
		}
	}
	return j.policy.MaxResidual > 0 && younger >= j.policy.MaxResidual
}

// dearest returns the process that frees most private memory for each client
// that its end cuts off; nil when there is enough memory (--min-available-memory).
// A stuck process is chosen only where all are stuck: it would be chosen in every
// pass, and free nothing.
// It is nil too where the memory or the clients of a candidate are not known.
func (j *rules) dearest() *Process {
	if !j.shortOfMemory() {
		return nil
	}
	list := slices.DeleteFunc(slices.Clone(j.residual), (*Process).Stuck)
	if len(list) == 0 {
		list = slices.Clone(j.residual)
	}
	for _, p := range list {
		if p.PrivateBytes == nil || !toldApart(p) {
			return nil
		}
	}
	slices.SortStableFunc(list, func(a, b *Process) int {
		return cmp.Or(cmp.Compare(bytesPerClient(b), bytesPerClient(a)), cmp.Compare(*b.PrivateBytes, *a.PrivateBytes))
	})
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// bytesPerClient is without bound for a process that has no client, and not a
// number, which counts for less than any, for one that has no bytes either.
func bytesPerClient(p *Process) float64 {
	return float64(*p.PrivateBytes) / float64(*p.Connections.Client)
}

// shortOfMemory tells whether less than --min-available-memory is left: of the
// host's memory, or of the limit on that of the active's cgroup.
func (j *rules) shortOfMemory() bool {
	short := func(available, of *uint64) bool {
		return available != nil && of != nil && float64(*available)*100 < float64(*of)*float64(j.policy.MinAvailableMemory)
	}
	return short(j.host.MemoryAvailableBytes, j.host.MemoryTotalBytes) || short(j.in.MemoryLimitAvailableBytes, j.in.MemoryLimitBytes)
}
