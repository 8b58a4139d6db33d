package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// seen is what clients and storm did to one service in one part.
type seen struct {
	reloads, connections, failed, missed, cut int
	errors                                    map[string]int
}

// run is a soak under way.
type run struct {
	settings
	cells  []cell
	m      *machine.Machine
	ledger *ledger
	began  time.Time

	mu      sync.Mutex
	part    int
	rules   []rules
	seen    [numParts][]seen
	refused map[string]int // reloads that systemd says went wrong, by what it says
	kills   int            // of the agent
	played  map[string]int // what the hostile account did, and what came to its doors
	wedged  int
}

// soak runs all parts, prints the table, and fails t if anything is not as it
// must be.
func soak(ctx context.Context, t *tester, s settings) {
	all, err := cells(roots())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{settings: s, cells: all, began: time.Now(), refused: map[string]int{}, played: map[string]int{}}
	for part := range r.seen {
		r.seen[part] = make([]seen, len(all))
	}
	events, err := listenEvents()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(events) })
	r.m = boot(t, s, all)
	r.ledger = newLedger(r.m.Name, r.m.Leader(), all)
	go r.ledger.watch(events)
	t.Cleanup(r.ledger.close)
	t.Cleanup(r.ledger.release)
	start := []string{"systemctl", "start"}
	for _, c := range all {
		start = append(start, c.unit())
	}
	r.m.Must(start...)
	r.installSelf(t)
	loaded := r.startLoad(ctx, t)
	if s.hostile {
		r.startHostile(ctx, t)
	}
	endProgress := r.showProgress()
	t.Cleanup(endProgress)
	for part := range numParts {
		r.enter(part)
		r.play(ctx, part)
		if ctx.Err() != nil {
			break
		}
		select {
		case err := <-loaded:
			t.Fatal("the clients ended:", err)
		default:
		}
	}
	endProgress()
	r.ledger.close()
	r.report(t, os.Stdout)
	if ctx.Err() != nil {
		t.Fatal("interrupted")
	}
}

// soakPath is this program in the machine.
const soakPath = "/usr/bin/soak"

func (r *run) installSelf(t *tester) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	r.m.Write(soakPath, string(self), 0o755)
}

// startLoad starts the clients in the machine, and takes in what they report.
func (r *run) startLoad(ctx context.Context, t *tester) (ended <-chan error) {
	args := []string{soakPath, "load", fmt.Sprint(r.rate)}
	for _, c := range r.cells {
		args = append(args, c.address())
	}
	cmd := r.m.Command(ctx, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		var err error
		for err == nil && lines.Scan() {
			var reports []report
			if err = json.Unmarshal(lines.Bytes(), &reports); err == nil {
				r.take(reports)
			}
		}
		if ended := cmd.Wait(); err == nil {
			err = ended
		}
		done <- err
	}()
	t.Cleanup(func() { in.Close() })
	return done
}

// take takes in what the clients have seen.
func (r *run) take(reports []report) {
	for i, c := range r.cells {
		for pid, a := range reports[i].Answers {
			r.ledger.answered(c.unit(), pid, a.First, a.LastBegan)
		}
		for _, one := range reports[i].Cuts {
			r.ledger.cut(c.unit(), one)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range reports {
		s := &r.seen[r.part][i]
		s.connections += reports[i].Made
		s.failed += reports[i].Failed
		s.missed += reports[i].Missed
		s.cut += len(reports[i].Cuts)
		for text, n := range reports[i].Errors {
			if s.errors == nil {
				s.errors = map[string]int{}
			}
			s.errors[text] += n
		}
	}
}

// reloaded takes down a reload.
func (r *run) reloaded(c int, output string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.refused[fmt.Sprintf("%v: %s", err, output)]++
		return
	}
	r.seen[r.part][c].reloads++
}

// tallies are the judge's, by part and service.
func (r *run) tallies() (all [numParts][]tally) {
	r.mu.Lock()
	parts := slices.Clone(r.rules)
	r.mu.Unlock()
	for part := range all {
		all[part] = make([]tally, len(r.cells))
	}
	for i, c := range r.cells {
		for part, t := range r.ledger.judge(c.unit(), parts) {
			all[part][i] = t
		}
	}
	return all
}

// errors are what went wrong with connections in a part, by kind.
func (r *run) errors(part int) map[string]int {
	sum := map[string]int{}
	for _, s := range r.seen[part] {
		for text := range maps.Keys(s.errors) {
			sum[text] += s.errors[text]
		}
	}
	return sum
}
