package main

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A process of a service is at one of these depths below its systemd. Both ways
// to run HAProxy look the same: what systemd starts forks the workers, whether
// it stays as their master or leaves them to themselves as daemons do.
const (
	depthStarted = iota // the master, or what starts a daemon, or a command
	depthWorker
	depthCheck // what a worker forked, and all below
)

// member is a process of a service, or of the agent, that is alive.
type member struct {
	unit    string
	depth   int
	began   time.Duration
	parent  *member
	worker  *worker // of depthWorker
	workers int     // of depthStarted: how many of its workers live
}

// unitLedger is what happened to one unit.
type unitLedger struct {
	master  bool // what started the workers must stay
	workers []*worker
	inner   map[int]*worker // by pid as the machine itself has it
	wrong   []string        // ends of others than workers, by part
	parts   []int           // the part of each of these
}

// ledger is the soak's own record of all processes of its machine.
type ledger struct {
	machine string // its name
	systemd int    // its process 1, as the host has it

	mu     sync.Mutex
	alive  map[int]*member
	units  map[string]*unitLedger
	part   int
	closed bool                    // what ends from now on is the soak's own doing
	agents map[string]map[int]bool // live processes of the agent, by unit
	starts int                     // of the agent
	wedged []int                   // workers that the soak has stopped
	lost   error                   // events were lost
}

// agentUnits are the units of the agent, which are watched for their pids.
var agentUnits = []string{"haproxy-reaper.service", "haproxy-reaper-serve.service"}

func newLedger(machine string, systemd int, cells []cell) *ledger {
	l := &ledger{machine: machine, systemd: systemd, alive: map[int]*member{}, units: map[string]*unitLedger{}, agents: map[string]map[int]bool{}}
	for _, c := range cells {
		l.units[c.unit()] = &unitLedger{master: !c.daemon(), inner: map[int]*worker{}}
	}
	for _, unit := range agentUnits {
		l.agents[unit] = map[int]bool{}
	}
	return l
}

// watch takes down all events until the descriptor is closed. It does so before
// all others on a busy machine, where it may: of what has ended long ago little
// can be learnt.
func (l *ledger) watch(fd int) {
	runtime.LockOSThread() // for good: the thread ends with this goroutine
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
	err := readEvents(fd, func(e event) bool {
		l.take(e)
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.lost = err
	}
}

// take takes down one event.
func (l *ledger) take(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.what {
	case procEventExec:
		if l.alive[e.pid] == nil {
			l.started(e, unitOf(e.pid, l.machine))
		}
	case procEventFork:
		parent := l.alive[e.parent]
		if parent == nil && e.parent != l.systemd {
			// What starts a daemon may have left before its own start was read of.
			parent = &member{unit: unitOf(e.pid, l.machine)}
		}
		if parent != nil && (l.units[parent.unit] != nil || l.agents[parent.unit] != nil) {
			l.forked(e, parent)
		}
	case procEventExit:
		if m := l.alive[e.pid]; m != nil {
			delete(l.alive, e.pid)
			l.ended(e, m)
		}
	}
}

// started takes down what systemd has started.
func (l *ledger) started(e event, unit string) {
	if agents := l.agents[unit]; agents != nil {
		agents[e.pid] = true
		l.starts++
	} else if l.units[unit] == nil {
		return
	}
	l.alive[e.pid] = &member{unit: unit, began: e.at}
}

func (l *ledger) forked(e event, parent *member) {
	m := &member{unit: parent.unit, began: e.at, parent: parent, depth: min(parent.depth+1, depthCheck)}
	l.alive[e.pid] = m
	if agents := l.agents[m.unit]; agents != nil {
		agents[e.pid] = true
		return
	}
	if m.depth == depthWorker {
		parent.workers++
		m.worker = &worker{pid: e.pid, started: e.at}
		u := l.units[m.unit]
		u.workers = append(u.workers, m.worker)
		if inner, err := innerPid(e.pid); err == nil {
			m.worker.inner = inner
			u.inner[inner] = m.worker
		}
	}
}

func (l *ledger) ended(e event, m *member) {
	if agents := l.agents[m.unit]; agents != nil {
		delete(agents, e.pid)
		return
	}
	if l.closed {
		return
	}
	u := l.units[m.unit]
	switch {
	case m.worker != nil:
		m.worker.ended, m.worker.status = e.at, e.status
		m.worker.relief = u.listening(m.worker)
		m.parent.workers--
	case m.depth == depthStarted && (e.status.Signaled() || u.master && m.workers > 0):
		u.wrong = append(u.wrong, fmt.Sprintf("process %d: the master, or what starts a daemon, ended with wait status %#x", e.pid, int(e.status)))
		u.parts = append(u.parts, l.part)
	case m.depth == depthCheck && e.status.Signaled() && e.at-m.began < checkTimeout/2:
		u.wrong = append(u.wrong, fmt.Sprintf("process %d: an external check was ended by %s", e.pid, unix.SignalName(e.status.Signal())))
		u.parts = append(u.parts, l.part)
	}
}

// listening is a worker younger than w that listens now, if there is one.
func (u *unitLedger) listening(w *worker) *worker {
	for _, y := range slices.Backward(u.workers) {
		if y == w {
			break
		}
		if y.ended == 0 && holds(y.pid, listeners(y.pid)) {
			return y
		}
	}
	return nil
}

// answered takes down that a worker, by its pid within the machine, has answered.
func (l *ledger) answered(unit string, inner int, first, lastBegan time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.units[unit].inner[inner]
	if w == nil {
		return
	}
	if w.firstAnswer == 0 || first < w.firstAnswer {
		w.firstAnswer = first
	}
	w.lastBegan = max(w.lastBegan, lastBegan)
}

// cut takes down the end of a held connection.
func (l *ledger) cut(unit string, one cut) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.units[unit].inner[one.Worker]; w != nil {
		w.cuts = append(w.cuts, one.At)
	}
}

// enter begins a part.
func (l *ledger) enter(part int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = part
}

// close ends the record: what ends from now on was ended by the soak.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// old is how many superseded workers are there.
func (l *ledger) old() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.units {
		for i, w := range u.workers {
			if w.ended == 0 && successorOf(w, u.workers[i+1:]) != nil {
				n++
			}
		}
	}
	return n
}

// judge judges one unit by parts.
func (l *ledger) judge(unit string, parts []rules) []tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.units[unit]
	tallies := judge(u.workers, parts, now())
	for i, what := range u.wrong {
		tallies[u.parts[i]].wrong = append(tallies[u.parts[i]].wrong, what)
	}
	for _, t := range tallies {
		for i := range t.wrong {
			t.wrong[i] = unit + ": " + t.wrong[i]
		}
	}
	return tallies
}

// agentStarts is how often the agent was started.
func (l *ledger) agentStarts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.starts
}

// lostEvents says that processes may have ended unseen.
func (l *ledger) lostEvents() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}
