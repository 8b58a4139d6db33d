package main

import (
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func printRuns(w io.Writer, s settings, runs []outcome) {
	fmt.Fprintf(w, "%s, %d cores, %s, %s, %s; %d clients over TLS.\n\n", time.Now().Format(time.DateOnly),
		runtime.NumCPU(), kernel(), runtime.Version(), haproxy(), s.clients)
	fmt.Fprintln(w, "| old worker ended by | reconnects in the worst second | connections failed | slowest new client | all back after |")
	fmt.Fprintln(w, "| --- | ---: | ---: | ---: | ---: |")
	for _, o := range runs {
		fmt.Fprintf(w, "| %s | %d | %d | %s | %.1f s |\n", o.name, o.peak(), o.failed, o.slowest.Round(time.Millisecond), o.took.Seconds())
	}
}

func printFleets(w io.Writer, fleets []fleet) {
	fmt.Fprintf(w, "\nSimulated: every host is reloaded in the same second, %d clients on each old worker; reconnects in the worst second, and for how long they come.\n\n| |", hostClients)
	for _, hosts := range fleetSizes {
		fmt.Fprintf(w, " %s hosts |", thousands(hosts))
	}
	fmt.Fprintf(w, "\n| --- |%s\n", strings.Repeat(" ---: |", len(fleetSizes)))
	for i, m := range manners {
		fmt.Fprintf(w, "| %s |", m.name)
		for j := range fleetSizes {
			most, lasts := fleets[j*len(manners)+i].peak()
			fmt.Fprintf(w, " %s, %s |", thousands(most), time.Duration(lasts)*time.Second)
		}
		fmt.Fprintln(w)
	}
}

func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "Linux"
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return "Linux " + release
}

// haproxy is its version.
func haproxy() string {
	out, _ := exec.Command("haproxy", "-v").Output()
	words := strings.Fields(string(out))
	if len(words) < 3 {
		return "HAProxy"
	}
	version, _, _ := strings.Cut(words[2], "-")
	return "HAProxy " + version
}
