package reaper

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// observe looks at the host once and classifies what it sees. With an instance
// of an earlier look, the sockets of no other are looked at, and what was
// measured then for display (memory, connections) is left out. The error is that
// of inspect.Host.Observe, or the context's.
func (p *Pass) observe(ctx context.Context, before *judge.Instance) (judge.Report, error) {
	p.step()
	r, err := orAbandon(ctx, func() (judge.Report, error) { return p.lookOnce(ctx, before) })
	if err != nil {
		r = judge.Report{Version: 1, Host: inspect.Hostname(), Time: p.Host.Kernel().Now(), Instances: []judge.Instance{}, Errors: []string{err.Error()}}
	}
	return r, err
}

// lookOnce is one whole look; it changes nothing of the pass.
func (p *Pass) lookOnce(ctx context.Context, before *judge.Instance) (judge.Report, error) {
	s, err := p.Host.Observe(ctx)
	if err != nil {
		return judge.Report{}, err
	}
	if s.Unlisted > 0 && before == nil {
		p.Log.Warn("cannot list all processes of other users", "left out", s.Unlisted)
	}
	l := judge.Look{
		Host: inspect.Hostname(), BootID: p.bootID, Snapshot: s,
		CLI: map[string]error{}, ActiveClients: map[string]int{}, Clients: p.Clients,
		MemoryLimits: map[string]*inspect.MemoryLimit{}, MaySignal: p.MaySignal,
	}
	tables := p.Host.Tables()
	tables.Peers = l.Clients
	if before != nil {
		tables.Counted, tables.Brief = counted(*before), true
	}
	p.lookAtClusters(ctx, tables, &l.Snapshot, before)
	l.Groups = judge.Groups(l.Snapshot, p.past())
	if before != nil {
		l.Groups = only(l.Groups, *before)
	} else {
		l.MemoryAvailable, l.MemoryTotal = p.Host.Memory()
		l.HostShare = p.Host.HostShare()
	}
	p.lookAtGroups(ctx, tables, &l, before)
	// All of a lineage may have exited while it was looked at.
	l.Groups = slices.DeleteFunc(l.Groups, func(g judge.Group) bool { return len(g.Members) == 0 })
	if err := ctx.Err(); err != nil {
		return judge.Report{}, err
	}
	return judge.Classify(l, p.past()), nil
}

func (p *Pass) past() judge.Past {
	return judge.Past{Memory: p.Memory, Owner: p.MemoryOwner, Qualified: p.Qualified}
}

// only is the group that an instance of an earlier look is now: the one that holds
// what it stood on, or else the first of its processes that is left.
func only(groups []judge.Group, before judge.Instance) []judge.Group {
	ids := judge.InCharge(before)
	slices.Reverse(ids)
	for i := range before.Processes {
		ids = append(ids, before.Processes[i].ProcID)
	}
	for _, id := range ids {
		for i := range groups {
			g := &groups[i]
			if g.Model != "" && slices.ContainsFunc(g.Members, func(m judge.Member) bool { return m.ProcID == id }) {
				return groups[i : i+1]
			}
		}
	}
	return nil
}

// lookAtClusters looks at the sockets of all ready workers, those of each cluster
// side by side, and leaves processes out that exited meanwhile. With an instance
// of an earlier look it looks at the clusters of that alone.
func (p *Pass) lookAtClusters(ctx context.Context, tables *inspect.Tables, s *inspect.Snapshot, before *judge.Instance) {
	var wanted map[inspect.ProcID]bool
	if before != nil {
		wanted = map[inspect.ProcID]bool{}
		for i := range before.Processes {
			wanted[before.Processes[i].ProcID] = true
		}
	}
	var wg sync.WaitGroup
	var strangers [][]judge.Member
	for _, c := range judge.Clusters(s.Processes, p.past()) {
		list := c.Candidates()
		switch {
		case len(list) > judge.MaxProcesses || wanted != nil && !c.Has(wanted):
		case slices.ContainsFunc(list, func(m judge.Member) bool { return !m.Stranger }):
			wg.Go(func() { p.lookAtSockets(ctx, tables, list) })
		default:
			strangers = append(strangers, list)
		}
	}
	wg.Wait()
	ctx, cancel := p.forStrangers(ctx)
	defer cancel()
	for _, list := range fewestFirst(strangers) {
		p.lookAtSockets(ctx, tables, list)
	}
	s.Processes = slices.DeleteFunc(slices.Clone(s.Processes), func(q *inspect.Process) bool {
		return q.Err != nil && p.Host.Exited(q.ProcID)
	})
}

// forStrangers is a context for looking at the processes of strangers, which comes
// after that at all others. It takes no more than a quarter of a pass, and less where
// they may not even be signalled.
func (p *Pass) forStrangers(ctx context.Context) (context.Context, context.CancelFunc) {
	const most, atLeast = 2 * time.Second, 15 * time.Second
	limit := p.Timing.PassTimeout / 4
	switch {
	case p.Host.Rights == nil || p.Host.Rights.All:
		return context.WithTimeout(ctx, cmp.Or(limit, atLeast))
	case limit == 0:
		return context.WithTimeout(ctx, most)
	}
	return context.WithTimeout(ctx, min(limit, most))
}

// fewestFirst orders the clusters of strangers by the descriptors that each user's
// processes have in all: a user with a million of them does not keep the look from those
// of another user.
func fewestFirst(clusters [][]judge.Member) [][]judge.Member {
	descriptors := map[uint32]int{}
	owner := func(list []judge.Member) uint32 {
		if len(list) == 0 {
			return inspect.NoUID
		}
		return list[0].UID
	}
	for _, list := range clusters {
		for _, m := range list {
			descriptors[owner(list)] += m.FDSize
		}
	}
	slices.SortStableFunc(clusters, func(a, b []judge.Member) int {
		return cmp.Compare(descriptors[owner(a)], descriptors[owner(b)])
	})
	return clusters
}

// lookAtSockets looks at the sockets of ready workers, oldest first. A worker that
// no younger one names may be the active: it is touched as little as can be, and
// only if that has to be.
func (p *Pass) lookAtSockets(ctx context.Context, tables *inspect.Tables, workers []judge.Member) {
	named := judge.NamedBy(workers)
	for _, w := range workers {
		if w.Err != nil {
			continue
		}
		untouched := p.Host.LeavesAlone(w.Process)
		if untouched && ctx.Err() != nil {
			w.Err = fmt.Errorf("descriptors: %w", ctx.Err())
			continue
		}
		if (named[w.Process] == nil || untouched) && ctx.Err() == nil {
			p.Host.FindListener(tables, w.Process)
			if untouched || w.Err == nil && len(w.Sockets.Listening) > 0 {
				continue
			}
			// Nothing seen, or nothing to be seen by this way: a listener that it has in
			// another network namespace than its own, say.
			w.Err = nil
		}
		p.Host.ExamineSockets(ctx, tables, w.Process)
	}
}

// lookAtGroups looks at the groups side by side: a master that does not answer
// costs a second, and shall cost the others none. Those of strangers come after that,
// one after another.
func (p *Pass) lookAtGroups(ctx context.Context, tables *inspect.Tables, l *judge.Look, before *judge.Instance) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	lookAt := func(ctx context.Context, g *judge.Group) {
		p.lookAtOld(ctx, tables, g)
		cli := p.askMaster(ctx, l, g)
		clients, known := 0, false
		var limit *inspect.MemoryLimit
		if before == nil && ctx.Err() == nil {
			limit = p.measure(g)
			clients, known = p.activeClients(l.Snapshot, tables, g)
		}
		mu.Lock()
		defer mu.Unlock()
		l.CLI[g.Key] = cli
		l.MemoryLimits[g.Key] = limit
		if known {
			l.ActiveClients[g.Key] = clients
		}
	}
	var strangers []*judge.Group
	for i := range l.Groups {
		switch g := &l.Groups[i]; {
		case g.Model == "" || len(g.Members) > judge.MaxProcesses:
		case g.Strangers():
			strangers = append(strangers, g)
		default:
			wg.Go(func() { lookAt(ctx, g) })
		}
	}
	wg.Wait()
	ctx, cancel := p.forStrangers(ctx)
	defer cancel()
	for _, g := range strangers {
		lookAt(ctx, g)
	}
}

// counted are the processes whose connections a look has counted, and need not be
// counted again: their connections say nothing of what they are. What nothing but the
// memory tells may be in its instance by its connections.
func counted(in judge.Instance) map[inspect.ProcID]bool {
	ids := map[inspect.ProcID]bool{}
	for _, p := range in.Processes {
		if p.Role == judge.RoleResidual && p.Connections.Client != nil && !slices.Contains(p.Evidence, judge.EvidenceConnections) && !slices.Equal(p.Evidence, []string{judge.EvidenceRemembered}) {
			ids[p.ProcID] = true
		}
	}
	return ids
}

// lookAtOld examines every descriptor of the workers of a group that are not
// active, where that was not done yet.
func (p *Pass) lookAtOld(ctx context.Context, tables *inspect.Tables, g *judge.Group) {
	active := judge.Youngest(g.Workers())
	for _, m := range g.Candidates() {
		if m.Err == nil && m.Sockets != nil && !m.Sockets.Proof && !slices.Contains(active, m.Process) && !p.Host.LeavesAlone(m.Process) {
			p.Host.ExamineSockets(ctx, tables, m.Process)
		}
	}
	// One that exited while it was looked at is no failure to look.
	g.Members = slices.DeleteFunc(g.Members, func(m judge.Member) bool {
		return m.Err != nil && m.MayBeResidual() && p.Host.Exited(m.ProcID)
	})
}

// askMaster asks the master CLI, for people also since when the clients of the old
// workers are there. An error that is no inspect.UnaskedError means that it is no
// witness.
func (p *Pass) askMaster(ctx context.Context, l *judge.Look, g *judge.Group) error {
	if g.Master == nil || g.Master.Signals.Reloading() {
		return inspect.ErrNoCLI
	}
	q := inspect.Questions{Workers: g.OwnWorkers()}
	if l.Clients {
		active := judge.Youngest(g.Workers())
		q.Sessions = slices.DeleteFunc(slices.Clone(q.Workers), func(w *inspect.Process) bool { return slices.Contains(active, w) })
	}
	err := p.Host.AskMaster(ctx, l.Snapshot, g.Master, q, p.MasterSocket)
	if err != nil {
		p.Log.Debug("the master CLI does not tell all", "master", g.Master.PID, "error", err)
	}
	return err
}

// measure reads the memory that old workers would free, and the limit on that of
// the youngest.
func (p *Pass) measure(g *judge.Group) *inspect.MemoryLimit {
	workers := g.Workers()
	for _, w := range workers {
		p.Host.MeasureMemory(w)
	}
	if len(workers) == 0 {
		return nil
	}
	return p.Host.CgroupMemory(workers[len(workers)-1])
}

// activeClients counts the client connections of the active generation: by the
// master CLI, else, where that is asked for, by the kernel's count on its addresses,
// less those that older workers hold there. QUIC connections count if they have
// sockets of their own, as they have by default (tune.quic.socket-owner). MPTCP is not
// counted: the kernel lists its paths.
func (p *Pass) activeClients(s inspect.Snapshot, tables *inspect.Tables, g *judge.Group) (int, bool) {
	workers := g.Workers()
	active := judge.Youngest(workers)
	if len(active) == 0 {
		return 0, false
	}
	if cli := active[len(active)-1].CLI; cli != nil && len(active) == 1 {
		return cli.CurrConns, true
	}
	if !p.ActiveClients || g.Strangers() && !p.Host.Rights.All {
		return 0, false
	}
	for _, a := range active {
		if a.Sockets == nil || a.NetNS != s.NetNS {
			return 0, false
		}
	}
	at := judge.Served(active)
	if at.Multipath() {
		return 0, false
	}
	clients, err := p.countClients(tables, at)
	if err != nil {
		p.Log.Debug("cannot count the active's connections", "error", err)
		return 0, false
	}
	for _, w := range workers {
		if slices.Contains(active, w) {
			continue
		}
		if w.Sockets == nil || w.Sockets.Ends == nil {
			return 0, false
		}
		for end, use := range w.Sockets.Ends {
			if end.Network != inspect.NetworkUnix && !end.Gone && at.Holds(end) {
				clients -= use.Connections
			}
		}
	}
	return max(clients, 0), true
}

// countClients counts the connections of the host that came by the places of an
// active.
func (p *Pass) countClients(tables *inspect.Tables, at *judge.Places) (int, error) {
	listeners, err := tables.Listening()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, network := range []inspect.Network{inspect.NetworkStream, inspect.NetworkDatagram} {
		byAddress := map[netip.AddrPort]int{}
		err := p.Host.EachConnection(network, at.Ports(network), func(local netip.AddrPort) { byAddress[local]++ })
		if err != nil {
			return 0, err
		}
		n += at.Clients(network, byAddress, listeners)
	}
	return n, nil
}
