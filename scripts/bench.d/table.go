package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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
	fmt.Fprintf(&b, "%s, %d cores, %s, %s, HAProxy %s; medians of up to %d runs in turns.\n\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), kernel(), runtime.Version(), haproxy(), s.rounds)

	fmt.Fprintln(&b, "| sockets on the host | clients of the residual | way to look | CPU | of the agent's | wall | peak RSS |")
	fmt.Fprintln(&b, "| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
	for _, r := range rows {
		agent := r.by[agentName].cpu()
		for _, way := range contenders {
			c := r.by[way.name]
			if len(c) == 0 {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %.1f MiB |\n", thousands(r.sockets), thousands(r.clients), way.name,
				milliseconds(c.cpu()), times(c.cpu(), agent), milliseconds(c.wall()), float64(c.rss())/1024)
		}
	}
	fmt.Fprintln(&b)
	for _, line := range aims(s, rows, l) {
		fmt.Fprintln(&b, "- "+line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// aims are what the agent is meant to keep, with what was measured.
func aims(s settings, rows []row, l listed) []string {
	var lines []string
	at := func(sockets, clients int) *row {
		for i := range rows {
			if rows[i].sockets == sockets && rows[i].clients == clients {
				return &rows[i]
			}
		}
		return nil
	}
	if r := at(200_000, 1000); r != nil {
		agent, nothing := r.by[agentName].cpu(), r.by[nothingName].cpu()
		if netstat := r.by[netstatName]; len(netstat) > 0 {
			lines = append(lines, fmt.Sprintf("At 200,000 sockets and 1,000 clients: %.0f times less CPU than by netstat (aim: 1,000).", float64(netstat.cpu())/float64(agent)))
		}
		lines = append(lines, fmt.Sprintf("There, %s of CPU above a Go program that does nothing (aim: 20 ms).", milliseconds(agent-nothing)))
		if few, many := at(200_000, 10), at(200_000, 9000); few != nil && many != nil {
			// Two descriptors a client, two looks.
			per := float64(many.by[agentName].cpu()-few.by[agentName].cpu()) / float64(2*2*(9000-10))
			lines = append(lines, fmt.Sprintf("%.1f us of CPU for each descriptor of a residual process and look (aim: 2.5).", per/float64(time.Microsecond)))
		}
	}
	if few, many := at(20_000, 1000), at(1_000_000, 1000); few != nil && many != nil {
		lines = append(lines, fmt.Sprintf("From 20,000 to 1,000,000 sockets: %s the CPU (aim: 1.2).", times(many.by[agentName].cpu(), few.by[agentName].cpu())))
	}
	var most int64
	for _, r := range rows {
		most = max(most, r.by[agentName].rss())
	}
	return append(lines,
		fmt.Sprintf("%.1f MiB of memory at the most (aim: 16).", float64(most)/1024),
		fmt.Sprintf("%s of CPU and %s of time more for a listing among %s further processes (aim: 100 ms).",
			milliseconds(l.many.cpu()-l.few.cpu()), milliseconds(l.many.wall()-l.few.wall()), thousands(s.processes)))
}

func milliseconds(d time.Duration) string {
	if d >= 10*time.Second {
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
	release := unix.ByteSliceToString(u.Release[:])
	release, _, _ = strings.Cut(release, "-")
	return "Linux " + release
}

func haproxy() string {
	out, err := exec.Command("haproxy", "-v").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 3 {
		return "of an unknown version"
	}
	version, _, _ := strings.Cut(words[2], "-")
	return version
}
