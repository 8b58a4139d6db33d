package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/scripts/measured"
)

// growth is what a dry run costs at few sockets and at many, by turns.
type growth struct {
	few, many int
	limit     float64 // of the ratio
	clients   int     // of each residual process
	cycles    int     // times that the sockets come and go
	batches   int     // of dry runs, at few and at many, in each cycle
	apart     bool    // HAProxy and all sockets are in another network namespace, TCP and UDP

	costs [2][]time.Duration // the medians of each cycle, at few and at many
	rss   int64              // KiB, the most that a dry run had at many
}

// atOnce is how many dry runs make a batch: each waits for a second between its
// two looks, and costs nothing in that time.
const atOnce = 4

// measure lets three services leave a residual process each, so that all ways to
// look at one are gone: with a master CLI, without one, and in another network
// namespace. Then it lets the other sockets of the host come and go, half of them
// in that namespace. What else the machine does hits both sides of a cycle alike.
// Where all is apart, there is only what is in that namespace.
func (g *growth) measure(ctx context.Context, s settings, say func(string)) error {
	apart, err := newNetwork(ctx)
	if err != nil {
		return err
	}
	defer apart.end()
	services, networks, kinds := []service{{}, {daemon: true}, {network: apart}}, []network{{}, apart}, []string{"tcp4"}
	if g.apart {
		services, networks, kinds = services[2:], networks[1:], []string{"udp", "tcp4", "tcp6"}
	}
	var pids []string
	for i, one := range services {
		one.dir, one.port, one.clients = filepath.Join(s.dir, "service"+strconv.Itoa(i)), 8000+10*i, g.clients
		up, err := startService(ctx, one)
		if err != nil {
			return err
		}
		defer up.stop()
		pids = append(pids, up.residual)
	}
	base := &filler{networks: networks, kinds: kinds}
	defer base.stop()
	if err := base.grow(ctx, g.few-4*g.clients*len(pids), func(int) {}); err != nil {
		return err
	}
	if err := g.batch(ctx, s, pids, nil); err != nil { // to warm the caches
		return err
	}
	for cycle := range g.cycles {
		say(fmt.Sprintf("cycle %d of %d: %d sockets", cycle+1, g.cycles, g.few))
		if err := g.side(ctx, s, pids, 0); err != nil {
			return err
		}
		rest := &filler{networks: networks, kinds: kinds}
		err := rest.grow(ctx, g.many-g.few, func(n int) {
			say(fmt.Sprintf("cycle %d of %d: filling up, %d of %d sockets", cycle+1, g.cycles, g.few+n, g.many))
		})
		if err == nil {
			err = g.side(ctx, s, pids, 1)
		}
		rest.stop()
		if err != nil {
			return err
		}
	}
	say("")
	return nil
}

// side measures one side of a cycle: 0 is that of few sockets, 1 that of many.
func (g *growth) side(ctx context.Context, s settings, pids []string, which int) error {
	var all costs
	for range g.batches {
		if err := g.batch(ctx, s, pids, &all); err != nil {
			return err
		}
	}
	g.costs[which] = append(g.costs[which], all.cpu())
	if which == 1 {
		g.rss = max(g.rss, all.rss())
	}
	return nil
}

// batch runs several dry runs at once, and adds what each cost.
func (g *growth) batch(ctx context.Context, s settings, pids []string, add *costs) error {
	var list [atOnce]cost
	var errs [atOnce]error
	var wg sync.WaitGroup
	for i := range atOnce {
		one := s
		one.dir = filepath.Join(s.dir, "run"+strconv.Itoa(i)) // its own state
		wg.Go(func() {
			list[i], errs[i] = once(ctx, one.reap(), func(out []byte) error { return foundAll(out, pids, g.clients) })
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return err
		}
		if add != nil {
			*add = append(*add, list[i])
		}
	}
	return nil
}

// foundAll is an error where a dry run has not come to the point with each of
// some residual processes: what finds nothing is cheap.
func foundAll(report []byte, pids []string, clients int) error {
	var r struct {
		Instances []struct {
			Processes []struct {
				PID         int
				Outcome     string
				Connections struct{ Client *int }
			}
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return err
	}
	var found []string
	for _, in := range r.Instances {
		for _, p := range in.Processes {
			if p.Outcome == "dry_run" && p.Connections.Client != nil && *p.Connections.Client == clients {
				found = append(found, strconv.Itoa(p.PID))
			}
		}
	}
	for _, pid := range pids {
		if !slices.Contains(found, pid) {
			return fmt.Errorf("a dry run would not signal %s with its %d clients: %s", pid, clients, report)
		}
	}
	return nil
}

// ratio is the median of those of the cycles.
func (g *growth) ratio() float64 {
	var list []float64
	for i := range g.costs[0] {
		list = append(list, g.costs[1][i].Seconds()/g.costs[0][i].Seconds())
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// most is the memory that a dry run may have, however many sockets there are.
const most = 16 << 10 // KiB

// missed tells whether one of the aims is.
func (g *growth) missed() bool {
	return slices.ContainsFunc(g.aims(), func(a aim) bool { return a.got > a.limit })
}

func (g *growth) aims() []aim {
	middle := func(list []time.Duration) time.Duration {
		sorted := slices.Sorted(slices.Values(list))
		return sorted[len(sorted)/2]
	}
	where := ""
	if g.apart {
		where = " of UDP and TCP in HAProxy's own network namespace"
	}
	return []aim{{
		what:  fmt.Sprintf("the CPU of a dry run at %s sockets%s, as a multiple of that at %s", measured.Thousands(g.many), where, measured.Thousands(g.few)),
		got:   g.ratio(),
		limit: g.limit,
		note:  fmt.Sprintf("%s and %s; %d cycles of %d runs on each side", milliseconds(middle(g.costs[1])), milliseconds(middle(g.costs[0])), g.cycles, atOnce*g.batches),
	}, {
		what:  fmt.Sprintf("the MiB of memory of a dry run at %s sockets%s, the most of all runs", measured.Thousands(g.many), where),
		got:   float64(g.rss) / 1024,
		limit: most / 1024,
	}}
}
