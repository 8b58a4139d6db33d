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

// write prints the tables as Markdown, ready for the README.
func write(w io.Writer, s settings, rows []row, l listed) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, HAProxy %s; medians of up to %d runs in turns.\n\n", measured.Here(), measured.HAProxy(), s.rounds)

	writeWays(&b, s, rows)
	fmt.Fprintln(&b)
	writeAgent(&b, s, rows)
	fmt.Fprintln(&b)
	for _, line := range aims(s, rows, l) {
		fmt.Fprintln(&b, "- "+line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeWays compares the ways, a column for each number of sockets: CPU, how
// many times the agent's that is, and memory.
func writeWays(b *strings.Builder, s settings, rows []row) {
	var shown []row
	fmt.Fprint(b, "| CPU, peak memory |")
	for _, r := range rows {
		if len(r.by) > 2 { // all of them were run there
			shown = append(shown, r)
			fmt.Fprintf(b, " %s sockets, %s clients |", measured.Thousands(r.sockets), measured.Thousands(r.clients))
		}
	}
	fmt.Fprintf(b, "\n| --- |%s\n", strings.Repeat(" --- |", len(shown)))
	for _, way := range contenders {
		fmt.Fprintf(b, "| %s |", way.name)
		for _, r := range shown {
			c, agent := r.by[way.name], r.by[agentName].cpu()
			switch {
			case len(c) == 0:
				fmt.Fprint(b, " not run |")
			case way.name == agentName || way.name == nothingName:
				fmt.Fprintf(b, " **%s**, %.0f MiB |", milliseconds(c.cpu()), float64(c.rss())/1024)
			default:
				fmt.Fprintf(b, " %s (%s), %.0f MiB |", milliseconds(c.cpu()), times(c.cpu(), agent), float64(c.rss())/1024)
			}
		}
		fmt.Fprintln(b)
	}
}

// writeAgent is what the agent costs, by the connections of the residual process
// and the sockets of the host.
func writeAgent(b *strings.Builder, s settings, rows []row) {
	fmt.Fprint(b, "| CPU of a pass |")
	for _, sockets := range s.scales {
		fmt.Fprintf(b, " %s sockets |", measured.Thousands(sockets))
	}
	fmt.Fprintf(b, "\n| --- |%s\n", strings.Repeat(" ---: |", len(s.scales)))
	for _, clients := range s.clients {
		fmt.Fprintf(b, "| %s clients |", measured.Thousands(clients))
		for _, sockets := range s.scales {
			cell := ""
			if r := find(rows, sockets, clients); r != nil {
				cell = milliseconds(r.by[agentName].cpu())
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		fmt.Fprintln(b)
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

// aims are what the agent is meant to keep, with what was measured.
func aims(s settings, rows []row, l listed) []string {
	var lines []string
	if r := find(rows, 200_000, 1000); r != nil {
		agent, nothing := r.by[agentName].cpu(), r.by[nothingName].cpu()
		if netstat := r.by[netstatName]; len(netstat) > 0 {
			lines = append(lines, fmt.Sprintf("At 200,000 sockets and 1,000 clients: %.0f times less CPU than by netstat (aim: 1,000).", float64(netstat.cpu())/float64(agent)))
		}
		lines = append(lines,
			fmt.Sprintf("There, %s of CPU above a Go program that does nothing (aim: 20 ms).", milliseconds(agent-nothing)),
			fmt.Sprintf("There, serve takes %s of CPU for each pass and scrape while nothing is due: %.3f %% of one core every %v (aim: 0.1).",
				milliseconds(r.serve), 100*r.serve.Seconds()/shippedEvery.Seconds(), shippedEvery))
		if few, many := find(rows, 200_000, 10), find(rows, 200_000, 9000); few != nil && many != nil {
			// Two descriptors a client, two looks.
			per := float64(many.by[agentName].cpu()-few.by[agentName].cpu()) / float64(2*2*(9000-10))
			lines = append(lines, fmt.Sprintf("%.1f us of CPU for each descriptor of a residual process and look (aim: 2.5).", per/float64(time.Microsecond)))
		}
	}
	if few, many := find(rows, 20_000, 1000), find(rows, 1_000_000, 1000); few != nil && many != nil {
		lines = append(lines, fmt.Sprintf("From 20,000 to 1,000,000 sockets: %s the CPU (aim: 1.2).", times(many.by[agentName].cpu(), few.by[agentName].cpu())))
	}
	var most int64
	for _, r := range rows {
		most = max(most, r.by[agentName].rss())
	}
	return append(lines,
		fmt.Sprintf("%.1f MiB of memory at the most (aim: 16).", float64(most)/1024),
		fmt.Sprintf("%s of CPU and %s of time more for a listing among %s further processes (aim: 100 ms).",
			milliseconds(l.many.cpu()-l.few.cpu()), milliseconds(l.many.wall()-l.few.wall()), measured.Thousands(s.processes)))
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
