package text

import (
	"fmt"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// maxClients is how many peers of a process are written out; JSON has them all.
const maxClients = 10

const clientFormat = "%-42s %7s  %8s  %-15s %10s"

// writeClients writes who holds a residual process, those with the most
// connections first. Of a process that was not asked for its clients, nothing.
func writeClients(b *strings.Builder, p *judge.Process) {
	if len(p.Clients) == 0 {
		return
	}
	line := func(cells ...any) {
		b.WriteString(strings.TrimRight(Indent+"  "+fmt.Sprintf(clientFormat, cells...), " "))
		b.WriteByte('\n')
	}
	line("PEER AND LOCAL PORT", "CLIENTS", "OLDEST", "IDLE", "BYTES")
	shown := p.Clients[:min(len(p.Clients), maxClients)]
	for _, c := range shown {
		line(clientName(c), count(c.Connections), secondsOr(c.OldestSeconds), idleRange(c), bytesOr(c.Bytes))
	}
	more, connections := len(p.Clients)-len(shown), 0
	for _, c := range p.Clients[len(shown):] {
		connections += c.Connections
	}
	if more > 0 {
		fmt.Fprintf(b, "%s  and %s with %s, all of them with -o json\n", Indent,
			Plural(more, "more peer", "more peers"), Plural(connections, "client connection", "client connections"))
	}
}

// clientName is a peer and what it is connected to.
func clientName(c judge.Client) string {
	if c.Path != "" {
		return "unix " + Escape(c.Path)
	}
	return fmt.Sprintf("%s to port %d", c.Peer, c.Port)
}

func secondsOr(s *float64) string {
	if s == nil {
		return unknown
	}
	return Duration(judge.Seconds(*s))
}

// idleRange is from the busiest to the idlest connection.
func idleRange(c judge.Client) string {
	least, most := secondsOr(c.MinIdleSeconds), secondsOr(c.MaxIdleSeconds)
	if least == most {
		return least
	}
	return least + " to " + most
}

func bytesOr(n *uint64) string {
	if n == nil {
		return unknown
	}
	return Size(*n)
}
