package judge

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

func id(pid int) inspect.ProcID { return inspect.ProcID{PID: pid, StartTicks: uint64(pid)} }

// What only the first look measures holds for every later one, process by
// process, in whatever order and company it sees them.
func TestALaterLookDecidesOnWhatTheFirstMeasured(t *testing.T) {
	number := func(n int) *int { return &n }
	bytes := func(n uint64) *uint64 { return &n }
	idle := 5.0
	first := Instance{Name: "a.service", MemoryLimitBytes: bytes(7), MemoryLimitAvailableBytes: bytes(3), Processes: []Process{
		{ProcID: id(1), PrivateBytes: bytes(10), Connections: Connections{Client: number(11)}, Ports: []PortUse{{Port: 443, Clients: 11}}, IdleSeconds: &idle},
		{ProcID: id(2), PrivateBytes: bytes(20), Connections: Connections{Client: number(22)}},
	}}
	got := Instance{Processes: []Process{
		{ProcID: id(9)},
		{ProcID: id(2), Connections: Connections{Client: number(2)}},
		{ProcID: id(1)},
	}}.Measured(first)
	want := Instance{Name: "a.service", MemoryLimitBytes: bytes(7), MemoryLimitAvailableBytes: bytes(3), Processes: []Process{
		{ProcID: id(9)},
		{ProcID: id(2), PrivateBytes: bytes(20), Connections: Connections{Client: number(2)}}, // counted anew
		{ProcID: id(1), PrivateBytes: bytes(10), Connections: Connections{Client: number(11)}, Ports: []PortUse{{Port: 443, Clients: 11}}, IdleSeconds: &idle},
	}}
	if diff := cmp.Diff(want.Processes, got.Processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if got.Name != want.Name || *got.MemoryLimitBytes != 7 || *got.MemoryLimitAvailableBytes != 3 {
		t.Errorf("got %q, limit %v of which %v is left", got.Name, *got.MemoryLimitBytes, *got.MemoryLimitAvailableBytes)
	}
}

// Of a process that has left nothing is remembered; of all others what was known.
func TestWhoHasLeftIsForgotten(t *testing.T) {
	before := Memory{id(1): {Residual: 5}, id(2): {Residual: 5}, id(3): {Residual: 5}}
	got := Remember(before, Report{Boottime: 9, Instances: []Instance{{Name: "a", Processes: []Process{
		{ProcID: id(1), Role: RoleResidual, Outcome: OutcomeTerminated}, {ProcID: id(2), Role: RoleResidual}, {ProcID: id(4), Role: RoleActive},
	}}}})
	if len(got) != 1 || got[id(2)].Residual != 5 {
		t.Errorf("remembered %v, want 2 alone", got)
	}
}

// A report that does not say when on CLOCK_BOOTTIME it was made, as one from a
// file, teaches nothing of who is residual since when.
func TestAReportOfNoMomentTeachesNothing(t *testing.T) {
	got := Remember(nil, Report{Instances: []Instance{{Name: "a", Processes: []Process{{ProcID: id(1), Role: RoleResidual}}}}})
	if len(got) != 0 {
		t.Errorf("remembered %v", got)
	}
}

// What became of processes after the look: who has left is forgotten, and who was
// signalled and is there still is known for it.
func TestWhoWasSignalledAndIsStillThereIsRemembered(t *testing.T) {
	signals := []string{"SIGTERM"}
	got := Memory{id(1): {Residual: 5}, id(2): {Residual: 5}, id(3): {Residual: 5, Signals: []string{"SIGTERM", "SIGKILL"}}}.WithOutcomes(Report{Instances: []Instance{{Processes: []Process{
		{ProcID: id(1), Outcome: OutcomeTerminated, Signals: signals}, {ProcID: id(2), Outcome: OutcomeSurvived, Signals: signals}, {ProcID: id(3)}, {ProcID: id(4), Outcome: OutcomeSurvived, Signals: signals},
	}}}})
	want := Memory{id(2): {Residual: 5, Signals: signals}, id(3): {Residual: 5, Signals: []string{"SIGTERM", "SIGKILL"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
