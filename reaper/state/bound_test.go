package state

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// fullest are counters that take as many bytes as any can.
func fullest(owner *judge.Owner) UnitCounters {
	u := UnitCounters{
		Signals: map[string]uint64{}, SignalFailures: map[string]uint64{}, Refusals: map[judge.Reason]uint64{}, Lifetimes: map[Departure]Lifetimes{},
		TerminatedProcesses: math.MaxUint64, TerminatedConnections: math.MaxUint64, Owner: owner,
	}
	for _, name := range SignalNames {
		u.Signals[name], u.SignalFailures[name] = math.MaxUint64, math.MaxUint64
	}
	for _, reason := range judge.Refusals {
		u.Refusals[reason] = math.MaxUint64
	}
	for _, how := range Departures {
		l := Lifetimes{SumSeconds: math.MaxFloat64}
		for range len(LifetimeBounds) + 1 {
			l.Buckets = append(l.Buckets, math.MaxUint64)
		}
		u.Lifetimes[how] = l
	}
	return u
}

// Whatever strangers have put into every part of the state, and however many users
// they are, it is read back as it was written, and has all that is the service's.
func TestAStateThatStrangersFilledIsReadBackWithAllOfTheServices(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 10))
		// Of all that prints these take the most bytes in JSON.
		long := func(n int) string {
			name := fmt.Sprintf("/%d/", n) + strings.Repeat([]string{`"`, `\`, "é", "<"}[random.IntN(4)], 180+random.IntN(40))
			return strings.ToValidUTF8(name[:min(len(name), 200)], "")
		}
		stranger := func() *judge.Owner {
			switch random.IntN(3) {
			case 0:
				return nil
			case 1:
				return &judge.Owner{UID: 5001, Stranger: true}
			}
			return &judge.Owner{UID: 100000 + random.Uint32N(65536), Stranger: true}
		}
		services := []*judge.Owner{{}, {UID: 102}}
		dir := filepath.Join(t.TempDir(), "state")
		now, boottime := time.Now(), 400*24*time.Hour
		change := func(s *State) {
			s.Open = &OpenRun{Began: math.MaxInt64, Signals: map[string]map[string]uint64{}}
			s.Qualified = judge.Qualified{}
			s.Counters.Units = map[string]UnitCounters{}
			s.Counters.Runs = 7
			put := func(n int, name string, owner *judge.Owner) {
				s.Memory[inspect.ProcID{PID: 1<<22 - n, StartTicks: uint64(random.IntN(1 << 30))}] = judge.Seen{
					Residual: boottime - time.Duration(random.IntN(1000)), Stranded: true, Told: true, Superseded: boottime - time.Duration(random.IntN(1000)),
					Heir: judge.Heir{ProcID: inspect.ProcID{PID: 1 << 22, StartTicks: 1 << 40}, NSPID: 1 << 22}, Unit: name, Signals: []string{"SIGTERM", "SIGKILL"}, Owner: owner,
				}
				s.Open.Signals[name] = map[string]uint64{"SIGTERM": math.MaxUint64, "SIGKILL": math.MaxUint64}
				s.Qualified["1:"+name] = judge.QualifiedName{Kinds: 255, Owner: owner}
				s.Counters.Units[name] = fullest(owner)
			}
			for n := range 5000 {
				put(n, long(n), stranger())
			}
			for n := range 40 {
				put(10000+n, fmt.Sprintf("service-%d.service", n), services[n%2])
			}
			for n := range 960 { // of one service
				s.Memory[inspect.ProcID{PID: 20000 + n, StartTicks: uint64(n)}] = judge.Seen{Residual: boottime, Told: true, Heir: judge.Heir{ProcID: inspect.ProcID{PID: 1 << 22, StartTicks: 1 << 40}, NSPID: 1}, Superseded: boottime, Unit: "service-0.service", Owner: services[0]}
			}
		}
		written, err := Update(dir, thisBoot, now, boottime, change)
		if err != nil {
			t.Fatal(err)
		}
		read, err := Load(dir, thisBoot, now, boottime)
		if err != nil {
			t.Fatal(err)
		}
		if len(read.Memory) != len(written.Memory) || len(read.Counters.Units) != len(written.Counters.Units) || read.Counters.Runs != 7 || written.Forgotten == 0 {
			t.Errorf("%d processes, %d instances and %d runs read, %d and %d written; %d forgotten", len(read.Memory), len(read.Counters.Units), read.Counters.Runs, len(written.Memory), len(written.Counters.Units), written.Forgotten)
		}
		remembered := 0
		for _, seen := range read.Memory {
			if strings.HasPrefix(seen.Unit, "service-") && seen.Residual > 0 && seen.Superseded > 0 && seen.Told {
				remembered++
			}
		}
		if remembered != 1000 {
			t.Errorf("seed %d: %d processes of the services are remembered, want 1000", seed, remembered)
		}
		for n := range 40 {
			name := fmt.Sprintf("service-%d.service", n)
			if read.Counters.Units[name].TerminatedProcesses != math.MaxUint64 || read.Open.Signals[name]["SIGTERM"] != math.MaxUint64 || read.Qualified["1:"+name].Kinds != 255 {
				t.Errorf("seed %d: of %s counters %v, signals %v, qualifiers %v", seed, name, read.Counters.Units[name], read.Open.Signals[name], read.Qualified["1:"+name])
			}
		}
		if len(read.Memory) < 1500 || len(read.Counters.Units) < 400 {
			t.Errorf("seed %d: only %d processes and %d instances are kept", seed, len(read.Memory), len(read.Counters.Units))
		}
	}
}
