package reaper

import (
	"context"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

const (
	// returnTime is how long clients have to come back; the first pass after that
	// counts those that have.
	returnTime = 30 * time.Second
	// returnsUntil is when nobody is waited for any more, since a count that late
	// tells nothing of a reap.
	returnsUntil = time.Hour
	// maxCutOffs bounds those that the state remembers, maxPeers the peers of all
	// of them: together some two megabytes, of the four that a state may have.
	maxCutOffs = 20
	maxPeers   = 10_000
	// maxEnded is more connections than a host can have.
	maxEnded = 1 << 30
)

// Return tells how many of the client connections that a pass has ended were
// made again since: established ones to the same port from the same address, as
// far as there are more of them than there were besides. Addresses are the
// kernel's: behind a balancer, or one address of many clients, it counts how many
// are there, not who.
type Return struct {
	Ended        int     `json:"ended"`
	Returned     int     `json:"returned"`
	AfterSeconds float64 `json:"after_seconds"` // since the pass that ended them

	at time.Duration // CutOff.At
}

// settled tells whether there was time to come back.
func (r Return) settled() bool { return r.AfterSeconds >= returnTime.Seconds() }

// lookForReturns looks who has come back of those that earlier passes have cut off.
func (p *Pass) lookForReturns(ctx context.Context, r *Report) {
	wanted := map[inspect.PeerPort]int{}
	for _, c := range p.CutOffs {
		for _, peer := range c.Peers {
			wanted[peer.key()] = peer.Ended
		}
	}
	if len(wanted) == 0 {
		return
	}
	now, err := within(ctx, func() (map[inspect.PeerPort]int, error) { return p.Host.CountPeers(wanted) })
	if err != nil {
		p.Log.Debug("cannot tell who has come back", "error", err)
		return
	}
	for _, c := range p.CutOffs {
		if i := slices.IndexFunc(r.Instances, func(in Instance) bool { return in.Name == c.Unit }); i >= 0 {
			r.Instances[i].Returns = append(r.Instances[i].Returns, c.returned(now, r.boottime))
		}
	}
}

// logReturns says it of those that have had their time.
func (p *Pass) logReturns(r Report) {
	for _, in := range r.Instances {
		for _, back := range in.Returns {
			if back.settled() {
				p.Log.Info("clients that were cut off have come back", "instance", in.Name, "ended", back.Ended, "returned", back.Returned, "after", seconds(back.AfterSeconds))
			}
		}
	}
}

// returned compares the connections that there are with those that there were.
func (c CutOff) returned(now map[inspect.PeerPort]int, boottime time.Duration) Return {
	r := Return{AfterSeconds: (boottime - c.At).Seconds(), at: c.At}
	for _, p := range c.Peers {
		r.Ended += p.Ended
		r.Returned += min(p.Ended, max(0, now[p.key()]-p.Others))
	}
	return r
}

// follow takes up whom a pass has cut off and who has come back.
func (s *State) follow(r Report) {
	for i := range r.Instances {
		in := &r.Instances[i]
		for _, back := range in.Returns {
			n := slices.IndexFunc(s.CutOffs, func(c CutOff) bool { return c.Unit == in.Name && c.At == back.at })
			if n < 0 || !back.settled() {
				continue // another run has counted it
			}
			s.CutOffs = slices.Delete(s.CutOffs, n, n+1)
			s.Counters.addReturn(in.Name, back)
		}
		if in.cutOff != nil {
			s.CutOffs = append(s.CutOffs, *in.cutOff)
		}
	}
	s.CutOffs = latest(s.CutOffs)
}

// latest are the last of them, as far as the state has room: an older one that is
// not counted yet is given up for a newer one.
func latest(list []CutOff) []CutOff {
	peers := 0
	for i := len(list) - 1; i >= 0; i-- {
		if peers += len(list[i].Peers); peers > maxPeers || len(list)-i > maxCutOffs {
			return slices.Clone(list[i+1:])
		}
	}
	return list
}

// possibleCutOffs are those that can be true at boottime, and that are still waited for.
func possibleCutOffs(list []CutOff, boottime time.Duration) []CutOff {
	return slices.DeleteFunc(list, func(c CutOff) bool {
		return c.At < 0 || c.At > boottime || boottime-c.At > returnsUntil || slices.ContainsFunc(c.Peers, CutOffPeer.impossible)
	})
}

func (p CutOffPeer) impossible() bool {
	return p.Ended <= 0 || p.Ended > maxEnded || p.Others < 0 || !p.Peer.IsValid()
}
