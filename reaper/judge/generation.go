package judge

import (
	"fmt"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Youngest is the youngest generation of ready workers, which are oldest first.
// It is one worker, and with nbproc (HAProxy up to 2.4) several.
func Youngest(workers []*inspect.Process) []*inspect.Process {
	if len(workers) == 0 {
		return nil
	}
	of := generations(workers)
	last := workers[len(workers)-1]
	return slices.DeleteFunc(slices.Clone(workers), func(p *inspect.Process) bool { return of.find(p) != of.find(last) })
}

// generations sorts workers, oldest first, into generations. Two workers are
// siblings if they have the same arguments, the -sf list included, one user and
// one cgroup, and either started within a second or hold a listener in common. A
// sibling of a sibling is one too: the forks of a generation may take longer. Other
// sockets tell nothing: two services may log to one that their supervisor passed them.
// What has executed its program itself (-db) was forked by no generation: a supervisor
// starts several services in one second.
func generations(workers []*inspect.Process) union {
	const second = 100 // ticks
	u := union{}
	last := map[int]*inspect.Process{}
	holder := map[meeting]*inspect.Process{}
	words := numbers{}
	for _, p := range workers {
		alike := words.of(fmt.Sprintf("pidns %d uid %d cgroup %q args %x", p.PIDNS, p.UID, p.Cgroup, p.Command.Sum()))
		if before := last[alike]; before != nil && p.Forked && before.Forked && p.StartTicks-before.StartTicks <= second {
			u.join(before, p)
		}
		last[alike] = p
		if p.Sockets != nil {
			for _, l := range slices.Concat(p.Sockets.Listening, p.Sockets.Paused, p.Sockets.Bound, p.Sockets.Unused) {
				joinFirst(u, holder, meeting{service: alike, inode: l.Inode}, p)
			}
		}
	}
	return u
}
