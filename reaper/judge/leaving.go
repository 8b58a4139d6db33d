package judge

import (
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// HAProxy gives its signal handlers back before it ends (2.6: deinit_signals),
// so an old worker on its way out has the masks of one that is starting. That is
// an instant, unless something holds it there, as a debugger or the kernel may;
// and then it would refuse its instance for good. What tells them apart is that
// the old one was told to leave by a younger one that is ready.

// leaving tells whether a child of a master that looks like a starting one is an
// old worker on its way out. All that is asked of an old worker is asked of it as
// well. Without a master its siblings are not known: there it refuses.
func (t *tree) leaving(p, master *inspect.Process) bool {
	old := Member{p, kindWorker, master}
	return p.Signals.HandedBack() && slices.ContainsFunc(t.children[master], func(n *inspect.Process) bool {
		return n.HAProxy && IsReady(n) && t.ofMaster(n, master) && tells(Member{n, kindWorker, master}, old)
	})
}
