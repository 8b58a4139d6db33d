package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// way is one to be rid of an old worker.
type way struct {
	name    string
	global  string   // of HAProxy's configuration
	args    []string // of the agent; none where HAProxy does it by itself
	drained bool
}

func ways(s settings) []way {
	rate := strconv.FormatFloat(s.rate, 'f', -1, 64)
	// Settings of this machine are not for it.
	reap := []string{"reap", "--config", os.DevNull, "--yes", "--deadline", "0s", "--state-dir", filepath.Join(s.dir, "state"), "-o", "none", "--log.level", "warn"}
	return []way{
		{name: "SIGTERM at the deadline", args: reap},
		{name: "hard-stop-after", global: "hard-stop-after 3s"},
		{name: "--drain-rate " + rate, args: append(slices.Clone(reap), "--drain-rate", rate), drained: true},
	}
}

// outcome is what the clients went through.
type outcome struct {
	way
	*herd
	took time.Duration // from the first that was cut off to the last that is back
}

// run makes an old worker with all clients, is rid of it this way, and waits
// until all are back.
func (w way) run(ctx context.Context, s settings) (outcome, error) {
	o := outcome{way: w, herd: &herd{}}
	svc, err := startService(s.dir, s.clients, w.global)
	if err != nil {
		return o, err
	}
	defer svc.stop()
	o.address = svc.address

	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	progress := newProgress(w.name)
	defer progress.end()
	for n := range s.clients {
		wg.Go(func() { o.graze(ctx) })
		// Not all in one instant: this is not what is measured.
		if err := until(ctx, "the clients are connected", func() bool {
			connected, _ := o.connectedNow()
			progress.say("%d clients connected", connected)
			return n-connected < 50 && (n < s.clients-1 || connected == s.clients)
		}); err != nil {
			return o, fmt.Errorf("%w; HAProxy says: %s", err, bytes.TrimSpace(svc.log.Bytes()))
		}
	}
	if err := svc.reload(ctx); err != nil {
		return o, err
	}
	wg.Go(func() { o.passBy(ctx) })
	if len(w.args) > 0 {
		wg.Go(func() {
			agent := exec.CommandContext(ctx, s.agent, w.args...)
			agent.Stderr = os.Stderr
			if err := agent.Run(); err != nil && ctx.Err() == nil {
				progress.say("the agent: %v", err)
			}
		})
	}
	err = until(ctx, "all clients are back", func() bool {
		_, back := o.connectedNow()
		progress.say("%d clients are back", back)
		return back >= s.clients
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.cuts) > 0 {
		o.took = time.Since(o.cuts[0])
	}
	return o, err
}

// bin is the width of what is drawn, and the step in which a second's window moves.
const bin = 100 * time.Millisecond

// bins are the tries since the first cut.
func (o *outcome) bins() []int {
	counts := []int{}
	for _, at := range o.tries {
		n := int(at.Sub(o.cuts[0]) / bin)
		for len(counts) <= n {
			counts = append(counts, 0)
		}
		counts[n]++
	}
	return counts
}

// peak is the most tries within a second.
func (o *outcome) peak() int {
	const window = int(time.Second / bin)
	counts, sum, most := o.bins(), 0, 0
	for i, n := range counts {
		sum += n
		if i >= window {
			sum -= counts[i-window]
		}
		most = max(most, sum)
	}
	return most
}
