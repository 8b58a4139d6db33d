package main

import "strings"

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
