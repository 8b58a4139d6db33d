package reaper

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
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
	*execution
	queue []hangup // to be closed, in this order
	// known are those that were there at the start. An old worker gets no new
	// clients; and a connection towards a server that was told by its client's can
	// no longer be told when that one is closed.
	known  map[connectionID]bool
	asked  map[connectionID]time.Duration // closed gently at this CLOCK_BOOTTIME
	over   map[connectionID]bool          // closed for good, or not to be closed at all
	barred map[inspect.ProcID]bool        // whose connections we may not reach
	credit float64                        // connections that may be closed now
	last   time.Duration                  // CLOCK_BOOTTIME that the credit is of
	empty  time.Duration                  // CLOCK_BOOTTIME since when there are none left; 0 while there are
}

// hangup is one connection to be closed, and how. The connections of a stuck
// process come last (turn 1): it acts on none, and would use up the time of the
// others.
type hangup struct {
	id     inspect.ProcID
	socket inspect.ClientSocket
	how    inspect.Hangup
	turn   int
}

// connectionID names one of a process for as long as it lives.
type connectionID struct {
	id    inspect.ProcID
	inode uint64
}

func (h hangup) connection() connectionID { return connectionID{h.id, h.socket.Inode} }

// drain closes the client connections of an instance's targets, for at most
// --drain-timeout. Those that leave by that have their outcome; those that are
// targets still are to be signalled. What it may no longer touch has no verdict
// to terminate any more.
func (x *execution) drain(ctx context.Context, in Instance) Instance {
	clock := x.Host.Kernel()
	d := &drain{
		execution: x, asked: map[connectionID]time.Duration{}, over: map[connectionID]bool{}, barred: map[inspect.ProcID]bool{},
		credit: 1, last: clock.Boottime(),
	}
	ends := d.last + x.Timing.DrainTimeout
	d.find(ctx, in)
	for {
		x.Step()
		in = d.noteDepartures(ctx, in)
		now := clock.Boottime()
		switch {
		case !slices.ContainsFunc(in.Processes, IsTarget), d.empty > 0 && (len(d.asked) == 0 || now-d.empty >= drainPatience):
			return in
		case now >= ends:
			x.Log.Warn("draining took too long", "instance", in.Name, "limit", x.Timing.DrainTimeout, "left", len(d.queue))
			return in
		}
		if batch := d.batch(now); len(batch) > 0 {
			var ok bool
			if in, ok = x.stillTargets(ctx, in); !ok || !d.hangUp(ctx, in, batch) {
				return in
			}
		}
		if clock.Sleep(ctx, min(drainTurn, ends-now)) != nil {
			return in
		}
		if len(d.queue) == 0 {
			d.find(ctx, in)
		}
	}
}

// find looks for the connections that are still to be closed: those that were
// not closed yet, and those that have not ended by being closed gently.
func (d *drain) find(ctx context.Context, in Instance) {
	now := d.Host.Kernel().Boottime()
	waiting, first := false, d.known == nil
	if first {
		d.known = map[connectionID]bool{}
	}
	for i := range in.Processes {
		p := &in.Processes[i]
		// Closing the connections that alone say that it was told would take that away.
		if !IsTarget(*p) || d.barred[p.ProcID] || slices.Equal(p.Evidence, []string{EvidenceConnections}) {
			continue
		}
		sockets, err := d.clients(ctx, p.ProcID)
		if err != nil && !errors.Is(err, inspect.ErrGone) && ctx.Err() == nil {
			d.barred[p.ProcID] = true
			d.Log.Warn("cannot drain residual process", "instance", in.Name, "pid", p.PID, "error", err)
		}
		sockets = slices.DeleteFunc(sockets, func(s inspect.ClientSocket) bool {
			return !in.Client(p.ProcID, s.End) || SparesPort(&d.Policy, &d.host, p, s.Local.Port())
		})
		turn := 0
		if p.Stuck() {
			turn = 1
		}
		for _, s := range sockets {
			h := hangup{p.ProcID, s, inspect.HangupGently, turn}
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

// clients lists a process's clients, within the time that a pass has for a look.
func (d *drain) clients(ctx context.Context, id inspect.ProcID) ([]inspect.ClientSocket, error) {
	ctx, cancel := bounded(ctx, d.Timing.PassTimeout)
	defer cancel()
	return within(ctx, func() ([]inspect.ClientSocket, error) { return d.Host.ClientSockets(ctx, id) })
}

// batch takes from the queue what is due by now: never more than a second's, so
// that a look that took its time is not made up for at once.
func (d *drain) batch(now time.Duration) []hangup {
	rate := d.Timing.DrainRate
	d.credit = min(d.credit+rate*(now-d.last).Seconds(), max(1, rate))
	d.last = now
	n := min(int(d.credit), len(d.queue))
	batch := d.queue[:n]
	d.queue = d.queue[n:]
	d.credit -= float64(n)
	return batch
}

// hangUp closes the connections of a batch that are those of a target. It is
// false when nothing is closed by this terminator.
func (d *drain) hangUp(ctx context.Context, in Instance, batch []hangup) bool {
	for _, h := range batch {
		i := slices.IndexFunc(in.Processes, func(p Process) bool { return p.ProcID == h.id })
		if ctx.Err() != nil || i < 0 || !IsTarget(in.Processes[i]) {
			continue
		}
		log := d.Log.With("instance", in.Name, "pid", h.id.PID, "client", h.socket.Peer, "port", h.socket.Local.Port())
		done, err := d.Terminator.HangUp(h.id, h.socket, h.how)
		d.over[h.connection()] = err != nil || h.how == inspect.HangupNow
		switch {
		case errors.Is(err, inspect.ErrOther), errors.Is(err, inspect.ErrGone): // it has ended by itself
		case err != nil:
			log.Warn("cannot close the connection of a client", "error", err)
		case !done:
			return false
		case h.how == inspect.HangupGently:
			if len(d.asked) == 0 {
				d.Log.Info("draining", "instance", in.Name, "clients", len(d.known), "rate", d.Timing.DrainRate)
			}
			d.asked[h.connection()] = d.Host.Kernel().Boottime()
			in.Processes[i].DrainedConnections++
			log.Debug("closed the connection of a client", slog.Duration("idle", h.socket.Idle))
		}
	}
	d.Drained(in.Name, len(d.asked), len(d.known))
	return true
}

// noteDepartures gives those that have left meanwhile their outcome.
func (d *drain) noteDepartures(ctx context.Context, in Instance) Instance {
	in.Processes = slices.Clone(in.Processes)
	for i := range in.Processes {
		if p := &in.Processes[i]; IsTarget(*p) {
			if left, err := d.waitFor(ctx, p.ProcID, 0); err == nil && left {
				d.depart(in.Name, p)
			}
		}
	}
	return in
}

// depart is what became of a target that has left and was sent no signal.
func (x *execution) depart(instance string, p *Process) {
	p.Outcome = OutcomeVanished
	if p.DrainedConnections > 0 {
		p.Outcome = OutcomeDrained
	}
	x.Log.Info("residual process has left", append(attributes(p), "instance", instance, "pid", p.PID, "outcome", p.Outcome)...)
}
