package reaper_test

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// faultWorld is a host that a pass may find: one of the model's, and what the
// model leaves out.
type faultWorld struct {
	scenario
	dress   func(h host, b body, p *fakehost.Proc)
	furnish func(k *kernel)
	socket  string // --master-socket
	noGetfd bool
	memory  judge.Memory // in a state of root's
}

// build is a new kernel of that world.
func (w faultWorld) build() *kernel {
	k := newKernel(host{}, nil)
	k.boundary = func([]int) {}
	k.dress = w.dress
	k.become(w.host)
	if w.furnish != nil {
		w.furnish(k)
	}
	return k
}

func faultWorlds() []faultWorld {
	var list []faultWorld
	for _, s := range scenarios() {
		list = append(list, faultWorld{scenario: s, socket: "none"})
	}
	timing := judge.Timing{Settle: 150 * time.Millisecond, PassTimeout: time.Minute}
	add := func(w faultWorld, name string, h host) {
		w.scenario = scenario{name, h, timing}
		list = append(list, w)
	}
	plain := faultWorld{socket: "none"}
	reload := func(pid int) []string {
		return []string{"a reload begins", fmt.Sprintf("the new worker is %d", pid), "the new worker is ready", "the old worker is told", "the reload ends"}
	}
	add(plain, "master-worker, two old workers", ordinaryHost(false).after(reload(103)...))
	add(plain, "daemon, three old ones, one whose list is gone", ordinaryHost(true).after(slices.Concat(reload(103), reload(104), []string{"103 exits"})...))
	add(plain, "master-worker, amid a check", ordinaryHost(false).after("102 forks a check"))
	add(plain, "master-worker, a stranger has a worker's pid", ordinaryHost(false).after("101 exits", "a stranger gets pid 101"))
	add(faultWorld{socket: "none", dress: amidExit}, "master-worker, a check amid its exit", ordinaryHost(false).after("102 forks a check"))
	add(faultWorld{dress: answering}, "master-worker, its CLI answers", ordinaryHost(false).after(reload(103)...))
	add(faultWorld{socket: "none", dress: varied}, "master-worker, with sockets of every kind", ordinaryHost(false))
	add(faultWorld{socket: "none", dress: contained}, "master-worker, in a container", ordinaryHost(false))
	add(faultWorld{socket: "none", noGetfd: true}, "master-worker, pidfd_getfd is refused", ordinaryHost(false))
	add(faultWorld{socket: "none", furnish: another}, "two instances", ordinaryHost(false))
	add(faultWorld{socket: "none", furnish: secondMaster}, "a second master has replaced the first", ordinaryHost(false))
	add(faultWorld{socket: "none", furnish: sameArguments}, "two daemon services with equal arguments", ordinaryHost(true))
	add(faultWorld{socket: "none", furnish: forgotten, memory: remembered}, "a daemon of which only the memory says that it was told", ordinaryHost(false))
	timing.DrainRate, timing.DrainTimeout = 10, 3*time.Second
	add(plain, "master-worker, drained", ordinaryHost(false).after(reload(103)...))
	add(faultWorld{socket: "none", dress: stubborn}, "daemon, drained in vain", ordinaryHost(true))
	return list
}

// stubborn are clients whose server does not close.
func stubborn(_ host, b body, p *fakehost.Proc) {
	for i := range p.Sockets {
		p.Sockets[i].Stubborn = true
	}
}

func amidExit(_ host, b body, p *fakehost.Proc) {
	if b.sort == check {
		p.Exiting, p.Threads = true, 1
	}
}

// answering gives the master a CLI that tells the truth.
func answering(h host, b body, p *fakehost.Proc) {
	if b.sort == stranger {
		return
	}
	p.Args = append(p.Args, "-S", "/run/haproxy.sock")
	if b.sort != master {
		return
	}
	p.CLI = map[string]string{}
	rows := fmt.Sprintf("#<PID>          <type>          <reloads>       <uptime>        <version>      \n%-15d master          0               0d01h00m00s     2.6.12\n# workers\n", b.pid)
	for _, w := range h.bodies {
		if w.sort != worker {
			continue
		}
		rows += fmt.Sprintf("%-15d worker          0               0d00h10m00s     2.6.12\n", w.pid)
		stopping := 0
		if w.told {
			stopping = 1
		}
		p.CLI[fmt.Sprintf("@!%d show info", w.pid)] = fmt.Sprintf("Name: HAProxy\nPid: %d\nStopping: %d\nCurrConns: 7\n\n", w.pid, stopping)
	}
	p.CLI["show proc"] = rows + "\n"
}

// varied gives each worker threads, and what is no listener of its own: sockets of a log and of a
// resolver, one that a socket unit passed and nobody uses, connections to servers;
// and its clients have finished sending.
func varied(_ host, b body, p *fakehost.Proc) {
	if b.sort != worker {
		return
	}
	for i := range p.Sockets {
		if p.Sockets[i].State == unix.BPF_TCP_ESTABLISHED {
			p.Sockets[i].State = unix.BPF_TCP_CLOSE_WAIT
		}
	}
	p.Threads = 3
	passed, source := fakehost.Listen(7004), fakehost.Server(10000+b.pid)
	passed.Blocking, source.ReuseAddr = true, true
	p.Sockets = append(p.Sockets, passed, source, fakehost.Server(41000+b.pid), fakehost.UDP(40000+b.pid), fakehost.Resolver(42000+b.pid))
}

// contained puts all into namespaces of their own.
func contained(_ host, _ body, p *fakehost.Proc) { p.PIDNS, p.NetNS = 7, 8 }

// another is a second instance, with a residual process of its own.
func another(k *kernel) {
	s := fakehost.NewService(k.World, "edge", 500, ticks(50*time.Minute))
	s.Worker(501, ticks(49*time.Minute), nil, fakehost.Client(22, 1, time.Minute))
	s.Worker(502, ticks(30*time.Minute), []int{501}, fakehost.Listen(22))
	k.beside = map[int]bool{501: true}
}

// secondMaster is a service whose master was replaced (haproxy -D -W -sf), with the
// old worker of the first.
func secondMaster(k *kernel) {
	first := fakehost.NewService(k.World, "edge", 500, ticks(50*time.Minute))
	first.Worker(501, ticks(49*time.Minute), nil, fakehost.Client(22, 1, time.Minute))
	second := fakehost.NewService(k.World, "edge", 600, ticks(30*time.Minute))
	second.Master.Args = append(second.Master.Args, "-sf", "500")
	second.Worker(601, ticks(30*time.Minute), []int{500}, fakehost.Listen(22))
	k.beside = map[int]bool{501: true}
}

// sameArguments is two daemon services of one file, by an environment variable. 501
// was told by 502. The operator told 511, which no list names.
func sameArguments(k *kernel) {
	const config = "/etc/edge.cfg"
	fakehost.Daemon(k.World, config, 501, ticks(50*time.Minute), nil, fakehost.Client(22, 1, time.Minute))
	fakehost.Daemon(k.World, config, 511, ticks(48*time.Minute), nil, fakehost.Client(23, 1, time.Minute))
	fakehost.Daemon(k.World, config, 502, ticks(30*time.Minute), []int{501}, fakehost.Listen(22))
	k.beside = map[int]bool{501: true}
}

// forgotten is a daemon whose namer 502 has left, and whose clients came by an
// address that is gone.
func forgotten(k *kernel) {
	const config = "/etc/edge.cfg"
	fakehost.Daemon(k.World, config, 501, ticks(50*time.Minute), nil, fakehost.Client(23, 1, time.Minute))
	fakehost.Daemon(k.World, config, 503, ticks(30*time.Minute), []int{502}, fakehost.Listen(22))
	k.beside = map[int]bool{501: true}
}

// remembered is what an earlier pass saw of forgotten's daemon.
var remembered = judge.Memory{
	inspect.ProcID{PID: 501, StartTicks: ticks(50 * time.Minute)}: {
		Told: true, Superseded: 20 * time.Minute, Heir: judge.Heir{ProcID: inspect.ProcID{PID: 502, StartTicks: ticks(40 * time.Minute)}, NSPID: 502},
	},
}
