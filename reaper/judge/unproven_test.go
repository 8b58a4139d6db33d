package judge

import (
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// That an old worker holds no listener counts only when all of it was looked at.
// A look leaves either a proof or an error; the decision does not rest on that.
func TestAnOldWorkerThatWasNotExaminedInFullRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		sockets *inspect.Sockets
		want    Reason
	}{
		{"not looked at", nil, ReasonUnreadable},
		{"only searched for a listener", &inspect.Sockets{}, ReasonUnreadable},
		{"examined, but for what a thread has for itself", &inspect.Sockets{Apart: 7}, ReasonApart},
		{"examined", &inspect.Sockets{Proof: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ready := inspect.SignalMasks{Caught: 0x702205}
			master := &inspect.Process{ProcID: inspect.ProcID{PID: 100, StartTicks: 1}, NSPID: 100, HAProxy: true, Signals: inspect.SignalMasks{Caught: 0x716a03}}
			old := &inspect.Process{ProcID: inspect.ProcID{PID: 101, StartTicks: 2}, NSPID: 101, PPID: 100, HAProxy: true, Signals: ready, Sockets: tt.sockets}
			active := &inspect.Process{ProcID: inspect.ProcID{PID: 102, StartTicks: 300}, PPID: 100, HAProxy: true, Signals: ready}
			active.Command.Finish = []int{101}
			active.Sockets = &inspect.Sockets{Listening: []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443}}}
			s := inspect.Snapshot{Processes: []*inspect.Process{master, old, active}}
			r := Decide(Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}), Policy{})
			want := VerdictRefuse
			if tt.want == "" {
				want = VerdictTerminate
			}
			if got := r.Instances[0]; got.Refusal != tt.want || got.Processes[1].Verdict != want {
				t.Errorf("refusal %q, verdict on the old one %q; want %q, %q", got.Refusal, got.Processes[1].Verdict, tt.want, want)
			}
		})
	}
}

// What an active's other table holds may be its listeners; where it is seen to listen
// that is its own affair.
func TestAnActiveWhoseThreadHasDescriptorsOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*inspect.Sockets)
		want   Reason
	}{
		{"and is seen to listen", func(*inspect.Sockets) {}, ""},
		{"and is not seen to listen", func(s *inspect.Sockets) { s.Listening = nil }, ReasonApart},
	} {
		in := onHost(1, func(active *inspect.Process) { active.Sockets.Apart = 7; tt.change(active.Sockets) })
		if in.Refusal != tt.want {
			t.Errorf("%s: refused for %q (%s), want %q", tt.name, in.Refusal, in.RefusalDetail, tt.want)
		}
	}
}

// onHost is what is decided of an instance with a master, the active, which the
// test may change, and so many old workers.
func onHost(old int, change func(active *inspect.Process)) Instance {
	ready := inspect.SignalMasks{Caught: 0x702205}
	master := &inspect.Process{ProcID: inspect.ProcID{PID: 1000, StartTicks: 1}, NSPID: 1000, HAProxy: true, Signals: inspect.SignalMasks{Caught: 0x716a03}}
	active := &inspect.Process{ProcID: inspect.ProcID{PID: 9999, StartTicks: 1e6}, PPID: 1000, HAProxy: true, Signals: ready}
	active.Sockets = &inspect.Sockets{Listening: []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443}}}
	s := inspect.Snapshot{Processes: []*inspect.Process{master, active}}
	for n := range old {
		p := &inspect.Process{ProcID: inspect.ProcID{PID: 2000 + n, StartTicks: uint64(1000 + 200*n)}, NSPID: 2000 + n, PPID: 1000, HAProxy: true, Signals: ready}
		p.Sockets = &inspect.Sockets{Proof: true}
		active.Command.Finish = append(active.Command.Finish, p.PID)
		s.Processes = append(s.Processes, p)
	}
	change(active)
	return Decide(Classify(Look{Snapshot: s, Groups: Groups(s, Past{})}, Past{}), Policy{}).Instances[0]
}

func TestAThousandProcessesAreJudgedAndOneMoreIsNot(t *testing.T) {
	same := func(*inspect.Process) {}
	if in := onHost(998, same); in.Refusal != "" || len(in.Processes) != 1000 {
		t.Errorf("%d processes: refused for %q", len(in.Processes), in.Refusal)
	}
	in := onHost(999, same)
	if in.Refusal != ReasonTooMany {
		t.Errorf("%d processes: refused for %q", len(in.Processes), in.Refusal)
	}
	if slices.Contains(in.Witnesses, "cli") {
		t.Errorf("witnesses %v, but of so many the master CLI is not asked", in.Witnesses)
	}
}

// What the active has besides its listeners is its own affair.
func TestASocketOfNoKnownKindOfTheActiveRefusesNothing(t *testing.T) {
	in := onHost(1, func(active *inspect.Process) { active.Sockets.Unclassified = []string{"socket of family 40"} })
	if in.Refusal != "" || in.Processes[1].Verdict != VerdictTerminate {
		t.Errorf("refused for %q, verdict on the old one %q", in.Refusal, in.Processes[1].Verdict)
	}
}
