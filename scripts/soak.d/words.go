package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// lostHandovers counts how often HAProxy itself said that a new process did not
// get the listening sockets of the old one: it asks for a second at the most, and
// on a starved machine that is too short. It then binds sockets of its own, and
// clients that waited on the old ones are turned away. No agent has a part in it.
func (r *run) lostHandovers(c cell) int {
	return lostHandovers(r.m.Must("journalctl", "--no-pager", "--output=cat", "--unit="+c.unit()))
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

// explain is what the agent itself said while a process stayed too long.
func (r *run) explain(all []late, unit string) (lines []string) {
	if len(all) == 0 {
		return nil
	}
	journal := r.m.Must("journalctl", "--no-pager", "--output=short-monotonic", "--unit="+agentUnits[0], "--unit="+agentUnits[1])
	for _, l := range all {
		lines = append(lines, fmt.Sprintf("%s: process %d (%d in the machine) left %.1fs after its deadline. The agent meanwhile:", unit, l.pid, l.inner, (l.until-l.due).Seconds()))
		lines = append(lines, during(journal, unit, l.due, l.until)...)
	}
	return lines
}

// during are the lines of the agent's journal in that time, 40 at the most, that
// are of a service, or of no service at all: when it was started, and ended.
func during(journal, service string, from, to time.Duration) (lines []string) {
	for line := range strings.Lines(journal) {
		// "[17363.123456] host unit[pid]: text"
		stamp, text, _ := strings.Cut(strings.TrimPrefix(line, "["), "]")
		seconds, err := strconv.ParseFloat(strings.TrimSpace(stamp), 64)
		others := strings.Contains(text, " instance=") && !strings.Contains(text, " instance="+service+" ")
		if at := time.Duration(seconds * float64(time.Second)); err == nil && !others && from <= at && at <= to && len(lines) < 40 {
			lines = append(lines, fmt.Sprintf("    %+.1fs%s", (at-from).Seconds(), strings.TrimRight(text, "\n")))
		}
	}
	return lines
}
