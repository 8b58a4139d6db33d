package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// contender is a way to look, as a command for one residual process.
type contender struct {
	name string
	args func(s settings, residual string) []string
	// dear ones grow with the square of the sockets, and are left out above.
	upTo int
}

// agentName and nothingName are the contenders that the others are compared with.
const (
	agentName   = "`haproxy-reaper reap --dry-run`"
	nothingName = "a Go program that does nothing"
	emptyName   = "a C program that does nothing"
	floorName   = "a C program that only makes the agent's two scans"
	netstatName = "`netstat -ltpn`, and `netstat -atpn \\| grep` per residual"
)

func shell(format string, args ...any) []string {
	return []string{"sh", "-c", fmt.Sprintf(format, args...)}
}

// ours is how many of the first are measured everywhere.
const ours = 4

var contenders = []contender{
	{nothingName, func(s settings, _ string) []string { return []string{s.nothing} }, 1 << 62},
	{agentName, func(s settings, _ string) []string { return s.reap() }, 1 << 62},
	{emptyName, func(s settings, _ string) []string { return []string{s.floor} }, 1 << 62},
	{floorName, func(s settings, pid string) []string { return []string{s.floor, pid} }, 1 << 62},
	{netstatName, func(_ settings, pid string) []string {
		return shell("netstat -ltpn; netstat -atpn | grep -c -w %s/haproxy", pid)
	}, 200_000},
	{"`ss -tanp`", func(_ settings, pid string) []string { return shell("ss -tanp | grep -c pid=%s,", pid) }, 200_000},
	{"`lsof -nP -p PID -a -iTCP`", func(_ settings, pid string) []string { return shell("lsof -nP -p %s -a -iTCP | wc -l", pid) }, 1 << 62},
	{"gopsutil ConnectionsPid", func(_ settings, pid string) []string {
		self, _ := os.Executable() // it was found once, to start the parts
		return []string{self, "gopsutil", pid}
	}, 1 << 62},
}

// reap is a whole pass with everything due: two looks, the last check, a report.
func (s settings) reap() []string {
	return []string{s.agent, "reap", "--dry-run", "--deadline", "0s", "--config", "/dev/null", "--state-dir", filepath.Join(s.dir, "state"), "--output", "json"}
}

// cost is what one run of a command took.
type cost struct {
	cpu, wall time.Duration
	rss       int64 // KiB, the largest of its processes
}

// costs are those of several runs, of which the median counts.
type costs []cost

func (c costs) median(of func(cost) time.Duration) time.Duration {
	var list []time.Duration
	for _, one := range c {
		list = append(list, of(one))
	}
	slices.Sort(list)
	return list[len(list)/2]
}

func (c costs) cpu() time.Duration { return c.median(func(o cost) time.Duration { return o.cpu }) }

func (c costs) rss() (most int64) {
	for _, one := range c {
		most = max(most, one.rss)
	}
	return most
}

// once runs a command and measures it, its children included.
func once(ctx context.Context, args []string, check func(out []byte) error) (cost, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	began := time.Now()
	out, err := cmd.Output()
	wall := time.Since(began)
	if err == nil && check != nil {
		err = check(out)
	}
	if err != nil {
		return cost{}, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	state := cmd.ProcessState
	usage := state.SysUsage().(*syscall.Rusage)
	return cost{state.UserTime() + state.SystemTime(), wall, usage.Maxrss}, nil
}

// patience is how long one way may take, all its runs together, before fewer
// runs have to do.
const patience = time.Minute

// row is one line of the table: a scale, a number of clients, and what each way
// cost.
type row struct {
	sockets, clients int
	by               map[string]costs
	serve            time.Duration // CPU of serve for each of its passes
}

// compare measures the ways in turns, so that what else the machine does hits
// them alike.
func compare(ctx context.Context, s settings, sockets, clients int, ways []contender, say func(string)) (row, error) {
	service, err := startService(ctx, s.service(clients))
	if err != nil {
		return row{}, err
	}
	defer service.stop()
	r := row{sockets: sockets, clients: clients, by: map[string]costs{}}
	spent := map[string]time.Duration{}
	// Warm caches are the rule for what runs every minute.
	if _, err := once(ctx, s.reap(), nil); err != nil {
		return row{}, err
	}
	for round := range s.rounds {
		for _, way := range ways {
			if spent[way.name] > patience {
				continue
			}
			say(fmt.Sprintf("%d sockets, %d clients: round %d of %d, %s", sockets, clients, round+1, s.rounds, way.name))
			var check func([]byte) error
			if way.name == agentName {
				check = func(out []byte) error { return foundAll(out, []string{service.residual}, clients) }
			}
			c, err := once(ctx, way.args(s, service.residual), check)
			if err != nil {
				return row{}, err
			}
			r.by[way.name] = append(r.by[way.name], c)
			spent[way.name] += c.wall
		}
	}
	r.serve, err = serveCost(ctx, s, say)
	return r, err
}

// service is the one that the ways to look are compared at.
func (s settings) service(clients int) service {
	return service{dir: filepath.Join(s.dir, "service"), port: 8000, clients: clients}
}

// measureShort is the short bench. It measures once more before it fails: on a
// busy machine one measurement may be off.
func measureShort(ctx context.Context, s settings) error {
	var list []aim
	for _, g := range []growth{
		{few: 4_000, many: 100_000, limit: 1.3, clients: 100, cycles: 5, batches: 1},
		{few: 4_000, many: 100_000, limit: 1.3, clients: 100, cycles: 3, batches: 2, apart: true},
	} {
		for range 2 {
			g.costs, g.rss = [2][]time.Duration{}, 0
			if err := g.measure(ctx, s, sayer()); err != nil {
				return err
			}
			if !g.missed() {
				break
			}
		}
		list = append(list, g.aims()...)
	}
	return judge(os.Stdout, list)
}

// measure is the whole bench.
func measure(ctx context.Context, s settings) error {
	say := sayer()
	fillers := &filler{networks: []network{{}}, kinds: []string{"tcp4"}}
	defer fillers.stop()
	var rows []row
	for _, scale := range s.scales {
		if err := fillers.grow(ctx, scale-100, func(n int) { say(fmt.Sprintf("filling up: %d of %d sockets", n, scale)) }); err != nil {
			return err
		}
		for _, clients := range s.clients {
			// Each client is four sockets: its own, HAProxy's two, the backend's.
			if 4*clients > scale && clients > 10 {
				continue
			}
			var ways []contender
			for i, way := range contenders {
				// The others look at all that is there, whoever holds it.
				if i < ours || scale <= way.upTo && (clients == 1000 || scale < 4000) {
					ways = append(ways, way)
				}
			}
			r, err := compare(ctx, s, scale, clients, ways, say)
			if err != nil {
				return err
			}
			rows = append(rows, r)
		}
	}
	fillers.stop()
	list, err := listing(ctx, s, say)
	if err != nil {
		return err
	}
	write(os.Stdout, s, rows, list)
	var all []aim
	for _, g := range []growth{
		{few: 20_000, many: 1_000_000, limit: 1.2, clients: 1000, cycles: 3, batches: 3},
		{few: 5_000, many: 500_000, limit: 1.2, clients: 100, cycles: 2, batches: 4, apart: true},
	} {
		if err := g.measure(ctx, s, say); err != nil {
			return err
		}
		all = append(all, g.aims()...)
	}
	return judge(os.Stdout, append(all, aims(rows)...))
}

// listed is what finding HAProxy among many processes costs.
type listed struct{ few, many costs }

func listing(ctx context.Context, s settings, say func(string)) (l listed, err error) {
	status := []string{s.agent, "status", "--config", "/dev/null", "--state-dir", filepath.Join(s.dir, "state"), "--output", "json"}
	service, err := startService(ctx, s.service(10))
	if err != nil {
		return l, err
	}
	defer service.stop()
	several := func() (c costs, err error) {
		for range s.rounds {
			one, err := once(ctx, status, nil)
			if err != nil {
				return nil, err
			}
			c = append(c, one)
		}
		return c, nil
	}
	if l.few, err = several(); err != nil {
		return l, err
	}
	say(fmt.Sprintf("starting %d processes", s.processes))
	end, err := sleepers(ctx, s.processes)
	if err != nil {
		return l, err
	}
	defer end()
	l.many, err = several()
	return l, err
}
