package judge

import (
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

const handlersReady, handlersMaster, handlersNone = 0x702205, 0x716a03, 0x100000000

// child is a child of process 100, a master, as ready as its handlers say.
func child(pid int, start uint64, caught uint64, finish ...int) *inspect.Process {
	p := &inspect.Process{ProcID: inspect.ProcID{PID: pid, StartTicks: start}, NSPID: pid, PPID: 100, HAProxy: true}
	p.Signals.Caught, p.Command.Finish, p.Sockets = caught, finish, &inspect.Sockets{Proof: true}
	return p
}

// refusalOf is why the instance of master 100 is refused: its active is 103.
func refusalOf(finish []int, children ...*inspect.Process) Reason {
	return refusalUnder(inspect.SignalMasks{Caught: handlersMaster}, finish, children...)
}

// refusalUnder is the same, under a master of these masks.
func refusalUnder(masks inspect.SignalMasks, finish []int, children ...*inspect.Process) Reason {
	master := &inspect.Process{ProcID: inspect.ProcID{PID: 100, StartTicks: 1}, NSPID: 100, HAProxy: true, Signals: masks}
	active := child(103, 900, handlersReady, finish...)
	active.Sockets = &inspect.Sockets{Listening: []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443}}}
	s := inspect.Snapshot{Processes: append([]*inspect.Process{master, active}, children...)}
	return Decide(Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}), Policy{}).Instances[0].Refusal
}

// An old worker that has given its handlers back is on its way out; what holds
// signals back, or has its master's handlers, is not.
func TestOnlyHandlersThatWereGivenBackAreThoseOfAnExit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		masks  inspect.SignalMasks
		finish []int
		want   Reason
	}{
		{"none, and told to leave", inspect.SignalMasks{Caught: handlersNone}, []int{101}, ""},
		{"none, and told nothing", inspect.SignalMasks{Caught: handlersNone}, nil, ReasonStarting},
		{"none, and signals held back", inspect.SignalMasks{Blocked: 0x310a01, Caught: handlersNone}, []int{101}, ReasonStarting},
		{"those of its master", inspect.SignalMasks{Caught: handlersMaster}, []int{101}, ReasonStarting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			old := child(101, 2, 0)
			old.Signals = tt.masks
			if got := refusalOf(tt.finish, old); got != tt.want {
				t.Errorf("refusal %q, want %q", got, tt.want)
			}
		})
	}
}

// It was told to leave by a ready worker of its own master, or it was not.
func TestWhoMayHaveToldAWorkerToLeaveThatHasNoHandlers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(teller *inspect.Process)
		want   Reason
	}{
		{"a ready one", func(*inspect.Process) {}, ""},
		{"one that has no handlers itself", func(p *inspect.Process) { p.Signals.Caught = handlersNone }, ReasonStarting},
		{"a program that has HAProxy's arguments", func(p *inspect.Process) { p.HAProxy = false }, ReasonStarting},
		{"another's child", func(p *inspect.Process) { p.PPID = 1 }, ReasonStarting},
		{"another user's, under a master of root's", func(p *inspect.Process) { p.UID = 7 }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			teller := child(102, 500, handlersReady, 101)
			tt.change(teller)
			if got := refusalOf([]int{102}, child(101, 2, handlersNone), teller); got != tt.want {
				t.Errorf("refusal %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAListNamesWhoStartedBeforeInItsOwnNamespace(t *testing.T) {
	n := child(102, 500, handlersReady, 101)
	for _, tt := range []struct {
		name   string
		change func(p *inspect.Process)
		want   bool
	}{
		{"an older one", func(*inspect.Process) {}, true},
		{"one of the same tick", func(p *inspect.Process) { p.StartTicks = 500 }, false},
		{"a younger one, which has the pid now", func(p *inspect.Process) { p.StartTicks = 501 }, false},
		{"one of another PID namespace", func(p *inspect.Process) { p.PIDNS = 7 }, false},
		{"one that has another pid there", func(p *inspect.Process) { p.NSPID = 7 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := child(101, 2, handlersReady)
			tt.change(p)
			if got := Names(n, p); got != tt.want {
				t.Errorf("named: %v, want %v", got, tt.want)
			}
		})
	}
}
