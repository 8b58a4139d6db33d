package judge

import (
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Where descriptors may not be looked at, the kernel's tables show a UDP socket without
// saying whether it receives. A report says so of an old worker.
func TestASocketThatMayBeAClientsIsShownAsThat(t *testing.T) {
	t.Parallel()
	master := &inspect.Process{ProcID: inspect.ProcID{PID: 100, StartTicks: 1}, NSPID: 100, HAProxy: true, Signals: inspect.SignalMasks{Caught: handlersMaster}}
	old, active := child(101, 1000, handlersReady), child(103, 2000, handlersReady, 101)
	old.Sockets.Bound = []inspect.Listener{{Network: "udp", Address: "0.0.0.0:53", Port: 53, Inode: 7, Unsure: true}}
	active.Sockets = &inspect.Sockets{Listening: []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443}}}
	s := inspect.Snapshot{Processes: []*inspect.Process{master, old, active}}
	in := Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}).Instances[0]
	if got := in.Find(old.ProcID).Listeners; !slices.Equal(got, []string{"udp 0.0.0.0:53 (or a client's)"}) {
		t.Errorf("%q", got)
	}
}
