package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// nowAndThen does something until ctx ends, at random moments.
func nowAndThen(ctx context.Context, every time.Duration, do func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration((0.5 + rand.Float64()) * float64(every))):
			do()
		}
	}
}

// killAgent ends one process of the agent with SIGKILL, if there is one now:
// serve, the pass that it has started, or the one of the timer.
func (l *ledger) killAgent() bool {
	l.mu.Lock()
	var pids []int
	for _, agents := range l.agents {
		for pid := range agents {
			pids = append(pids, pid)
		}
	}
	l.mu.Unlock()
	slices.Sort(pids)
	return len(pids) > 0 && send(pids[rand.IntN(len(pids))], unix.SIGKILL, func(pid int) bool {
		return slices.Contains(agentUnits, unitOf(pid, l.machine))
	})
}

// wedge stops an old worker that has let go of its listeners, as a debugger or a
// bug would: SIGTERM does not end it. None is stopped that might not have heard
// yet that it is to leave, nor amid its exit: a daemon's process then looks like
// one that is starting, and refuses its instance for as long as it is held.
func (l *ledger) wedge() bool {
	l.mu.Lock()
	var old []int
	at := now()
	for _, u := range l.units {
		for i, w := range u.workers {
			y := successorOf(w, u.workers[i+1:])
			if w.ended == 0 && y != nil && y.firstAnswer < at-time.Second && w.lastBegan < at-time.Second {
				old = append(old, w.pid)
			}
		}
	}
	l.mu.Unlock()
	if len(old) == 0 {
		return false
	}
	pid := old[rand.IntN(len(old))]
	if !send(pid, unix.SIGSTOP, func(pid int) bool { return l.isWorker(pid) && hearsSoftStop(pid) }) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wedged = append(l.wedged, pid)
	return true
}

// release lets go of those that are still stopped: systemd waits for them, when
// it powers its machine off, for longer than anybody should.
func (l *ledger) release() {
	l.mu.Lock()
	wedged := slices.Clone(l.wedged)
	l.mu.Unlock()
	for _, pid := range wedged {
		send(pid, unix.SIGCONT, l.isWorker)
	}
}

// isWorker tells whether a pid is that of a worker of one of the services.
func (l *ledger) isWorker(pid int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.alive[pid]
	return m != nil && m.worker != nil && unitOf(pid, l.machine) == m.unit
}

// send sends a signal to a process that is still what is wanted once it is
// held.
func send(pid int, sig unix.Signal, still func(pid int) bool) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return still(pid) && unix.PidfdSendSignal(fd, sig, nil, 0) == nil
}

// naive is the control, what is done by hand and in scripts: the youngest
// HAProxy of a service listens, so end all others but the master, by pid.
func (l *ledger) naive(ctx context.Context) {
	for ctx.Err() == nil {
		sockets := listeners(l.systemd)
		for _, pids := range l.haproxies() {
			youngest := pids[len(pids)-1]
			if !holds(youngest, sockets) {
				continue
			}
			for _, pid := range pids[:len(pids)-1] {
				unix.Kill(pid, unix.SIGTERM)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// haproxies are the processes called haproxy of each service of the machine
// without the first of all, the master: the youngest last.
func (l *ledger) haproxies() (lists [][]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	byUnit := map[string][]int{}
	for pid, m := range l.alive {
		if m.depth > depthStarted && l.units[m.unit] != nil && comm(pid) == "haproxy" {
			byUnit[m.unit] = append(byUnit[m.unit], pid)
		}
	}
	for _, pids := range byUnit {
		slices.SortFunc(pids, func(a, b int) int { return int(l.alive[a].began - l.alive[b].began) })
		lists = append(lists, pids)
	}
	return lists
}
