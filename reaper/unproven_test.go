package reaper

import (
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
		{"looked at gently", &inspect.Sockets{}, ReasonUnreadable},
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
			r := Decide(Classify(Look{Snapshot: s, Groups: Group(s)}, nil), Policy{})
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
