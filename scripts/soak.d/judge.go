package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// worker is what the soak itself has seen of one process that carries traffic:
// its fork and its end from the kernel, its answers from the clients. Times are
// CLOCK_MONOTONIC, zero is never. Nothing here comes from the agent.
type worker struct {
	pid, inner  int // on the host, and in the machine
	started     time.Duration
	firstAnswer time.Duration // when a client first had its answer
	lastBegan   time.Duration // when the last connection that it answered was begun
	ended       time.Duration
	status      unix.WaitStatus
	cuts        []time.Duration // when held connections of it ended before their time
	// relief is a younger worker that was seen to listen right after the end of
	// this one: evidence where clients are starved, and none has its answer yet.
	relief *worker
}

// signalled says that somebody ended the worker. HAProxy's own reload does so by
// SIGUSR1, to a worker that has no handler for it: one that starts, or one that is
// about to exit by itself and has given its handlers back (2.2 to 3.4, traced).
func (w *worker) signalled() bool {
	return w.ended != 0 && w.status.Signaled() && w.status.Signal() != unix.SIGUSR1
}

// rules are what holds in one part of the run.
type rules struct {
	from      time.Duration   // when the part began
	deadline  time.Duration   // before it nobody may be ended
	allowance time.Duration   // what may pass after the deadline; none is judged when zero
	kills     []time.Duration // when the soak ended the agent: the allowance begins anew
	// lenient is how long after the end of a worker the younger one, which was
	// started at least a deadline before, may still give its first answer.
	lenient time.Duration
}

// earliness is how much before its deadline, by the soak's clock, a process may
// be ended: the agent counts in the kernel's ticks of a hundredth of a second.
const earliness = 50 * time.Millisecond

// starved is how long clients may be without an answer on a machine that is busy
// with other things, before a younger worker counts as one that does not serve.
const starved = 8 * time.Second

// handover is how long after the end of a worker that left by itself a younger
// one may answer for the first time.
const handover = 2 * time.Second

// tally is the outcome for one service in one part of the run.
type tally struct {
	residual   int           // were left behind until their deadline at least
	terminated int           // of these, by SIGTERM
	killed     int           // by SIGKILL
	left       int           // by themselves
	drained    int           // held connections cut off while their process went on
	overdue    int           // later than the allowance, or still there
	latest     time.Duration // after the deadline
	late       []late        // the overdue ones
	wrong      []string      // each with what was wrong
}

// late is an overdue process.
type late struct {
	*worker
	due, until time.Duration
}

func (t *tally) add(o tally) {
	t.residual += o.residual
	t.terminated += o.terminated
	t.killed += o.killed
	t.left += o.left
	t.drained += o.drained
	t.overdue += o.overdue
	t.latest = max(t.latest, o.latest)
	t.late = append(t.late, o.late...)
	t.wrong = append(t.wrong, o.wrong...)
}

// judge says what became of the workers of one service, in the order that they
// were started, in each part of the run. A worker belongs to the part in which
// it ended, one that is still there to the last; and to each before in which it
// was overdue.
func judge(workers []*worker, parts []rules, at time.Duration) []tally {
	tallies := make([]tally, len(parts))
	for i, w := range workers {
		end := w.ended
		if end == 0 {
			end = at
		}
		part, successor := partAt(parts, end), successorOf(w, workers[i+1:])
		tallies[part].judge(w, successor, parts[part], at)
		for i := range part {
			tallies[i].judgeStay(w, successor, parts[i], parts[i+1].from)
		}
		for _, cut := range w.cuts {
			part := partAt(parts, cut)
			tallies[part].judgeCut(w, successor, parts[part], cut, at)
		}
	}
	return tallies
}

// partAt is the part that was under way then.
func partAt(parts []rules, then time.Duration) (part int) {
	for i := range parts {
		if parts[i].from <= then {
			part = i
		}
	}
	return part
}

// judge adds one worker, with the one that superseded it.
func (t *tally) judge(w, successor *worker, r rules, at time.Duration) {
	if why := wrong(w, successor, r, at); why != "" {
		t.wrong = append(t.wrong, fmt.Sprintf("process %d: %s", w.pid, why))
		return
	}
	if successor == nil {
		return
	}
	end := w.ended
	if end == 0 {
		end = at
	}
	due := max(successor.started+r.deadline, r.from)
	if end < due && !w.signalled() {
		return // left in time, or is not due yet
	}
	t.residual++
	t.latest = max(t.latest, end-due)
	switch {
	case r.allowance > 0 && end > r.limit(due):
		t.overdue++
		t.late = append(t.late, late{w, due, end})
	case w.ended == 0:
	case w.signalled() && w.status.Signal() == unix.SIGKILL:
		t.killed++
	case w.signalled():
		t.terminated++
	default:
		t.left++
	}
}

// judgeStay adds a worker that was there when a part ended, if it was overdue then.
func (t *tally) judgeStay(w, successor *worker, r rules, until time.Duration) {
	if successor == nil || r.allowance == 0 {
		return
	}
	if due := max(successor.started+r.deadline, r.from); until > r.limit(due) {
		t.residual++
		t.overdue++
		t.latest = max(t.latest, until-due)
		t.late = append(t.late, late{w, due, until})
	}
}

// amidExit is how long a process that was ended by a signal may take from the
// first of its connections to its end, on a busy machine.
const amidExit = 2 * time.Second

// judgeCut adds a held connection that ended before its time: with its worker,
// which is judged by itself, or before that. HAProxy cuts none: it was drained,
// and that no earlier than its worker may be ended.
func (t *tally) judgeCut(w, successor *worker, r rules, cut, at time.Duration) {
	switch {
	case w.ended == 0 && at < cut+amidExit, successor == nil && at < cut+r.lenient:
		// not known yet
	case w.signalled() && w.ended < cut+amidExit:
		// with its worker
	case successor == nil:
		t.wrong = append(t.wrong, fmt.Sprintf("process %d: a connection of the active one was cut", w.pid))
	case cut < successor.started+r.deadline-earliness:
		t.wrong = append(t.wrong, fmt.Sprintf("process %d: a connection was cut %v before its deadline", w.pid, successor.started+r.deadline-cut))
	default:
		t.drained++
	}
}

// limit is when a process that is due must have left.
func (r rules) limit(due time.Duration) time.Duration {
	limit := due + r.allowance
	for _, kill := range r.kills {
		if due <= kill && kill <= limit {
			limit = kill + r.allowance
		}
	}
	return limit
}

// successorOf is the first younger worker that ever answered a client, or was
// seen to listen: its start is what superseded the older one.
func successorOf(w *worker, younger []*worker) *worker {
	for _, y := range younger {
		if y.firstAnswer != 0 || y == w.relief {
			return y
		}
	}
	return nil
}

// wrong says what is wrong with a worker's end, if anything.
func wrong(w, successor *worker, r rules, at time.Duration) string {
	if w.ended == 0 {
		return ""
	}
	if !w.signalled() {
		if w.firstAnswer == 0 || at < w.ended+handover || w.relief != nil || successor != nil && successor.firstAnswer < w.ended+handover {
			return ""
		}
		return fmt.Sprintf("the active one left with wait status %#x", int(w.status))
	}
	name := unix.SignalName(w.status.Signal())
	superseded := w.relief != nil || successor != nil && successor.firstAnswer < w.ended+r.lenient
	switch s := w.status.Signal(); {
	case s != unix.SIGTERM && s != unix.SIGKILL:
		return "died of " + name
	case !superseded && at < w.ended+r.lenient:
		return "" // not known yet
	case !superseded && w.firstAnswer == 0:
		return "a starting one was ended by " + name
	case !superseded:
		return "the active one was ended by " + name
	case w.lastBegan > w.ended-r.deadline/2 && r.deadline > 0:
		return fmt.Sprintf("ended by %s, %v after it took a new connection", name, w.ended-w.lastBegan)
	case w.ended < successor.started+r.deadline-earliness:
		return fmt.Sprintf("ended by %s, %v before its deadline", name, successor.started+r.deadline-w.ended)
	}
	return ""
}
