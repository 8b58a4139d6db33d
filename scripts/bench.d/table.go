package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/scripts/measured"
)

// sayer shows how far the bench is, on one line of a terminal and not at all
// elsewhere.
func sayer() func(string) {
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err != nil {
		return func(string) {}
	}
	began := time.Now()
	return func(text string) {
		if text != "" {
			text = fmt.Sprintf("%4.0fs  %s", time.Since(began).Seconds(), text)
		}
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
	}
}

// write prints the tables as Markdown, ready for scripts/README.md.
func write(w io.Writer, s settings, rows []row, l listed) {
	fmt.Fprintf(w, "%s, HAProxy %s; medians of up to %d runs in turns.\n\n", measured.Here(), measured.HAProxy(), s.rounds)
	writeWays(w, rows)
	fmt.Fprintln(w)
	writeAgent(w, s, rows)
	fmt.Fprintln(w)
	if r := find(rows, 200_000, 1000); r != nil {
		fmt.Fprintf(w, "At 200,000 sockets and 1,000 clients, with nothing due, serve takes %s of CPU for each pass and scrape: %.2f %% of one core every %v.\n",
			milliseconds(r.serve), 100*r.serve.Seconds()/shippedEvery.Seconds(), shippedEvery)
	}
	var most int64
	for _, r := range rows {
		most = max(most, r.by[agentName].rss())
	}
	fmt.Fprintf(w, "The agent holds %.1f MiB of memory at the most.\n", float64(most)/1024)
	fmt.Fprintf(w, "Among %s further processes a look takes %s of CPU more.\n\n", measured.Thousands(s.processes), milliseconds(l.many.cpu()-l.few.cpu()))
}

// writeWays compares the ways, a column for each number of sockets: CPU, how
// many times the agent's that is, and memory.
func writeWays(w io.Writer, rows []row) {
	var shown []row
	fmt.Fprint(w, "| CPU, peak memory |")
	for _, r := range rows {
		if len(r.by) > ours { // all of them were run there
			shown = append(shown, r)
			fmt.Fprintf(w, " %s sockets, %s clients |", measured.Thousands(r.sockets), measured.Thousands(r.clients))
		}
	}
	fmt.Fprintf(w, "\n| --- |%s\n", strings.Repeat(" --- |", len(shown)))
	for i, way := range contenders {
		fmt.Fprintf(w, "| %s |", way.name)
		for _, r := range shown {
			c, agent := r.by[way.name], r.by[agentName].cpu()
			switch {
			case len(c) == 0:
				fmt.Fprint(w, " not run |")
			case i < ours:
				fmt.Fprintf(w, " **%s**, %s |", milliseconds(c.cpu()), r.memory(c))
			default:
				fmt.Fprintf(w, " %s (%s), %s |", milliseconds(c.cpu()), times(c.cpu(), agent), r.memory(c))
			}
		}
		fmt.Fprintln(w)
	}
}

// memory is what some runs held at the most. The kernel counts the bench's own
// memory from before the execve(2) in, so less than the least cannot be told.
func (r *row) memory(c costs) string {
	text := fmt.Sprintf("%.0f MiB", float64(c.rss())/1024)
	if least := min(r.by[nothingName].rss(), r.by[emptyName].rss()); c.rss() <= least+512 {
		return "<= " + text
	}
	return text
}

// writeAgent is what the agent costs, by the connections of the residual process
// and the sockets of the host, and how many times the floor that is.
func writeAgent(w io.Writer, s settings, rows []row) {
	fmt.Fprint(w, "| CPU of a pass, above the floor |")
	for _, sockets := range s.scales {
		fmt.Fprintf(w, " %s sockets |", measured.Thousands(sockets))
	}
	fmt.Fprintf(w, "\n| --- |%s\n", strings.Repeat(" ---: |", len(s.scales)))
	for _, clients := range s.clients {
		fmt.Fprintf(w, "| %s clients |", measured.Thousands(clients))
		for _, sockets := range s.scales {
			cell := ""
			if r := find(rows, sockets, clients); r != nil {
				cell = fmt.Sprintf("%s (%.2fx)", milliseconds(r.by[agentName].cpu()), r.aboveFloor())
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		fmt.Fprintln(w)
	}
}

func find(rows []row, sockets, clients int) *row {
	for i := range rows {
		if rows[i].sockets == sockets && rows[i].clients == clients {
			return &rows[i]
		}
	}
	return nil
}

// aboveFloor is the agent's CPU above a Go program that does nothing, as a
// multiple of that of its scans in C, above a C program that does nothing.
func (r *row) aboveFloor() float64 {
	above := func(one, other string) float64 { return (r.by[one].cpu() - r.by[other].cpu()).Seconds() }
	return above(agentName, nothingName) / above(floorName, emptyName)
}

// aim is a number that is meant to stay below a limit, on every machine.
type aim struct {
	what       string
	got, limit float64
	note       string // what it comes from
}

// aims are those that the rows tell of. How much the agent costs above its floor
// is judged where there is most to scan: elsewhere it is the start of a process.
func aims(rows []row) []aim {
	last := rows[len(rows)-1]
	return []aim{{
		what:  fmt.Sprintf("the CPU of a dry run above that of a Go program that does nothing, as a multiple of its two scans in C, at %s clients", measured.Thousands(last.clients)),
		got:   last.aboveFloor(),
		limit: 2,
		note:  fmt.Sprintf("%s and %s", milliseconds(last.by[agentName].cpu()-last.by[nothingName].cpu()), milliseconds(last.by[floorName].cpu()-last.by[emptyName].cpu())),
	}}
}

// judge prints the aims. Its error is that one of them is missed.
func judge(w io.Writer, list []aim) error {
	missed := 0
	fmt.Fprintln(w, "| aim | at most | measured |\n| --- | ---: | --- |")
	for _, a := range list {
		got := fmt.Sprintf("%.2f", a.got)
		if a.note != "" {
			got += " (" + a.note + ")"
		}
		if a.got > a.limit {
			got = "**missed**: " + got
			missed++
		}
		fmt.Fprintf(w, "| %s | %g | %s |\n", a.what, a.limit, got)
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d aims are missed", missed, len(list))
	}
	return nil
}

func milliseconds(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func times(a, b time.Duration) string {
	if b <= 0 {
		return "-"
	}
	switch ratio := float64(a) / float64(b); {
	case ratio >= 100:
		return fmt.Sprintf("%.0fx", ratio)
	case ratio >= 10:
		return fmt.Sprintf("%.1fx", ratio)
	default:
		return fmt.Sprintf("%.2fx", ratio)
	}
}
