package reaper

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// HAProxy gives its signal handlers back before it ends (2.6: deinit_signals),
// so an old worker on its way out has the masks of one that is starting. That is
// an instant, unless something holds it there, as a debugger or the kernel may;
// and then it would refuse its instance for good. What tells them apart is that
// the old one was told to leave by a younger one that is ready.

// findLeaving takes for workers those of a master's children that only look like
// starting ones. All that is asked of an old worker is asked of them as well. Of a
// lineage without a master nobody knows who its children are: there they refuse.
func (g *group) findLeaving() {
	if g.master == nil {
		return
	}
	workers := g.workers()
	for i := range g.members {
		m := &g.members[i]
		if m.kind == kindStarting && m.Signals.HandedBack() && slices.ContainsFunc(workers, func(n *inspect.Process) bool { return tells(n, m.Process) }) {
			m.kind = kindWorker
		}
	}
}

// tells says that n has told p to leave, and that its owner could: a process
// writes its own arguments, so nobody else's count.
func tells(n, p *inspect.Process) bool {
	return Names(n, p) && (n.UID == p.UID || n.UID == 0)
}
