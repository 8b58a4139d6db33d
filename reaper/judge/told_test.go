package judge

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Only a ready worker tells others to stop by its list: not an orphan, and not a worker
// that is on its way out.
func TestOnlyAReadyWorkerTellsOthersToStop(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   kind
		caught uint64
		want   bool
	}{
		{"a ready worker", kindWorker, handlersReady, true},
		{"a worker on its way out", kindWorker, handlersNone, false},
		{"an orphan", kindOrphan, handlersReady, false},
	} {
		old, young := child(101, 2, handlersReady), child(102, 500, tt.caught, 101)
		by := NamedBy([]Member{{old, kindWorker, nil}, {young, tt.kind, nil}})
		if got := by[old] == young; got != tt.want {
			t.Errorf("%s tells: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A worker that started in the same tick as another is no later generation than that
// one: what superseded both is what started after them.
func TestAWorkerOfTheSameTickSupersedesNothing(t *testing.T) {
	master := &inspect.Process{ProcID: inspect.ProcID{PID: 100, StartTicks: 1}, NSPID: 100, HAProxy: true, Signals: inspect.SignalMasks{Caught: handlersMaster}}
	a, b, active := child(101, 500, handlersReady), child(102, 500, handlersReady), child(103, 900, handlersReady)
	a.Command, b.Command, active.Command = command("/c", nil), command("/c", []int{7}), command("/c", []int{101, 102})
	master.Command = command("/c", nil)
	active.Sockets = serving(103, 900).Sockets
	s := inspect.Snapshot{Boottime: 30 * time.Second, Processes: []*inspect.Process{master, a, b, active}}
	in := Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}).Instances[0]
	if got := in.Find(a.ProcID).ResidualSeconds; got == nil || *got != 21 {
		t.Errorf("it is residual for %v s, want 21", got)
	}
}
