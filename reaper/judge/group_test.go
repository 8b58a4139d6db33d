package judge

import (
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// A program whose master left while the host was looked at is of no instance.
// What starts beside it is looked at all the same.
func TestAProgramWhoseMasterHasGoneHidesNobodyWhoStarts(t *testing.T) {
	program, daemon, starting := child(101, 2, 0), serving(102, 500), child(103, 900, handlersNone)
	program.HAProxy = false
	groups := Groups(inspect.Snapshot{Processes: []*inspect.Process{program, daemon, starting}}, Past{})
	if len(groups) != 2 {
		t.Fatalf("%d groups, want the daemon's and that of no instance", len(groups))
	}
	if g := groups[0]; g.Model != ModelDaemon || len(g.Members) != 2 || g.Members[1].kind != kindStarting {
		t.Errorf("the daemon's group has %v", g.Members)
	}
	if g := groups[1]; g.Model != "" || len(g.Members) != 1 || g.Members[0].kind != kindProgram {
		t.Errorf("the group of no instance has %v", g.Members)
	}
}

// A reload with another configuration joins two lineages into one, also where the
// younger process is of the lineage that began first.
func TestAListJoinsTwoLineagesWhicheverBeganFirst(t *testing.T) {
	daemon := func(pid int, start uint64, config string, finish ...int) *inspect.Process {
		p := serving(pid, start)
		p.Command = command(config, finish)
		return p
	}
	for _, tt := range []struct {
		name      string
		processes []*inspect.Process
		want      []int // how many are in each
	}{
		{"one joins another, and a third stands apart", []*inspect.Process{
			daemon(101, 1, "/etc/other.cfg"), daemon(102, 2, "/etc/a.cfg"), daemon(103, 500, "/etc/b.cfg"), daemon(104, 900, "/etc/a.cfg", 103),
		}, []int{1, 3}},
		{"one joins another, and that names a third", []*inspect.Process{
			daemon(101, 1, "/etc/other.cfg"), daemon(102, 2, "/etc/a.cfg"), daemon(103, 500, "/etc/b.cfg", 101), daemon(104, 900, "/etc/a.cfg", 103),
		}, []int{4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			for _, g := range Groups(inspect.Snapshot{Processes: tt.processes}, Past{}) {
				got = append(got, len(g.Members))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("the groups have %v members, want %v", got, tt.want)
			}
		})
	}
}

// What a process without a parent is, by its handlers, what it holds back, and
// whether it has a child that runs HAProxy.
func TestWhoHasNoParentIsKnownByItsHandlersAndItsChildren(t *testing.T) {
	const hup, usr1 = 1, 1 << 9 // signal n is bit n-1
	for _, tt := range []struct {
		name            string
		blocked, caught uint64
		child           bool
		want            kind
	}{
		{"a master", 0, handlersMaster, false, kindMaster},
		{"a master amid a reload, without handlers", hup | usr1, handlersNone, true, kindMaster},
		{"one that starts, and holds its signals back", hup | usr1, handlersNone, false, kindStarting},
		{"one that starts, and is about to leave a daemon to itself", 0, handlersNone, true, kindStarting},
		{"a daemon", 0, handlersReady, false, kindWorker},
		{"a daemon with a check", 0, handlersReady, true, kindWorker},
		{"a daemon with a check, while it holds SIGHUP back", hup, handlersReady, true, kindWorker},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := child(200, 5, tt.caught)
			p.PPID, p.Signals.Blocked = 1, tt.blocked
			processes := []*inspect.Process{p}
			if tt.child {
				c := child(201, 6, handlersReady)
				c.PPID = 200
				processes = append(processes, c)
			}
			if got := newTree(processes).kind(p); got != tt.want {
				t.Errorf("kind %v, want %v", got, tt.want)
			}
		})
	}
}

// A daemon's launcher may still be there, and a check of it already.
func TestACheckIsOfItsDaemonWhateverTheDaemonIsTheChildOf(t *testing.T) {
	launcher, daemon, check, its := child(200, 5, handlersNone), serving(201, 6), child(202, 7, handlersReady), child(203, 8, handlersReady)
	launcher.PPID, daemon.PPID, check.PPID, its.PPID = 1, 200, 201, 202
	var got []kind
	for _, m := range Groups(inspect.Snapshot{Processes: []*inspect.Process{launcher, daemon, check, its}}, Past{})[0].Members {
		got = append(got, m.kind)
	}
	if want := []kind{kindStarting, kindWorker, kindCheck, kindCheck}; !slices.Equal(got, want) {
		t.Errorf("kinds %v, want %v", got, want)
	}
}

// serving is a daemon that listens.
func serving(pid int, start uint64) *inspect.Process {
	p := child(pid, start, handlersReady)
	p.Sockets.Listening = []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 443}}
	return p
}

// A daemon without a listener is no service. It is of no instance, unless something
// ties it to one.
func TestADaemonWithoutAListenerIsOfNoInstance(t *testing.T) {
	old := child(101, 2, handlersReady)
	old.Sockets.Ends = map[inspect.End]inspect.Use{} // read, and none
	other := serving(102, 500)
	groups := Groups(inspect.Snapshot{Processes: []*inspect.Process{old, other}}, Past{})
	if len(groups) != 2 || groups[0].has(old) || groups[1].Model != "" || !groups[1].has(old) {
		t.Errorf("%d groups: %+v", len(groups), groups)
	}
}

// What cannot be looked at may listen: it is not taken for a process of no service.
func TestADaemonThatCannotBeLookedAtIsOfItsLineage(t *testing.T) {
	old, other := child(101, 2, handlersReady), serving(102, 500)
	old.Sockets, old.Err = nil, errRead
	groups := Groups(inspect.Snapshot{Processes: []*inspect.Process{old, other}}, Past{})
	if len(groups) != 1 || !groups[0].has(old) {
		t.Errorf("%d groups: %+v", len(groups), groups)
	}
}

// The CLI of a master is asked about its own workers, and not about those of a master
// that it has replaced.
func TestTheOwnWorkersOfAMasterAreItsChildren(t *testing.T) {
	old, young := masterOf(100, 1, "/c"), masterOf(200, 1000, "/c", 100)
	left, own := under(old, standing(101, 2, 102, "/c", nil)), under(young, standing(201, 1001, 102, "/c", []uint16{80}, 100))
	groups := Groups(inspect.Snapshot{Processes: []*inspect.Process{old, left, young, own}}, Past{})
	if got := groups[0].OwnWorkers(); len(groups) != 1 || !slices.Equal(got, []*inspect.Process{own}) {
		t.Errorf("%d groups, and of the first %d own workers", len(groups), len(got))
	}
}

// A process is elsewhere where a namespace of it is known, and is another than that of
// each member. What could not be read may be any.
func TestWhichProcessIsElsewhereThanItsGroup(t *testing.T) {
	for _, tt := range []struct {
		name         string
		cgroup       string
		pidNS, netNS uint64
		want         bool
	}{
		{"in the same namespaces", "/a", 1, 2, false},
		{"in another PID namespace", "/a", 7, 2, true},
		{"in another network namespace", "/a", 1, 7, true},
		{"in no known PID namespace", "/a", 0, 2, false},
		{"in no known network namespace", "/a", 1, 0, false},
		{"in another PID namespace, and in no known cgroup", "", 7, 2, false},
	} {
		m := standing(201, 1000, 102, "/c", []uint16{80})
		m.PIDNS, m.NetNS = 1, 2
		g := &Group{}
		g.add(m, kindWorker, nil)
		p := &inspect.Process{Cgroup: tt.cgroup, PIDNS: tt.pidNS, NetNS: tt.netNS}
		if got := g.elsewhere(p); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
