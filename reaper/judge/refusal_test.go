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
