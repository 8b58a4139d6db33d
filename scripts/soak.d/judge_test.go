package main

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Wait statuses, wait(2): a signal is its number, an exit status is shifted.
const (
	byTERM = unix.WaitStatus(unix.SIGTERM)
	byKILL = unix.WaitStatus(unix.SIGKILL)
	byUSR1 = unix.WaitStatus(unix.SIGUSR1)
	bySEGV = unix.WaitStatus(unix.SIGSEGV)
	left   = unix.WaitStatus(0)
)

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// The agent's part begins at 1s; a process may be ended 2s after the younger one
// was started, and must have left 10s later.
var (
	alone = rules{deadline: at(2), lenient: starved}
	agent = rules{from: at(1), deadline: at(2), allowance: at(10), lenient: starved}
	hasty = rules{from: at(1), lenient: at(1)}
)

func one(r rules) []rules { return []rules{r} }

func TestTheJudgeTellsARightEndFromAWrongOne(t *testing.T) {
	t.Parallel()
	// Started at 10s, and answers from then on.
	younger := &worker{pid: 2, started: at(10), firstAnswer: at(10.1), lastBegan: at(59)}
	for _, row := range []struct {
		name  string
		w     worker
		after *worker // nil: nobody
		rules rules
		want  tally
		wrong string // a part of it
	}{
		{"a superseded worker that SIGTERM ended after its deadline", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(12.5), status: byTERM}, younger, agent,
			tally{residual: 1, terminated: 1, latest: at(0.5)}, ""},
		{"one that needed SIGKILL", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(14), status: byKILL}, younger, agent,
			tally{residual: 1, killed: 1, latest: at(2)}, ""},
		{"one that left by itself before its deadline", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(11), status: left}, younger, agent, tally{}, ""},
		{"one that left by itself after it", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(13), status: left}, younger, agent,
			tally{residual: 1, left: 1, latest: at(1)}, ""},
		{"one that was ended too late", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(23), status: byTERM}, younger, agent,
			tally{residual: 1, overdue: 1, latest: at(11)}, ""},
		{"one that is still there, and late", worker{firstAnswer: at(1), lastBegan: at(10)}, younger, agent,
			tally{residual: 1, overdue: 1, latest: at(48)}, ""},
		{"one that nobody was there to end", worker{firstAnswer: at(1), lastBegan: at(10)}, younger, alone,
			tally{residual: 1, latest: at(48)}, ""},
		{"the active one, still there", worker{firstAnswer: at(1), lastBegan: at(59)}, nil, agent, tally{}, ""},

		{"the active one, ended", worker{firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: byTERM}, nil, agent, tally{}, "the active one was ended by SIGTERM"},
		{"the active one, gone by itself", worker{firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: left}, nil, agent, tally{}, "the active one left"},
		{"one whose younger one never answered", worker{firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: byTERM}, &worker{pid: 2, started: at(10)}, agent,
			tally{}, "the active one was ended by SIGTERM"},
		{"one whose younger one answered much later", worker{firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: byTERM}, &worker{pid: 2, started: at(10), firstAnswer: at(40)}, agent,
			tally{}, "the active one was ended by SIGTERM"},
		{"one whose younger one had starved clients, but did answer", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(20), status: byTERM}, &worker{pid: 2, started: at(10), firstAnswer: at(22)}, agent,
			tally{residual: 1, terminated: 1, latest: at(8)}, ""},
		{"a starting one, ended", worker{ended: at(20), status: byTERM}, nil, agent, tally{}, "a starting one was ended by SIGTERM"},
		{"a starting one that HAProxy itself told to leave", worker{ended: at(10.2), status: byUSR1}, younger, agent, tally{}, ""},
		{"one that HAProxy told to leave once more while it left", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(11), status: byUSR1}, younger, agent, tally{}, ""},
		{"the same, after its deadline", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(13), status: byUSR1}, younger, agent,
			tally{residual: 1, left: 1, latest: at(1)}, ""},
		{"the active one, told to leave", worker{firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: byUSR1}, nil, agent, tally{}, "the active one left"},
		{"one ended before its deadline", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(11.9), status: byTERM}, younger, agent, tally{}, "before its deadline"},
		{"one ended a tick of the kernel's clock early", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(11.99), status: byTERM}, younger, agent,
			tally{residual: 1, terminated: 1}, ""},
		{"one that still took new connections", worker{firstAnswer: at(1), lastBegan: at(12.4), ended: at(12.5), status: byTERM}, younger, agent, tally{}, "after it took a new connection"},
		{"one that crashed", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(12.5), status: bySEGV}, younger, agent, tally{}, "died of SIGSEGV"},
		{"one that was due before the agent was there", worker{firstAnswer: at(1), ended: at(5), status: byTERM}, &worker{pid: 2, started: at(0.1), firstAnswer: at(0.2)}, rules{from: at(4), deadline: at(2), allowance: at(2)},
			tally{residual: 1, terminated: 1, latest: at(1)}, ""},

		{"the naive rule, and the right one", worker{firstAnswer: at(1), lastBegan: at(10), ended: at(10.05), status: byTERM}, younger, hasty,
			tally{residual: 1, terminated: 1, latest: at(0.05)}, ""},
		{"the naive rule, and the active one", worker{firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: byTERM}, nil, hasty, tally{}, "the active one was ended by SIGTERM"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.w.pid = 1
			workers := []*worker{&row.w}
			if row.after != nil {
				workers = append(workers, row.after)
			}
			got := judge(workers, []rules{row.rules}, at(60))[0]
			wrong := strings.Join(got.wrong, "; ")
			if (wrong == "") != (row.wrong == "") || !strings.Contains(wrong, row.wrong) {
				t.Errorf("wrong: got %q, want %q", wrong, row.wrong)
			}
			got.wrong = nil
			if got.residual != row.want.residual || got.terminated != row.want.terminated || got.killed != row.want.killed ||
				got.left != row.want.left || got.overdue != row.want.overdue || got.latest != row.want.latest {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestTheAllowanceBeginsAnewWhenTheSoakHasEndedTheAgent(t *testing.T) {
	t.Parallel()
	younger := &worker{pid: 2, started: at(10), firstAnswer: at(10.1)}
	for _, row := range []struct {
		name    string
		kills   []time.Duration
		overdue int
	}{
		{"nobody ended the agent", nil, 1},
		{"it was ended while the process was due", []time.Duration{at(15)}, 0},
		{"it was ended again and again", []time.Duration{at(13), at(14), at(15)}, 0},
		{"it was ended before that", []time.Duration{at(11)}, 1},
		{"it was ended when it was too late already", []time.Duration{at(22.5)}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			older := &worker{pid: 1, firstAnswer: at(1), lastBegan: at(10), ended: at(23), status: byTERM}
			rules := agent
			rules.kills = row.kills
			if got := judge([]*worker{older, younger}, one(rules), at(60))[0]; got.overdue != row.overdue {
				t.Errorf("got %+v, want %d overdue", got, row.overdue)
			}
		})
	}
}

func TestAYoungerWorkerThatIsSeenToListenIsEvidenceWithoutAnyAnswer(t *testing.T) {
	t.Parallel()
	younger := &worker{pid: 2, started: at(10)}
	older := &worker{pid: 1, firstAnswer: at(1), lastBegan: at(9), ended: at(12.5), status: byTERM, relief: younger}
	got := judge([]*worker{older, younger}, []rules{agent}, at(60))[0]
	if len(got.wrong) != 0 || got.terminated != 1 {
		t.Errorf("got %+v, want one terminated and nothing wrong", got)
	}
	// It supersedes from its own start on: this is too early.
	older.ended = at(11)
	got = judge([]*worker{older, younger}, []rules{agent}, at(60))[0]
	if len(got.wrong) != 1 {
		t.Errorf("got %+v, want it to be wrong: ended a second before its deadline", got)
	}
}

func TestAWorkerIsJudgedByTheRulesOfThePartInWhichItEnded(t *testing.T) {
	t.Parallel()
	first := &worker{pid: 1, firstAnswer: at(0.1), lastBegan: at(1), ended: at(4), status: left}
	second := &worker{pid: 2, started: at(1), firstAnswer: at(1.1), lastBegan: at(20), ended: at(23), status: byTERM}
	third := &worker{pid: 3, started: at(20), firstAnswer: at(20.1)}
	parts := []rules{alone, {from: at(10), deadline: at(2), allowance: at(10), lenient: starved}}
	got := judge([]*worker{first, second, third}, parts, at(60))
	if got[0].residual != 1 || got[0].left != 1 || got[0].terminated != 0 {
		t.Errorf("the first part: %+v, want one that left", got[0])
	}
	if got[1].residual != 1 || got[1].terminated != 1 || len(got[1].wrong) != 0 {
		t.Errorf("the second part: %+v, want one that was terminated", got[1])
	}
}

func TestAWorkerThatOutstaysAPartIsOverdueInThatPart(t *testing.T) {
	t.Parallel()
	older := &worker{pid: 1, firstAnswer: at(1), lastBegan: at(10), ended: at(50), status: byKILL}
	younger := &worker{pid: 2, started: at(10), firstAnswer: at(10.1)}
	for _, row := range []struct {
		name string
		next float64 // when the next part begins
		want int
	}{
		{"it had its time", 22.5, 1},
		{"its time was not over", 21.5, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := judge([]*worker{older, younger}, []rules{agent, {from: at(row.next), lenient: at(1)}}, at(60))
			if got[0].overdue != row.want || len(got[0].late) != row.want {
				t.Errorf("%+v, want %d overdue", got[0], row.want)
			}
		})
	}
}

func TestAnEndThatMayYetBeExplainedIsNotJudged(t *testing.T) {
	t.Parallel()
	w := &worker{pid: 1, firstAnswer: at(1), lastBegan: at(20), ended: at(20), status: byTERM}
	if got := judge([]*worker{w}, []rules{agent}, at(21))[0]; len(got.wrong) != 0 {
		t.Errorf("a second after: %q, want no judgement yet", got.wrong)
	}
	if got := judge([]*worker{w}, []rules{agent}, at(30))[0]; len(got.wrong) != 1 {
		t.Errorf("ten seconds after: %q, want it to be wrong", got.wrong)
	}
}

func TestAHeldConnectionMayBeCutWithItsWorkerOrOnceThatIsDue(t *testing.T) {
	t.Parallel()
	younger := &worker{pid: 2, started: at(10), firstAnswer: at(10.1)}
	for _, row := range []struct {
		name    string
		cut     float64
		ended   float64 // 0: still there
		status  unix.WaitStatus
		after   *worker
		drained int
		wrong   string
	}{
		{"with its worker", 12.5, 12.51, byTERM, younger, 0, ""},
		{"with one that was slow to exit", 12.5, 13.5, byTERM, younger, 0, ""},
		{"after its deadline, and the worker left when it had none any more", 12.5, 12.51, left, younger, 1, ""},
		{"after its deadline, of a worker that stays", 12.5, 0, 0, younger, 1, ""},
		{"before its deadline, of a worker that stays", 11.5, 0, 0, younger, 0, "500ms before its deadline"},
		{"before its deadline, of a worker that then left", 11.5, 11.6, left, younger, 0, "500ms before its deadline"},
		{"before its deadline, long before the worker was ended", 11.5, 14, byTERM, younger, 0, "500ms before its deadline"},
		{"of the active one", 12.5, 0, 0, nil, 0, "a connection of the active one was cut"},
		{"of one whose younger one has not served anybody", 12.5, 0, 0, &worker{pid: 2, started: at(10)}, 0, "a connection of the active one was cut"},
		{"just now, with what will have been its worker", 59, 0, 0, younger, 0, ""},
		{"just now, while a younger one may yet answer", 55, 0, 0, nil, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workers := []*worker{{pid: 1, firstAnswer: at(1), lastBegan: at(10), ended: at(row.ended), status: row.status, cuts: []time.Duration{at(row.cut)}}}
			if row.after != nil {
				workers = append(workers, row.after)
			}
			got := judge(workers, one(agent), at(60))[0]
			if wrong := strings.Join(got.wrong, "; "); (wrong == "") != (row.wrong == "") || !strings.Contains(wrong, row.wrong) {
				t.Errorf("wrong: got %q, want %q", wrong, row.wrong)
			}
			if got.drained != row.drained {
				t.Errorf("%d drained, want %d", got.drained, row.drained)
			}
		})
	}
}
