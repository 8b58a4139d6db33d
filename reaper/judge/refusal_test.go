package judge

import (
	"errors"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// What a program that is not HAProxy hides keeps nobody from anything; any other
// fact that could not be read does.
func TestOfAForeignProgramNothingNeedsToBeReadable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(p *inspect.Process)
		want   Reason
	}{
		{"a program", func(p *inspect.Process) { p.HAProxy = false }, ""},
		{"a program that is HAProxy", func(p *inspect.Process) { p.Command = command("/etc/other.cfg", nil) }, ReasonUnreadable},
		{"a worker", func(*inspect.Process) {}, ReasonUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := child(101, 2, handlersReady)
			p.Err = errors.New("unreadable")
			tt.change(p)
			if got := refusalOf([]int{101}, p); got != tt.want {
				t.Errorf("refusal %q, want %q", got, tt.want)
			}
		})
	}
}

// Up to 3.0 a master gives its handlers up for a reload; a later one keeps them,
// and holds its signals back.
func TestAMasterThatHoldsItsSignalsBackIsReloading(t *testing.T) {
	old := child(101, 2, handlersReady)
	if got := refusalUnder(inspect.SignalMasks{Caught: handlersMaster, Blocked: 0x310a01}, []int{101}, old); got != ReasonReloading {
		t.Errorf("refusal %q, want %q", got, ReasonReloading)
	}
}

// All workers are compared with the active, whatever else started between them.
func TestAProgramHidesNoWorkerOfAnotherNamespace(t *testing.T) {
	program, old := child(101, 2, 0), child(102, 500, handlersReady)
	program.HAProxy, old.NetNS = false, 77
	if got := refusalOf([]int{102}, program, old); got != ReasonNamespace {
		t.Errorf("refusal %q, want %q", got, ReasonNamespace)
	}
}

// A process of which neither parent nor start is known may be a member of any instance.
// A stranger's process may be one only where a member has its user.
func TestAProcessOfNoKnownStartRefusesWhereItMayBeAMember(t *testing.T) {
	t.Parallel()
	const user, other = 102, 5001
	for _, row := range []struct {
		name string
		p    inspect.Process
		want Reason
	}{
		{"of root's or an operator's", inspect.Process{Err: errRead, UID: other}, ReasonUnreadable},
		{"of a stranger's", inspect.Process{Err: errRead, UID: other, Stranger: true}, ""},
		{"of a stranger's that is the user of a member", inspect.Process{Err: errRead, UID: user, Stranger: true}, ReasonUnreadable},
		{"whose start is known", inspect.Process{ProcID: inspect.ProcID{StartTicks: 5}, Err: errRead, UID: user}, ""},
		{"of which everything was read", inspect.Process{UID: user}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			member := child(101, 2, handlersReady)
			member.UID = user
			c := classifier{
				look:  &Look{Snapshot: inspect.Snapshot{Processes: []*inspect.Process{member, &row.p}}},
				group: &Group{Members: []Member{{member, kindWorker, nil}}},
			}
			if got, detail := c.unreadable(); got != row.want {
				t.Errorf("refusal %q (%s), want %q", got, detail, row.want)
			}
		})
	}
}

// An active without a stream listener refuses. The reason says whether it has one of UDP.
func TestAnActiveThatListensOnUDPAloneIsToldFromOneThatListensNowhere(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		bound []inspect.Listener
		want  Reason
	}{
		{"on UDP alone", []inspect.Listener{{Network: "udp", Address: "0.0.0.0:443", Port: 443}}, ReasonNoStreamListener},
		{"nowhere", nil, ReasonNotListening},
	} {
		in := onHost(1, func(active *inspect.Process) { active.Sockets = &inspect.Sockets{Bound: row.bound} })
		if in.Refusal != row.want {
			t.Errorf("%s: refusal %q, want %q", row.name, in.Refusal, row.want)
		}
	}
}

// The master CLI contradicts whatever says that an old worker was told to stop: a
// memory alone, and a list alone of a worker that does not serve.
func TestTheMasterCLIContradictsAMemoryAndAList(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		told   bool
		listed bool
		want   Reason
	}{
		{"a memory", true, false, ReasonWitness},
		{"a list", false, true, ReasonWitness},
		{"nothing", false, false, ""},
	} {
		old, active, by := child(101, 2, handlersReady), child(103, 900, handlersReady), child(102, 500, handlersReady)
		old.CLI = &inspect.CLIAnswer{}
		c := classifier{
			group: &Group{Members: []Member{{old, kindWorker, nil}, {active, kindWorker, nil}}}, active: []*inspect.Process{active},
			evidence: map[*inspect.Process]evidence{old: {remembered: row.told}}, namers: map[*inspect.Process]*inspect.Process{},
		}
		if row.listed {
			c.namers[old] = by
		}
		if got, _ := c.contradicted(); got != row.want {
			t.Errorf("%s: refusal %q, want %q", row.name, got, row.want)
		}
	}
}
