package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// No process has these pids: the kernel gives none above 4,194,304.
const (
	masterPid = 1<<23 + iota
	workerPid
	checkPid
	secondPid
)

// record is a ledger of one service with its master, as systemd has started it.
func record(kind string) (*ledger, *unitLedger) {
	c := cell{major: 2, minor: 6, kind: kind}
	l := newLedger("machine", 1, []cell{c})
	l.started(event{pid: masterPid}, c.unit())
	return l, l.units[c.unit()]
}

func TestTheLedgerKnowsMasterWorkerAndCheckByTheirForks(t *testing.T) {
	t.Parallel()
	l, u := record(plain)
	l.take(event{what: procEventFork, parent: masterPid, pid: workerPid, at: at(1)})
	l.take(event{what: procEventFork, parent: workerPid, pid: checkPid, at: at(2)})
	l.take(event{what: procEventFork, parent: masterPid, pid: secondPid, at: at(3)})
	if len(u.workers) != 2 || u.workers[0].pid != workerPid || u.workers[1].pid != secondPid || u.workers[1].started != at(3) {
		t.Fatalf("%d workers, want the master's two children in their order", len(u.workers))
	}
	l.take(event{what: procEventExit, pid: workerPid, status: byTERM, at: at(4)})
	if w := u.workers[0]; w.ended != at(4) || w.status != byTERM {
		t.Errorf("the first worker: %+v, want it ended by SIGTERM at 4s", w)
	}
	if len(u.wrong) != 0 {
		t.Errorf("%q, want nothing wrong so far", u.wrong)
	}
}

func TestTheLedgerFindsTheEndOfAMasterAndOfACheckWrong(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, kind string
		end        event
		wrong      int
	}{
		{"a master that was ended", plain, event{pid: masterPid, status: byTERM, at: at(3)}, 1},
		{"a master that left its workers", plain, event{pid: masterPid, at: at(3)}, 1},
		{"what starts a daemon and leaves", daemonMode, event{pid: masterPid, at: at(3)}, 0},
		{"what starts a daemon, ended", daemonMode, event{pid: masterPid, status: byTERM, at: at(3)}, 1},
		{"a check that came to its end", externalCheck, event{pid: checkPid, at: at(3)}, 0},
		{"a young check that was ended", externalCheck, event{pid: checkPid, status: byTERM, at: at(3)}, 1},
		{"one that HAProxy ended for its age", externalCheck, event{pid: checkPid, status: byTERM, at: at(2) + checkTimeout}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l, u := record(row.kind)
			l.take(event{what: procEventFork, parent: masterPid, pid: workerPid, at: at(1)})
			l.take(event{what: procEventFork, parent: workerPid, pid: checkPid, at: at(2)})
			row.end.what = procEventExit
			l.take(row.end)
			if len(u.wrong) != row.wrong {
				t.Errorf("%q, want %d wrong", u.wrong, row.wrong)
			}
			l.close()
			l.take(event{what: procEventExit, pid: workerPid, status: byTERM, at: at(9)})
			if u.workers[0].ended != 0 {
				t.Error("what the soak itself ends at last is on the record")
			}
		})
	}
}

func TestAnAnswerCountsForTheWorkerThatHasThePidInTheMachine(t *testing.T) {
	t.Parallel()
	l, u := record(plain)
	w := &worker{}
	u.workers, u.inner[42] = []*worker{w}, w
	unit := cell{major: 2, minor: 6, kind: plain}.unit()
	l.answered(unit, 42, at(5), at(4))
	l.answered(unit, 42, at(7), at(6))
	l.answered(unit, 43, at(8), at(8)) // nobody
	if w.firstAnswer != at(5) || w.lastBegan != at(6) {
		t.Errorf("first answer %v, last connection begun %v; want 5s and 6s", w.firstAnswer, w.lastBegan)
	}
}

func TestAHalfAnswerIsAFailedConnection(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"HTTP/1.1 200 OK\r\n\r\npid 77\n":                  77,
		"HTTP/1.1 200 OK\r\n\r\npid 7":                     0,
		"HTTP/1.1 200 OK\r\n":                              0,
		"HTTP/1.0 503 Service Unavailable\r\n\r\npid 77\n": 0,
		"": 0,
	} {
		if pid, err := told(text); pid != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", text, pid, err, want)
		}
	}
	if got := plainly(unix.ECONNRESET); got != "connection reset by peer" {
		t.Errorf("got %q", got)
	}
}
