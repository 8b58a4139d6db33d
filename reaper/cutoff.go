package reaper

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// CutOff are the client connections of an instance that a pass has ended, and
// what a later pass needs to tell which of their peers have come back.
type CutOff struct {
	Unit  string        `json:"unit"`           // the instance's name
	At    time.Duration `json:"at_nanoseconds"` // CLOCK_BOOTTIME when the pass was done with it
	Peers []CutOffPeer  `json:"peers"`
}

// CutOffPeer sums up those of one peer on one local port.
type CutOffPeer struct {
	Peer  netip.Addr `json:"peer"`
	Port  uint16     `json:"port"`
	Ended int        `json:"ended"`
	// Others are the connections that this peer had to that port besides,
	// whichever process had them.
	Others int `json:"others"`
}

func (p CutOffPeer) key() inspect.PeerPort { return inspect.PeerPort{Peer: p.Peer, Port: p.Port} }

// clientele is what an execution knows of the clients of its targets.
type clientele struct {
	before map[inspect.PeerPort]int              // connections of these peers to all processes, before anything was done
	have   map[inspect.ProcID][]inspect.PeerPort // the clients of each target, as last looked at
	hungUp map[inspect.ProcID][]inspect.PeerPort // those that draining has closed
}

// accountTime bounds that look: a kernel that does not answer shall not keep an
// account from what it is of.
const accountTime = 2 * time.Second

// noteClients looks who is connected to the targets. It is for the account of who
// comes back, and what it cannot read is left out of that.
func (x *execution) noteClients(ctx context.Context, in Instance) {
	limit := accountTime
	if x.budget > 0 {
		limit = min(limit, x.budget)
	}
	ctx, cancel := bounded(ctx, limit)
	defer cancel()
	x.clients.have = map[inspect.ProcID][]inspect.PeerPort{}
	all := map[inspect.PeerPort]int{}
	for i := range in.Processes {
		p := &in.Processes[i]
		if !isTarget(*p) {
			continue
		}
		ports := map[uint16]bool{}
		for _, use := range p.Ports {
			ports[use.Port] = true
		}
		sockets, err := x.sockets(ctx, p.ProcID, ports)
		if err != nil {
			x.Log.Debug("cannot tell the clients of a residual process", "instance", in.Name, "pid", p.PID, "error", err)
		}
		for _, s := range sockets {
			all[s.PeerPort()]++
			x.clients.have[p.ProcID] = append(x.clients.have[p.ProcID], s.PeerPort())
		}
	}
	if x.clients.before != nil || len(all) == 0 {
		return
	}
	before, err := within(ctx, func() (map[inspect.PeerPort]int, error) { return x.Host.CountPeers(all) })
	if err != nil {
		x.Log.Debug("cannot count the connections of clients", "instance", in.Name, "error", err)
	}
	for key, n := range before {
		if n < all[key] {
			delete(before, key) // has gone, or is in another network namespace
		}
	}
	x.clients.before = before
}

// cutOff are the clients that this execution has ended; nil if none is known.
func (x *execution) cutOff(in Instance) *CutOff {
	ended := map[inspect.PeerPort]int{}
	for i := range in.Processes {
		p := &in.Processes[i]
		lost := x.clients.hungUp[p.ProcID]
		if p.Outcome == OutcomeTerminated || p.Outcome == OutcomeKilled {
			lost = slices.Concat(lost, x.clients.have[p.ProcID])
		}
		for _, key := range lost {
			ended[key]++
		}
	}
	c := CutOff{Unit: in.Name, At: x.Host.Kernel().Boottime()}
	for key, n := range ended {
		if before, known := x.clients.before[key]; known {
			c.Peers = append(c.Peers, CutOffPeer{Peer: key.Peer, Port: key.Port, Ended: n, Others: max(0, before-n)})
		}
	}
	if len(c.Peers) == 0 {
		return nil
	}
	slices.SortFunc(c.Peers, func(a, b CutOffPeer) int {
		return cmp.Or(cmp.Compare(b.Ended, a.Ended), a.Peer.Compare(b.Peer), cmp.Compare(a.Port, b.Port))
	})
	c.Peers = c.Peers[:min(len(c.Peers), maxPeers)]
	return &c
}

// sockets lists a process's clients, within the time that a pass has for a look.
func (x *execution) sockets(ctx context.Context, id inspect.ProcID, ports map[uint16]bool) ([]inspect.ClientSocket, error) {
	ctx, cancel := bounded(ctx, x.Timing.PassTimeout)
	defer cancel()
	return within(ctx, func() ([]inspect.ClientSocket, error) { return x.Host.ClientSockets(ctx, id, ports) })
}
