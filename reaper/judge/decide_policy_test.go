package judge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func ptr[T any](v T) *T { return &v }

// held is a residual process that was superseded so long ago and has no client.
// Those of a test start one after the other, in order.
func held(residual time.Duration, change ...func(*judge.Process)) judge.Process {
	p := judge.Process{Role: judge.RoleResidual, ResidualSeconds: ptr(residual.Seconds()), PrivateBytes: ptr(uint64(10 << 20))}
	p.Connections = judge.Connections{Client: ptr(0), Server: ptr(0), Other: ptr(0), Former: ptr(0), Unknown: ptr(0)}
	for _, c := range change {
		c(&p)
	}
	return p
}

// by adds clients of a port, the busiest of them idle for so long.
func by(port uint16, n int, idle time.Duration) func(*judge.Process) {
	return func(p *judge.Process) {
		p.Ports = append(p.Ports, judge.PortUse{Port: port, Clients: n, MinIdleSeconds: ptr(idle.Seconds()), MaxIdleSeconds: ptr(idle.Seconds())})
		p.Connections.Client = ptr(*p.Connections.Client + n)
		if p.IdleSeconds == nil || *p.IdleSeconds > idle.Seconds() {
			p.IdleSeconds = ptr(idle.Seconds())
		}
	}
}

// byUnixSocket adds clients of which no idle time is known.
func byUnixSocket(n int) func(*judge.Process) {
	return func(p *judge.Process) { p.Connections.Client = ptr(*p.Connections.Client + n) }
}

// byQUIC adds clients of a port of which no idle time is known.
func byQUIC(port uint16, n int) func(*judge.Process) {
	return func(p *judge.Process) {
		p.Ports = append(p.Ports, judge.PortUse{Port: port, Clients: n})
		p.Connections.Client = ptr(*p.Connections.Client + n)
	}
}

// byReverse has clients that the master CLI alone tells of.
func byReverse(p *judge.Process) { p.Connections.Unknown = ptr(2) }

// uncounted has connections that could not be read.
func uncounted(p *judge.Process) { p.Connections, p.IdleSeconds = judge.Connections{}, nil }

// former has a client of a listener which is gone.
func former(p *judge.Process) { p.Connections.Former = ptr(1) }

// beforeFormer is of a report that was saved when nobody counted those.
func beforeFormer(p *judge.Process) { p.Connections.Former = nil }

// beforeUnknown is of one that was saved when nobody compared.
func beforeUnknown(p *judge.Process) { p.Connections.Unknown = nil }

func memory(mib uint64) func(*judge.Process) {
	return func(p *judge.Process) { p.PrivateBytes = ptr(mib << 20) }
}

func unmeasured(p *judge.Process) { p.PrivateBytes = nil }

// spinning outlived the signal of an earlier pass; stopped and traced are what a
// look sees, and so is blocked, which may be over in an instant.
func spinning(p *judge.Process) { p.SignalledBefore = true }
func stopped(p *judge.Process)  { p.Wedge = judge.WedgeStopped }
func traced(p *judge.Process)   { p.Wedge = judge.WedgeTraced }
func blocked(p *judge.Process)  { p.Wedge = judge.WedgeBlocked }

// fate is what a decision says of a process.
type fate struct {
	Verdict judge.Verdict
	Reason  judge.Reason
	Due     time.Duration // from now
}

func wait(reason judge.Reason, due time.Duration) fate { return fate{judge.VerdictWait, reason, due} }
func terminate(reason judge.Reason, due time.Duration) fate {
	return fate{judge.VerdictTerminate, reason, due}
}

// ruling is a row of the tables below: what a policy makes of an instance with
// these residual processes, on a host of which half the memory is left.
type ruling struct {
	name   string
	policy judge.Policy
	held   []judge.Process
	change func(*judge.Report)
	want   []fate
}

func (row ruling) check(t *testing.T) {
	t.Helper()
	r := saved("")
	r.MemoryAvailableBytes, r.MemoryTotalBytes, r.HostShare = ptr(uint64(50)), ptr(uint64(100)), ptr(0.25)
	in := &r.Instances[0]
	for i, p := range row.held {
		p.ProcID = inspect.ProcID{PID: 11 + i, StartTicks: uint64(11 + i)}
		in.Processes = append(in.Processes, p)
	}
	if row.change != nil {
		row.change(&r)
	}
	var got []fate
	for _, p := range judge.Decide(r, row.policy).Instances[0].Processes {
		if p.Role == judge.RoleResidual {
			got = append(got, fate{p.Verdict, p.Reason, p.Due.Sub(noon)})
		}
	}
	if diff := cmp.Diff(row.want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func checkRulings(t *testing.T, rows []ruling) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, row.check)
	}
}

const minute, hour = time.Minute, time.Hour

func TestTheDeadlineOfAPort(t *testing.T) {
	policy := judge.Policy{Deadline: 30 * minute, DeadlineFor: map[uint16]time.Duration{22: 24 * hour, 8080: 5 * minute}}
	checkRulings(t, []ruling{
		{"a client of the port puts it off", policy, []judge.Process{held(hour, by(443, 3, 0), by(22, 1, 0))}, nil,
			[]fate{wait(judge.ReasonWithinPortDeadline, 23*hour)}},
		{"until its own deadline comes", policy, []judge.Process{held(24*hour, by(443, 3, 0), by(22, 1, 0))}, nil,
			[]fate{terminate(judge.ReasonPastPortDeadline, 0)}},
		{"a shorter one alone brings it forward", policy, []judge.Process{held(6*minute, by(8080, 1, 0))}, nil,
			[]fate{terminate(judge.ReasonPastPortDeadline, -minute)}},
		{"and beside a client of another port does not", policy, []judge.Process{held(6*minute, by(8080, 1, 0), by(443, 1, 0))}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, 24*minute)}},
		{"nor beside one of a unix socket", policy, []judge.Process{held(6*minute, by(8080, 1, 0), byUnixSocket(1))}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, 24*minute)}},
		{"a port without a client means nothing", policy, []judge.Process{held(hour, by(22, 0, 0), by(443, 1, 0))}, nil,
			[]fate{terminate(judge.ReasonPastDeadline, -30*minute)}},
		{"nor does one of those that have no deadline of their own", policy, []judge.Process{held(6*minute, by(8080, 1, 0), by(443, 0, 0))}, nil,
			[]fate{terminate(judge.ReasonPastPortDeadline, -minute)}},
		{"without clients the deadline of all others holds", policy, []judge.Process{held(hour)}, nil,
			[]fate{terminate(judge.ReasonPastDeadline, -30*minute)}},
		{"clients that could not be counted may be of any port", policy, []judge.Process{held(hour, uncounted)}, nil,
			[]fate{wait(judge.ReasonWithinPortDeadline, 23*hour)}},
		{"and so may those of a listener that is gone", policy, []judge.Process{held(hour, former)}, nil,
			[]fate{wait(judge.ReasonWithinPortDeadline, 23*hour)}},
		{"of two deadlines alike the one of all others is named", judge.Policy{Deadline: hour, DeadlineFor: map[uint16]time.Duration{22: hour}},
			[]judge.Process{held(0, by(22, 1, 0), by(443, 1, 0))}, nil, []fate{wait(judge.ReasonWithinDeadline, hour)}},
	})
}

func TestJitterPutsTheDeadlineOff(t *testing.T) {
	policy := judge.Policy{Deadline: 30 * minute, DeadlineJitter: 8 * minute}
	share := func(s *float64) func(*judge.Report) { return func(r *judge.Report) { r.HostShare = s } }
	checkRulings(t, []ruling{
		{"by this host's part of it", policy, []judge.Process{held(31 * minute)}, nil, []fate{wait(judge.ReasonJitter, minute)}},
		{"from the deadline on", policy, []judge.Process{held(30 * minute)}, nil, []fate{wait(judge.ReasonJitter, 2*minute)}},
		{"until that has passed", policy, []judge.Process{held(32 * minute)}, nil, []fate{terminate(judge.ReasonPastDeadline, 0)}},
		{"before the deadline it is not yet what spares", policy, []judge.Process{held(29 * minute)}, nil, []fate{wait(judge.ReasonWithinDeadline, 3*minute)}},
		{"by all of it where the host's share is not known", policy, []judge.Process{held(31 * minute)}, share(nil), []fate{wait(judge.ReasonJitter, 7*minute)}},
		{"by no more than all of it, whatever a file says", policy, []judge.Process{held(31 * minute)}, share(ptr(1e9)), []fate{wait(judge.ReasonJitter, 7*minute)}},
		{"and never brings it forward", policy, []judge.Process{held(29 * minute)}, share(ptr(-1.0)), []fate{wait(judge.ReasonWithinDeadline, minute)}},
		{"nor anything but the deadline", judge.Policy{Deadline: 30 * minute, DeadlineJitter: 8 * minute, MaxResidual: 1}, []judge.Process{held(2 * minute), held(minute)}, nil,
			[]fate{terminate(judge.ReasonMaxResidual, 0), wait(judge.ReasonWithinDeadline, 31*minute)}},
	})
}

func TestAHardDeadlineSparesActiveClients(t *testing.T) {
	policy := judge.Policy{Deadline: 30 * minute, HardDeadline: 4 * hour, ActiveWithin: minute}
	checkRulings(t, []ruling{
		{"one that was active a minute ago", policy, []judge.Process{held(hour, by(443, 2, minute))}, nil, []fate{wait(judge.ReasonActiveClients, 3*hour)}},
		{"not one that is idle for longer", policy, []judge.Process{held(hour, by(443, 2, minute+1))}, nil, []fate{terminate(judge.ReasonPastDeadline, -30*minute)}},
		{"nor a process without any", policy, []judge.Process{held(hour)}, nil, []fate{terminate(judge.ReasonPastDeadline, -30*minute)}},
		{"until the hard deadline", policy, []judge.Process{held(4*hour, by(443, 2, 0))}, nil, []fate{terminate(judge.ReasonPastHardDeadline, 0)}},
		{"from the very deadline on", policy, []judge.Process{held(30*minute, by(443, 2, 0))}, nil, []fate{wait(judge.ReasonActiveClients, 210*minute)}},
		{"one that is no later than the deadline is none", judge.Policy{Deadline: 30 * minute, HardDeadline: 30 * minute, ActiveWithin: minute},
			[]judge.Process{held(hour, by(443, 2, 0))}, nil, []fate{terminate(judge.ReasonPastDeadline, -30*minute)}},
		{"before the deadline nobody asks", policy, []judge.Process{held(29*minute, by(443, 2, 0))}, nil, []fate{wait(judge.ReasonWithinDeadline, minute)}},
		{"who could not be counted may be active", policy, []judge.Process{held(hour, uncounted)}, nil, []fate{wait(judge.ReasonActiveClients, 3*hour)}},
		{"and so may who comes by a unix socket", policy, []judge.Process{held(hour, by(443, 1, hour), byUnixSocket(1))}, nil, []fate{wait(judge.ReasonActiveClients, 3*hour)}},
		{"and the client of a listener that is gone", policy, []judge.Process{held(hour, by(443, 1, hour), former)}, nil, []fate{wait(judge.ReasonActiveClients, 3*hour)}},
		{"and whom the master CLI alone tells of", policy, []judge.Process{held(hour, by(443, 1, hour), byReverse)}, nil, []fate{wait(judge.ReasonActiveClients, 3*hour)}},
		{"until the hard deadline too", policy, []judge.Process{held(4*hour, byReverse)}, nil, []fate{terminate(judge.ReasonPastHardDeadline, 0)}},
		{"and one of whom no time is known", policy, []judge.Process{held(hour, by(80, 1, hour), byQUIC(443, 1))}, nil, []fate{wait(judge.ReasonActiveClients, 3*hour)}},
		{"it does not shorten a longer one of a port",
			judge.Policy{Deadline: 30 * minute, HardDeadline: 4 * hour, ActiveWithin: minute, DeadlineFor: map[uint16]time.Duration{22: 24 * hour}},
			[]judge.Process{held(5*hour, by(22, 1, 0))}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 19*hour)}},
		{"jitter puts it off too", judge.Policy{Deadline: 30 * minute, HardDeadline: 4 * hour, ActiveWithin: minute, DeadlineJitter: 8 * minute},
			[]judge.Process{held(4*hour, by(443, 2, 0))}, nil, []fate{wait(judge.ReasonActiveClients, 2*minute)}},
		{"it spares nobody from a limit", judge.Policy{HardDeadline: 4 * hour, ActiveWithin: minute, MaxResidual: 1},
			[]judge.Process{held(2*minute, by(443, 2, 0)), held(minute, by(443, 2, 0))}, nil,
			[]fate{terminate(judge.ReasonMaxResidual, 0), wait(judge.ReasonActiveClients, 4*hour-minute)}},
	})
}

func TestTheEmptyGoEarly(t *testing.T) {
	policy := judge.Policy{Deadline: 30 * minute, EmptyAfter: ptr(2 * minute), DeadlineFor: map[uint16]time.Duration{22: hour}}
	checkRulings(t, []ruling{
		{"one without clients, once it is old enough", policy, []judge.Process{held(2 * minute), held(minute)}, nil,
			[]fate{terminate(judge.ReasonEmpty, 0), wait(judge.ReasonWithinDeadline, minute)}},
		{"one with a client does not", policy, []judge.Process{held(2*minute, by(443, 1, hour))}, nil, []fate{wait(judge.ReasonWithinDeadline, 28*minute)}},
		{"nor with one of a unix socket", policy, []judge.Process{held(2*minute, byUnixSocket(1))}, nil, []fate{wait(judge.ReasonWithinDeadline, 28*minute)}},
		{"nor one whose clients could not be counted", policy, []judge.Process{held(2*minute, uncounted)}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 58*minute)}},
		{"nor one that may have clients of a listener that is gone", policy, []judge.Process{held(2*minute, former)}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 58*minute)}},
		{"nor one that has clients by what the master CLI says", policy, []judge.Process{held(2*minute, byReverse)}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 58*minute)}},
		{"nor one of a file that does not tell", policy, []judge.Process{held(2*minute, beforeFormer)}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 58*minute)}},
		{"nor one of a file that tells of nobody else", policy, []judge.Process{held(2*minute, beforeUnknown)}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 58*minute)}},
		{"0s is at once", judge.Policy{Deadline: hour, EmptyAfter: ptr(time.Duration(0))}, []judge.Process{held(0)}, nil, []fate{terminate(judge.ReasonEmpty, 0)}},
		{"none is never", judge.Policy{Deadline: hour}, []judge.Process{held(0)}, nil, []fate{wait(judge.ReasonWithinDeadline, hour)}},
		{"past its deadline that is the reason, and since when", policy, []judge.Process{held(hour)}, nil, []fate{terminate(judge.ReasonPastDeadline, -30*minute)}},
	})
}

func TestTheIdleGoEarly(t *testing.T) {
	policy := judge.Policy{Deadline: 30 * minute, IdleAfter: 10 * minute, DeadlineFor: map[uint16]time.Duration{22: 24 * hour}}
	checkRulings(t, []ruling{
		{"one whose every client is idle for so long", policy, []judge.Process{held(15*minute, by(443, 2, 10*minute))}, nil, []fate{terminate(judge.ReasonIdle, 0)}},
		{"one whose clients of several ports are", policy, []judge.Process{held(15*minute, by(443, 2, hour), by(80, 1, 10*minute))}, nil, []fate{terminate(judge.ReasonIdle, 0)}},
		{"one whose clients are idle for less does not, nor does anybody guess", policy, []judge.Process{held(15*minute, by(443, 2, 9*minute))}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor one of whose clients one is not", policy, []judge.Process{held(15*minute, by(443, 2, hour), by(80, 1, 0))}, nil, []fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor one of whose clients one may not be", policy, []judge.Process{held(15*minute, by(443, 2, hour), byUnixSocket(1))}, nil, []fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor with clients, perhaps, of a listener that is gone", judge.Policy{Deadline: 30 * minute, IdleAfter: 10 * minute}, []judge.Process{held(15*minute, by(443, 2, hour), former)}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor with one of whom no time is known", policy, []judge.Process{held(15*minute, by(80, 2, hour), byQUIC(443, 1))}, nil, []fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor with one whom the master CLI alone tells of", judge.Policy{Deadline: 30 * minute, IdleAfter: 10 * minute}, []judge.Process{held(15*minute, by(443, 2, hour), byReverse)}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor one that has no clients", policy, []judge.Process{held(15 * minute)}, nil, []fate{wait(judge.ReasonWithinDeadline, 15*minute)}},
		{"nor one that could not be asked", policy, []judge.Process{held(15*minute, uncounted)}, nil, []fate{wait(judge.ReasonWithinPortDeadline, 24*hour-15*minute)}},
		{"the deadline of their port is no mercy", policy, []judge.Process{held(hour, by(22, 2, 10*minute))}, nil, []fate{terminate(judge.ReasonIdle, 0)}},
	})
}

func TestOnlySoManyMayBeResidual(t *testing.T) {
	policy := judge.Policy{Deadline: hour, MaxResidual: 2}
	tied := func(r *judge.Report) {
		for i := range r.Instances[0].Processes {
			if p := &r.Instances[0].Processes[i]; p.PID < 13 {
				p.StartTicks = 5
			}
		}
	}
	checkRulings(t, []ruling{
		{"as many wait", policy, []judge.Process{held(2 * minute), held(minute)}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, 58*minute), wait(judge.ReasonWithinDeadline, 59*minute)}},
		{"the oldest beyond them go, whatever they hold", policy, []judge.Process{held(4*minute, by(22, 1, 0)), held(3*minute, uncounted), held(2 * minute), held(minute)}, nil,
			[]fate{terminate(judge.ReasonMaxResidual, 0), terminate(judge.ReasonMaxResidual, 0), wait(judge.ReasonWithinDeadline, 58*minute), wait(judge.ReasonWithinDeadline, 59*minute)}},
		{"one that is due by another rule counts as well", policy, []judge.Process{held(3 * hour), held(2 * hour), held(minute)}, nil,
			[]fate{terminate(judge.ReasonMaxResidual, -2*hour), terminate(judge.ReasonPastDeadline, -hour), wait(judge.ReasonWithinDeadline, 59*minute)}},
		{"of one tick all go or none", policy, []judge.Process{held(3 * minute), held(3 * minute), held(minute)}, tied,
			[]fate{wait(judge.ReasonWithinDeadline, 57*minute), wait(judge.ReasonWithinDeadline, 57*minute), wait(judge.ReasonWithinDeadline, 59*minute)}},
	})
}

func TestShortOfMemoryTheDearestGoes(t *testing.T) {
	policy := judge.Policy{Deadline: hour, MinAvailableMemory: 51}
	available := func(bytes, of *uint64) func(*judge.Report) {
		return func(r *judge.Report) { r.MemoryAvailableBytes, r.MemoryTotalBytes = bytes, of }
	}
	limit := func(bytes, of *uint64) func(*judge.Report) {
		return func(r *judge.Report) {
			r.MemoryAvailableBytes = nil
			r.Instances[0].MemoryLimitAvailableBytes, r.Instances[0].MemoryLimitBytes = bytes, of
		}
	}
	stays, goes := wait(judge.ReasonWithinDeadline, hour), terminate(judge.ReasonLowMemory, 0)
	two := []judge.Process{held(0, memory(30), by(443, 2, 0)), held(0, memory(20), by(443, 1, 0))}
	checkRulings(t, []ruling{
		{"the most bytes for each client", policy, two, nil, []fate{stays, goes}},
		{"nobody's goes before any client's, and the larger of two", policy,
			[]judge.Process{held(0, memory(900), by(443, 1, 0)), held(0, memory(1)), held(0, memory(2))}, nil, []fate{stays, stays, goes}},
		{"of two alike the one that started first", policy, []judge.Process{held(0), held(0)}, nil, []fate{goes, stays}},
		{"one that frees nothing goes after all others", policy, []judge.Process{held(0, memory(0)), held(0, memory(1), by(443, 9, 0))}, nil, []fate{stays, goes}},
		{"as much as that is enough", judge.Policy{Deadline: hour, MinAvailableMemory: 50}, two, nil, []fate{stays, stays}},
		{"0 is never", judge.Policy{Deadline: hour}, two, available(ptr(uint64(0)), ptr(uint64(100))), []fate{stays, stays}},
		{"what is left is not known", policy, two, available(nil, ptr(uint64(100))), []fate{stays, stays}},
		{"of how much is not known", policy, two, available(ptr(uint64(1)), nil), []fate{stays, stays}},
		{"a cgroup that is short is enough", policy, two, limit(ptr(uint64(1)), ptr(uint64(100))), []fate{stays, goes}},
		{"a cgroup that is not is none", policy, two, limit(ptr(uint64(99)), ptr(uint64(100))), []fate{stays, stays}},
		{"which is dearest is not known where one's memory is not", policy, append([]judge.Process{held(0, unmeasured)}, two...), nil, []fate{stays, stays, stays}},
		{"nor where one's clients are not", policy, append([]judge.Process{held(0, uncounted)}, two...), nil, []fate{stays, stays, stays}},
		{"nor where the master CLI tells of more", policy, append([]judge.Process{held(0, byReverse)}, two...), nil, []fate{stays, stays, stays}},
		{"nobody is residual", policy, nil, nil, nil},
		{"under a cap it goes before the longest superseded", judge.Policy{MinAvailableMemory: 51, MaxTerminations: 1},
			[]judge.Process{held(hour, by(443, 1, 0)), held(minute)}, nil,
			[]fate{wait(judge.ReasonMaxTerminations, -hour), terminate(judge.ReasonLowMemory, -minute)}},
	})
}

// What does not leave by a signal is signalled again, and takes no place of what
// would leave.
func TestAStuckProcessUsesUpNoCap(t *testing.T) {
	policy := judge.Policy{MaxTerminations: 1}
	goes, waits := terminate(judge.ReasonPastDeadline, -hour), wait(judge.ReasonMaxTerminations, -minute)
	healthy := terminate(judge.ReasonPastDeadline, -minute)
	checkRulings(t, []ruling{
		{"one that is stopped", policy, []judge.Process{held(hour, stopped), held(minute)}, nil, []fate{goes, healthy}},
		{"one that a debugger holds", policy, []judge.Process{held(hour, traced), held(minute)}, nil, []fate{goes, healthy}},
		{"one that was signalled before", policy, []judge.Process{held(hour, spinning), held(minute)}, nil, []fate{goes, healthy}},
		{"however many there are", policy, []judge.Process{held(hour, stopped), held(hour, spinning), held(hour, traced), held(minute)}, nil,
			[]fate{goes, goes, goes, healthy}},
		{"the others are capped as ever", policy, []judge.Process{held(hour, stopped), held(hour), held(minute)}, nil, []fate{goes, goes, waits}},
		{"one in the kernel may be on its way out", policy, []judge.Process{held(hour, blocked), held(minute)}, nil, []fate{goes, waits}},
		{"one that is not due waits", judge.Policy{Deadline: 2 * hour, MaxTerminations: 1}, []judge.Process{held(hour, stopped)}, nil,
			[]fate{wait(judge.ReasonWithinDeadline, hour)}},
		{"it is residual, and its memory is used", judge.Policy{Deadline: 2 * hour, MaxResidual: 1}, []judge.Process{held(hour), held(hour, stopped)}, nil,
			[]fate{terminate(judge.ReasonMaxResidual, 0), wait(judge.ReasonWithinDeadline, hour)}},
	})
}

func TestAStuckProcessIsNotTheDearest(t *testing.T) {
	policy := judge.Policy{Deadline: hour, MinAvailableMemory: 51}
	stays, goes := wait(judge.ReasonWithinDeadline, hour), terminate(judge.ReasonLowMemory, 0)
	small := held(0, memory(1), by(443, 9, 0))
	checkRulings(t, []ruling{
		{"one that is stopped", policy, []judge.Process{held(0, memory(900), stopped), small}, nil, []fate{stays, goes}},
		{"one that a debugger holds", policy, []judge.Process{held(0, memory(900), traced), small}, nil, []fate{stays, goes}},
		{"one that was signalled before", policy, []judge.Process{held(0, memory(900), spinning), small}, nil, []fate{stays, goes}},
		{"not even one of which nothing is known", policy, []judge.Process{held(0, unmeasured, uncounted, stopped), small}, nil,
			[]fate{stays, goes}},
		{"one in the kernel may free it in an instant", policy, []judge.Process{held(0, memory(900), blocked), small}, nil, []fate{goes, stays}},
		{"where all are stuck, the dearest of them", policy, []judge.Process{held(0, memory(1), stopped), held(0, memory(900), spinning)}, nil,
			[]fate{stays, goes}},
	})
}

// Of what comes at the same time, the first in the order of the policy is named.
func TestOfTwoReasonsThatComeAtOnceTheFirstIsNamed(t *testing.T) {
	r := saved("")
	r.Instances[0].Processes = append(r.Instances[0].Processes, held(10*minute))
	p := judge.Decide(r, judge.Policy{Deadline: hour, EmptyAfter: ptr(hour)}).Instances[0].Processes[2]
	if p.DueReason != judge.ReasonPastDeadline || !p.Due.Equal(noon.Add(50*minute)) {
		t.Errorf("due %v for %q, want in 50m and for the deadline", p.Due, p.DueReason)
	}
}

// What no clock measured does not turn round.
func TestADurationWithoutBoundIsTheLongest(t *testing.T) {
	forever := time.Duration(1<<63 - 1)
	r := saved("", 1e300, -5)
	r.HostShare = ptr(0.5)
	got := judge.Decide(r, judge.Policy{Deadline: forever, DeadlineJitter: forever}).Instances[0].Processes[2:]
	if got[0].Verdict != judge.VerdictTerminate || got[1].Verdict != judge.VerdictWait {
		t.Errorf("verdicts %s, %s; want terminate, wait", got[0].Verdict, got[1].Verdict)
	}
}
