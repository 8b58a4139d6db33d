package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/scripts/measured"
)

func printRuns(w io.Writer, s settings, runs []outcome) {
	fmt.Fprintf(w, "%s, HAProxy %s; %s clients over TLS.\n\n", measured.Here(), measured.HAProxy(), measured.Thousands(s.clients))
	fmt.Fprintln(w, "| old worker ended by | reconnects in the worst second | connections failed | slowest new client | all back after |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | ---: |")
	for _, o := range runs {
		fmt.Fprintf(w, "| %s | %d | %d | %s | %.1f s |\n", o.name, o.peak(), o.failed, o.slowest.Round(time.Millisecond), o.took.Seconds())
	}
}

func printFleets(w io.Writer, fleets []fleet) {
	fmt.Fprintf(w, "\nSimulated: every host is reloaded in the same second, %d clients on each old worker; reconnects in the worst second, and for how long they come.\n\n| |", hostClients)
	for _, hosts := range fleetSizes {
		fmt.Fprintf(w, " %s hosts |", measured.Thousands(hosts))
	}
	fmt.Fprintf(w, "\n| --- |%s\n", strings.Repeat(" ---: |", len(fleetSizes)))
	for i, m := range manners {
		fmt.Fprintf(w, "| %s |", m.name)
		for j := range fleetSizes {
			most, lasts := fleets[j*len(manners)+i].peak()
			fmt.Fprintf(w, " %s, %s |", measured.Thousands(most), time.Duration(lasts)*time.Second)
		}
		fmt.Fprintln(w)
	}
}
