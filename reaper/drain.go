package reaper

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const (
	// drainTurn is the time between two batches of connections that are closed.
	drainTurn = time.Second
	// drainPatience is how long a connection may take to end after it was closed
	// gently, and an emptied process to leave by itself.
	drainPatience = 5 * time.Second
)

// drain is the draining of one instance's targets: their client connections are
// closed one by one, so many a second, the one that was idle for the longest
// first, whichever process has it; those of stuck processes after all others.
type drain struct {
	act   *act
	pass  *Pass
	queue []hangup // to be closed, in this order
	// known are those that were there at the start. An old worker gets no new
	// clients; and a connection towards a server that was told by its client's can
	// no longer be told when that one is closed.
	known  map[connectionID]bool
	asked  map[connectionID]time.Duration // closed gently at this CLOCK_BOOTTIME
	over   map[connectionID]bool          // closed for good, or not to be closed at all
	barred map[*target]bool               // whose connections we may not reach
	credit float64                        // connections that may be closed now
	last   time.Duration                  // CLOCK_BOOTTIME that the credit is of
	empty  time.Duration                  // CLOCK_BOOTTIME since when there are none left; 0 while there are
}

// hangup is one connection to be closed, and how. The connections of a stuck
// process come last (turn 1): it acts on none, and would use up the time of the
// others.
type hangup struct {
	target *target
	socket inspect.ClientSocket
	how    inspect.Hangup
	turn   int
}

// connectionID names one of a process for as long as it lives.
type connectionID struct {
	id    inspect.ProcID
	inode uint64
}

func (h hangup) connection() connectionID { return connectionID{h.target.ProcID, h.socket.Inode} }

// drain closes the client connections of the proven targets, for at most
// --drain-timeout. The targets that are there still are proposed anew.
func (a *act) drain(ctx context.Context) {
	for _, t := range a.targets.at(proven) {
		t.step(draining)
	}
	clock := a.pass.Host.Kernel()
	d := &drain{
		act: a, pass: a.pass, asked: map[connectionID]time.Duration{}, over: map[connectionID]bool{}, barred: map[*target]bool{},
		credit: 1, last: clock.Boottime(),
	}
	d.run(ctx, d.last+a.pass.Timing.DrainTimeout)
	for _, t := range a.targets.at(draining) {
		t.step(proposed)
	}
}

func (d *drain) run(ctx context.Context, ends time.Duration) {
	clock := d.pass.Host.Kernel()
	d.find(ctx)
	for {
		d.pass.step()
		d.noteDepartures(ctx)
		now := clock.Boottime()
		switch {
		case len(d.act.targets.at(draining)) == 0, d.empty > 0 && (len(d.asked) == 0 || now-d.empty >= drainPatience):
			return
		case now >= ends:
			d.pass.Log.Warn("draining took too long", "instance", d.act.in.Name, "limit", d.pass.Timing.DrainTimeout, "left", len(d.queue))
			return
		}
		if batch := d.batch(now); len(batch) > 0 && (!d.proveAgain(ctx) || !d.hangUp(ctx, batch)) {
			return
		}
		if clock.Sleep(ctx, min(drainTurn, ends-now)) != nil {
			return
		}
		if len(d.queue) == 0 {
			d.find(ctx)
		}
	}
}

// find looks for the connections that are still to be closed: those that were
// not closed yet, and those that have not ended by being closed gently.
func (d *drain) find(ctx context.Context) {
	now := d.pass.Host.Kernel().Boottime()
	waiting, first := false, d.known == nil
	if first {
		d.known = map[connectionID]bool{}
	}
	for _, t := range d.act.targets.at(draining) {
		for _, s := range d.clients(ctx, t) {
			h := hangup{t, s, inspect.HangupGently, 0}
			if t.Stuck() {
				h.turn = 1
			}
			if first {
				d.known[h.connection()] = true
			}
			at, asked := d.asked[h.connection()]
			switch {
			case d.over[h.connection()], !d.known[h.connection()]:
				continue
			case asked && now-at < drainPatience:
				waiting = true
				continue
			case asked:
				h.how = inspect.HangupNow
			}
			d.queue = append(d.queue, h)
		}
	}
	slices.SortStableFunc(d.queue, func(a, b hangup) int {
		return cmp.Or(cmp.Compare(a.turn, b.turn), inspect.CompareIdle(a.socket.Connection, b.socket.Connection))
	})
	switch {
	case waiting || len(d.queue) > 0:
		d.empty = 0
	case d.empty == 0:
		d.empty = now
	}
}

// clients lists the connections of a target's clients that may be closed, within the
// time that a pass has for a look.
func (d *drain) clients(ctx context.Context, t *target) []inspect.ClientSocket {
	// Closing the connections that alone say that it was told would take that away.
	if d.barred[t] || slices.Equal(t.Evidence, []string{judge.EvidenceConnections}) {
		return nil
	}
	look, cancel := bounded(ctx, d.pass.Timing.PassTimeout)
	defer cancel()
	sockets, err := orAbandon(look, func() ([]inspect.ClientSocket, error) { return d.pass.Host.ClientSockets(look, t.ProcID) })
	if err != nil && !errors.Is(err, inspect.ErrGone) && ctx.Err() == nil {
		d.barred[t] = true
		t.log.Warn("cannot drain residual process", "error", err)
	}
	return slices.DeleteFunc(sockets, func(s inspect.ClientSocket) bool {
		return !d.act.in.Client(t.ProcID, s.End) || judge.SparesPort(&d.pass.Policy, &d.act.host, t.Process, s.Local.Port())
	})
}

// batch takes from the queue what is due by now: never more than a second's, so
// that a look that took its time is not made up for at once.
func (d *drain) batch(now time.Duration) []hangup {
	rate := d.pass.Timing.DrainRate
	d.credit = min(d.credit+rate*(now-d.last).Seconds(), max(1, rate))
	d.last = now
	n := min(int(d.credit), len(d.queue))
	batch := d.queue[:n]
	d.queue = d.queue[n:]
	d.credit -= float64(n)
	return batch
}

// proveAgain looks once more, with the eyes of the second look, and confirms the active
// as before a signal. False when nothing may be touched any more.
func (d *drain) proveAgain(ctx context.Context) bool {
	var again judge.Instance
	err := d.pass.settle(ctx, lookAgain, func() (err error) {
		again, err = d.act.look(ctx)
		switch {
		case err != nil:
			return err
		case again.Refusal != "":
			return obstacle{judge.VerdictRefuse, again.Refusal, again.RefusalDetail}
		case !judge.SameActive(d.act.agreed, again):
			return changed("the active worker changed while clients were drained")
		}
		return d.act.confirm(ctx)
	})
	if err != nil {
		d.act.stop(d.pass.whyNot(ctx, err))
		return false
	}
	for _, t := range d.act.targets.at(draining) {
		d.act.bearOut(t, &again)
	}
	return true
}

// hangUp closes the connections of a batch that are those of a target. It is
// false when nothing is closed by this terminator.
func (d *drain) hangUp(ctx context.Context, batch []hangup) bool {
	for _, h := range batch {
		if ctx.Err() != nil || h.target.stage != draining {
			continue
		}
		log := h.target.log.With("client", h.socket.Peer, "port", h.socket.Local.Port())
		done, err := d.pass.Terminator.HangUp(h.target.ProcID, h.socket, h.how)
		d.over[h.connection()] = err != nil || h.how == inspect.HangupNow
		switch {
		case errors.Is(err, inspect.ErrOther), errors.Is(err, inspect.ErrGone): // it has ended by itself
		case err != nil:
			log.Warn("cannot close the connection of a client", "error", err)
		case !done:
			return false
		case h.how == inspect.HangupGently:
			if len(d.asked) == 0 {
				d.pass.Log.Info("draining", "instance", d.act.in.Name, "clients", len(d.known), "rate", d.pass.Timing.DrainRate)
			}
			d.asked[h.connection()] = d.pass.Host.Kernel().Boottime()
			h.target.DrainedConnections++
			log.Debug("closed the connection of a client", slog.Duration("idle", h.socket.Idle))
		}
	}
	d.pass.drained(d.act.in.Name, len(d.asked), len(d.known))
	return true
}

// noteDepartures gives those that have left meanwhile their outcome.
func (d *drain) noteDepartures(ctx context.Context) {
	for _, t := range d.act.targets.at(draining) {
		if gone, err := d.pass.waitFor(ctx, t.ProcID, 0); err == nil && gone {
			t.leave()
		}
	}
}
