package main

import (
	"fmt"
	"strings"
)

// lostHandovers counts, by service, how often HAProxy itself said that a new
// process did not get the listening sockets of the old one: it asks for a second
// at the most, and on a starved machine that is too short. It then binds sockets
// of its own, and clients that waited on the old ones are turned away. No agent
// has a part in it.
func (r *run) lostHandovers() []int {
	counts := make([]int, len(r.cells))
	for i, c := range r.cells {
		counts[i] = lostHandovers(r.m.Must("journalctl", "--no-pager", "--output=cat", "--unit="+c.unit()))
	}
	return counts
}

// The words are the same from 2.2 to 3.4.
func lostHandovers(journal string) (n int) {
	for line := range strings.Lines(journal) {
		if strings.Contains(line, "Failed to get the sockets from the old process") || strings.Contains(line, "Failed to connect to the old process socket") {
			n++
		}
	}
	return n
}

// explain is what the agent itself said about processes that left too late.
func (r *run) explain(late []*worker, unit string) (lines []string) {
	if len(late) == 0 {
		return nil
	}
	journal := r.m.Must("journalctl", "--no-pager", "--output=short-monotonic", "--unit="+agentUnits[0], "--unit="+agentUnits[1])
	for _, w := range late {
		lines = append(lines, fmt.Sprintf("%s: process %d (%d) was superseded %.1fs after the start of the machine's host, and left too late; the agent on it:", unit, w.pid, w.inner, w.started.Seconds()))
		for line := range strings.Lines(journal) {
			if strings.Contains(line, "instance="+unit) && (strings.Contains(line, "msg=refused") || strings.Contains(line, fmt.Sprintf("pid=%d ", w.inner))) {
				lines = append(lines, "    "+strings.TrimSpace(line))
			}
		}
	}
	return lines
}
