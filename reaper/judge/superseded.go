package judge

import (
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// superseded is the point of CLOCK_BOOTTIME that a residual process's deadline
// counts from: the start of the next generation, or what an earlier pass remembers
// if that is earlier. The next generation of a master's worker is the next one under
// its master, or under a younger one: see follows. Elsewhere it is the oldest whose list
// names the process: what listens beside it may be a service of its own. Where nothing
// living tells, it is when the process was first seen residual. A process that was
// stranded before was still serving then, so only what was seen since counts.
func (c *classifier) superseded(p Member) time.Duration {
	now := c.look.Snapshot.Boottime
	since := now
	for _, y := range c.group.Candidates() {
		if y.kind == kindWorker && y.StartTicks > p.StartTicks && c.generations.find(y.Process) != c.generations.find(p.Process) && (follows(y, p) || tells(y, p)) {
			since = min(since, inspect.TicksToBoottime(y.StartTicks))
		}
	}
	seen := c.past.of(p.Process)
	if c.past.Memory[p.ProcID].Stranded {
		since = now // that only delays, whatever the owner of the state
	} else if seen.Superseded > 0 {
		since = min(since, seen.Superseded)
	}
	if seen.Residual > 0 {
		since = min(since, seen.Residual)
	}
	return min(max(since, inspect.TicksToBoottime(p.StartTicks)), now)
}

// follows tells whether y, which is younger, is of a later generation than p, as
// workers of masters. Each reload gives a master's workers another list. So what has
// the arguments of p was forked by one start with it, however long that fork took. A
// master that was replaced, and is reloaded after that, supersedes nothing of the
// younger master.
func follows(y, p Member) bool {
	switch {
	case p.master == nil || y.master == nil:
		return false
	case p.master == y.master:
		return y.Command.Sum() != p.Command.Sum()
	}
	return y.master.StartTicks > p.master.StartTicks
}
