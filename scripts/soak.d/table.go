package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/scripts/measured"
)

// row is one line of the table: what happened, and how it was judged.
type row struct {
	seen
	tally
}

// row sums up the services that fit, in one part.
func (r *run) row(part int, tallies []tally, fit func(c int) bool) (sum row) {
	for c := range r.cells {
		if !fit(c) {
			continue
		}
		s := r.seen[part][c]
		sum.reloads += s.reloads
		sum.connections += s.connections
		sum.failed += s.failed
		sum.missed += s.missed
		sum.cut += s.cut
		sum.add(tallies[c])
	}
	return sum
}

// report prints the table and what is to be said about it, and fails t where the
// agent or the soak itself is not as it must be.
func (r *run) report(t *tester, w io.Writer) {
	tallies := r.tallies()
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(w, "%s, %s in all; deadline %v, %v allowed after it, %v where it drains.\n\n",
		measured.Here(), time.Since(r.began).Round(time.Second), r.deadline, r.allowance, r.allowance+drained)

	heading := []string{"HAProxy", "run as", "reloads", "connections", "failed", "of them alone", "residual", "terminated", "killed", "left", "overdue", "latest", "wrong"}
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(heading, " | "), strings.Repeat(" --- |", 2)+strings.Repeat(" ---: |", len(heading)-2))
	withAgent := func(fit func(int) bool) row {
		sum := r.row(partTimer, tallies[partTimer], fit)
		more := r.row(partServe, tallies[partServe], fit)
		sum.reloads += more.reloads
		sum.connections += more.connections
		sum.failed += more.failed
		sum.missed += more.missed
		sum.cut += more.cut
		sum.add(more.tally)
		return sum
	}
	line := func(release, kind string, sum row, alone string) {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %d | %s | %d | %d | %d | %d | %d | %.1fs | %d |\n", release, kind,
			measured.Thousands(sum.reloads), measured.Thousands(sum.connections), sum.failed, alone,
			sum.residual, sum.terminated, sum.killed, sum.left, sum.overdue, sum.latest.Seconds(), len(sum.wrong))
	}
	var notes []string
	blamed := 0
	for i, c := range r.cells {
		one := func(k int) bool { return k == i }
		sum, alone := withAgent(one), r.seen[partAlone][i]
		line(c.release(), c.kind, sum, fmt.Sprintf("%d of %s", alone.failed, measured.Thousands(alone.connections)))
		notes = append(notes, r.explain(sum.late, c.unit())...)
		switch {
		case sum.failed == 0:
		case alone.failed > 0:
			notes = append(notes, fmt.Sprintf("%s %s: HAProxy alone loses connections too.", c.release(), c.kind))
		default:
			if n := r.lostHandovers(c); n > 0 {
				notes = append(notes, fmt.Sprintf("%s %s: HAProxy says that it did not hand over its listeners, %d times.", c.release(), c.kind, n))
				break
			}
			blamed += sum.failed
		}
	}
	every := func(int) bool { return true }
	total, alone := withAgent(every), r.row(partAlone, tallies[partAlone], every)
	line("**all**", "", total, fmt.Sprintf("%d of %s", alone.failed, measured.Thousands(alone.connections)))
	fmt.Fprintf(w, "\n%s connections were due and not made, for want of CPU. %s held ones were cut with their residual processes, %s of them by draining. The agent was ended by SIGKILL %d times, and was started %s times in all; %d residual processes were wedged by SIGSTOP.\n",
		measured.Thousands(total.missed), measured.Thousands(total.cut), measured.Thousands(total.drained), r.kills, measured.Thousands(r.ledger.agentStarts()), r.wedged)
	if r.settings.hostile {
		fmt.Fprintln(w, hostileWords(r.played))
	}
	for _, part := range []int{partAlone, partTimer, partServe} {
		for _, text := range slices.Sorted(maps.Keys(r.errors(part))) {
			fmt.Fprintf(w, "%s: %d times %s.\n", partNames[part], r.errors(part)[text], text)
		}
		for _, tally := range tallies[part] {
			for _, what := range tally.wrong[:min(len(tally.wrong), 5)] {
				fmt.Fprintf(w, "%s: WRONG: %s\n", partNames[part], what)
			}
		}
	}
	for _, note := range notes {
		fmt.Fprintln(w, note)
	}
	for text, n := range r.refused {
		fmt.Fprintf(w, "%d reloads were refused: %s\n", n, text)
	}
	control := r.row(partNaive, tallies[partNaive], every)
	fmt.Fprintf(w, "The naive rule in its place, in %s reloads and %s connections: %d processes wrongly ended, %s connections failed.\n",
		measured.Thousands(control.reloads), measured.Thousands(control.connections), len(control.wrong), measured.Thousands(control.failed))
	for _, what := range control.wrong[:min(3, len(control.wrong))] {
		fmt.Fprintf(w, "    %s\n", what)
	}

	switch {
	case r.ledger.lostEvents() != nil:
		t.Error("the judge is blind:", r.ledger.lostEvents())
	case len(alone.wrong) > 0:
		t.Error("HAProxy alone is judged to be wrong: the judge is")
	case total.terminated == 0 || total.drained == 0 || r.kills == 0:
		t.Error("nothing was terminated, or drained, or the agent was never killed: this shows nothing")
	case len(r.rules) == numParts && len(control.wrong) == 0:
		t.Error("the naive rule was not found out: this shows nothing")
	}
	for _, trick := range tricks {
		if r.settings.hostile && r.duration >= 2*time.Minute && r.played[trick.name] == 0 {
			t.Error("the hostile account had no time for", trick.name)
		}
	}
	if n := r.played[visited]; n > 0 {
		t.Errorf("the agent connected %d times to what a stranger named", n)
	}
	if total.missed > total.connections/4 {
		fmt.Fprintln(w, "The machine was too busy for this load: what timed out, or left late, says little about the agent.")
	}
	if blamed > 0 || len(total.wrong) > 0 || total.overdue > 0 {
		t.Errorf("%d connections failed where HAProxy alone loses none, %d processes were wrongly ended, %d left too late", blamed, len(total.wrong), total.overdue)
	}
}
