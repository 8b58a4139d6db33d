package main

import (
	"context"
	"sync"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// The parts of a run, one after another over the same services and under the
// same storm and load. HAProxy alone comes first: what it loses by itself is not
// the agent's doing.
const (
	partAlone = iota
	partTimer
	partServe
	partNaive
	numParts
)

var partNames = [numParts]string{"HAProxy alone", "agent by its timer", "agent as a service, draining", "naive rule"}

// shares are how long each part takes, of the whole.
var shares = [numParts]float64{0.15, 0.37, 0.37, 0.11}

// drained is how much longer a wedged process may take where it is drained first:
// the agent gives its connections 5s to be closed, and it 5s to leave by itself.
const drained = 15 * time.Second

// enter begins a part.
func (r *run) enter(part int) {
	rule := rules{from: now(), deadline: r.deadline, lenient: starved}
	switch part {
	case partTimer:
		rule.allowance = r.allowance
	case partServe:
		rule.allowance = r.allowance + drained
	case partNaive:
		rule.deadline, rule.lenient = 0, time.Second // faster than a client may be
	}
	r.mu.Lock()
	r.part = part
	r.rules = append(r.rules, rule)
	r.mu.Unlock()
	r.ledger.enter(part)
}

// play plays a part to its end.
func (r *run) play(whole context.Context, part int) {
	ctx, stop := context.WithCancel(whole)
	defer stop()
	time.AfterFunc(time.Duration(shares[part]*float64(r.duration)), func() {
		if part == partNaive {
			r.untilFoundOut(ctx)
		}
		stop()
	})
	var sides sync.WaitGroup
	defer sides.Wait()
	switch part {
	case partTimer, partServe:
		unit := "haproxy-reaper.timer"
		if part == partServe {
			unit = "haproxy-reaper-serve.service"
			r.m.Configure("#HAPROXY_REAPER_DRAIN_RATE=5", "HAPROXY_REAPER_DRAIN_RATE=20")
		}
		r.m.Must("systemctl", "start", unit)
		defer r.m.Must("systemctl", "stop", unit)
		defer r.untilGone(whole)
		sides.Go(func() { nowAndThen(ctx, 8*time.Second, r.kill) })
		sides.Go(func() { nowAndThen(ctx, 8*time.Second, r.wedge) })
	case partNaive:
		sides.Go(func() { r.ledger.naive(ctx) })
	}
	storm(ctx, r.m, r.cells, r.reloads, r.reloaded)
	<-ctx.Done()
}

func (r *run) kill() {
	at := now()
	if r.ledger.killAgent() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.kills++
		r.rules[r.part].kills = append(r.rules[r.part].kills, at)
	}
}

func (r *run) wedge() {
	if r.ledger.wedge() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wedged++
	}
}

// untilGone waits until no residual process is left, or it is too late for it.
func (r *run) untilGone(ctx context.Context) {
	for end := time.Now().Add(r.deadline + r.allowance + drained); ctx.Err() == nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if r.ledger.old() == 0 {
			return
		}
	}
}

// untilFoundOut gives the judge longer to find the naive rule out: on a busy
// machine it comes to fewer looks, and may be lucky for a while.
func (r *run) untilFoundOut(ctx context.Context) {
	for end := time.Now().Add(machine.Patience); ctx.Err() == nil && time.Now().Before(end); time.Sleep(time.Second) {
		for _, t := range r.tallies()[partNaive] {
			if len(t.wrong) > 0 {
				return
			}
		}
	}
}
