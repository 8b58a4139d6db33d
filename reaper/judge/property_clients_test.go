package judge

import (
	"fmt"
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// What an old worker may hold, and what policies ask about that.

// holding is the connections of an old worker, by their ends, and its memory.
type holding struct {
	ends map[inspect.End]inspect.Use // nil when not counted
	mib  uint64                      // 0 when not read
}

type ends = map[inspect.End]inspect.Use

func use(n int, least, most time.Duration) inspect.Use {
	return inspect.Use{Connections: n, Timed: n, MinIdle: least, MaxIdle: most}
}

// untimed are connections of which one is not timed.
func untimed(n int, idle time.Duration) inspect.Use {
	u := use(n, idle, idle)
	u.Timed--
	return u
}

// at is a TCP connection on an address that came from somewhere.
func at(local string, from inspect.Origin) inspect.End {
	return inspect.End{Local: netip.MustParseAddrPort(local), Origin: from}
}

func client(port int) inspect.End {
	return at(fmt.Sprintf("10.0.0.1:%d", port), inspect.OriginAccepted)
}
func server(port int) inspect.End { return at(fmt.Sprintf("10.0.0.1:%d", port), inspect.OriginMade) }

func gone(end inspect.End) inspect.End { end.Gone = true; return end }

func datagram(end inspect.End) inspect.End { end.Network = inspect.NetworkDatagram; return end }

func byPath(path string) inspect.End { return inspect.End{Network: inspect.NetworkUnix, Path: path} }

// holdings: the active listens on ports 443 and 22 of every IPv4 address, on port 80
// of 10.0.0.1, on port 81 of every address and on 82 of every IPv6 address, on
// pathActive, and on port 443 for datagrams.
var holdings = []holding{
	{}, // nothing could be counted
	{ends{}, 10},
	{ends{byPath(""): {Connections: 2}}, 10},
	{ends{server(40123): use(1, 0, 0)}, 20},
	{ends{client(443): use(3, 5*time.Second, 3*time.Hour), server(40123): use(1, 0, 0)}, 90},
	{ends{client(443): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	{ends{client(443): use(2, time.Hour, time.Hour)}, 0},
	{ends{client(22): use(1, time.Minute, time.Minute), client(443): use(1, 3*time.Hour, 3*time.Hour)}, 60},
	{ends{client(22): use(2, 2*time.Hour, 3*time.Hour)}, 60},
	{ends{client(443): use(1, 2*time.Hour, 2*time.Hour), client(8443): use(1, time.Second, time.Second)}, 50},
	{ends{byPath("/run/gone.sock"): {Connections: 1}}, 50},
	{ends{client(443): use(1, 3*time.Hour, 3*time.Hour), byPath(pathActive): {Connections: 1}}, 40},
	// Ports of one address, of every one, and of IPv6 alone.
	{ends{client(80): use(1, 3*time.Hour, 3*time.Hour), at("10.0.0.2:80", inspect.OriginAccepted): use(1, 0, 0)}, 30},
	{ends{client(81): use(1, 3*time.Hour, 3*time.Hour), at("[fd00::1]:81", inspect.OriginAccepted): use(1, 2*time.Hour, 2*time.Hour)}, 30},
	{ends{client(82): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	{ends{at("[fd00::1]:82", inspect.OriginAccepted): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	{ends{at("[fd00::1]:443", inspect.OriginAccepted): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	// What the options leave open: with "source", under "noreuseport", in the tables.
	{ends{at("10.0.0.1:10000", inspect.OriginEither): use(2, 0, 0)}, 30},
	{ends{at("10.0.0.1:10000", inspect.OriginEither): use(2, 0, 0), at("10.0.0.1:10001", inspect.OriginSource): use(1, 0, 0)}, 30},
	{ends{at("10.0.0.1:10000", inspect.OriginEither): use(2, 0, 0), at("10.0.0.1:10001", inspect.OriginSource): use(1, 0, 0), at("10.0.0.1:444", inspect.OriginPassed): use(1, 0, 0)}, 30},
	{ends{at("10.0.0.1:443", inspect.OriginPassed): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	{ends{at("10.0.0.1:443", inspect.OriginEither): use(1, 3*time.Hour, 3*time.Hour), server(22): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	{ends{at("10.0.0.1:443", inspect.OriginUnread): use(1, 3*time.Hour, 3*time.Hour), at("10.0.0.1:40123", inspect.OriginUnread): use(1, 0, 0)}, 30},
	// Whose clients have gone, and whose sockets have not.
	{ends{gone(client(443)): use(2, 0, 0), server(40123): use(1, 0, 0)}, 30},
	{ends{gone(client(443)): use(1, 0, 0), client(443): use(1, 3*time.Hour, 3*time.Hour), gone(server(40123)): use(1, 0, 0)}, 30},
	// QUIC, a resolver, and one of MPTCP among others.
	{ends{datagram(client(443)): {Connections: 1}}, 30},
	{ends{datagram(client(443)): {Connections: 1}, client(443): use(1, 3*time.Hour, 3*time.Hour)}, 30},
	{ends{datagram(server(443)): {Connections: 1}, datagram(server(40053)): {Connections: 1}}, 30},
	{ends{datagram(client(8443)): {Connections: 1}}, 30},
	{ends{client(443): untimed(2, 3*time.Hour)}, 30},
}

const pathActive = "/run/active.sock"

// drawHolding gives an old worker what it holds.
func drawHolding(t *rapid.T, p *inspect.Process) {
	h := holdings[rapid.IntRange(0, len(holdings)-1).Draw(t, "holding")]
	p.Sockets.Ends = h.ends
	if h.mib > 0 {
		bytes := h.mib<<20 + uint64(p.PID)<<12 // no two have the same
		p.PrivateBytes = &bytes
	}
}

// drawHost draws the host's share and its memory, of which either 40 % or 4 % is
// left, where that is known.
func (w *world) drawHost(t *rapid.T) {
	number := func(n uint64) *uint64 { return &n }
	host := rapid.IntRange(0, 17).Draw(t, "host")
	share := []float64{0, 0.25, 0.999}[host%3]
	if host/6 > 0 {
		w.share = &share
	}
	switch host / 3 % 6 {
	case 0:
		w.available, w.total = number(40<<20), number(100<<20)
	case 1:
		w.available, w.total = number(4<<20), number(100<<20)
	case 2:
		w.available = number(4 << 20)
	case 3:
		w.limit = &inspect.MemoryLimit{Limit: 1000, Available: 40}
	case 4:
		w.available, w.total = number(4<<20), number(100<<20)
		w.limit = &inspect.MemoryLimit{Limit: 1000, Available: 400}
	}
}

// drawPolicy draws a policy without a cap; every other one is a deadline alone.
func drawPolicy(t *rapid.T) Policy {
	p := Policy{Deadline: drawDeadline(t)}
	if rapid.Bool().Draw(t, "plain") {
		return p
	}
	spans := func(label string) time.Duration {
		return rapid.SampledFrom([]time.Duration{0, time.Minute, 65 * time.Minute, 2 * time.Hour, 3 * time.Hour}).Draw(t, label)
	}
	which := rapid.IntRange(0, 127).Draw(t, "rules")
	has := func(bit int) bool { return which&(1<<bit) != 0 }
	if has(0) {
		p.HardDeadline, p.ActiveWithin = spans("hard deadline"), spans("active within")
	}
	if has(1) {
		after := spans("empty after")
		p.EmptyAfter = &after
	}
	if has(2) {
		p.IdleAfter = spans("idle after")
	}
	if has(3) {
		p.MaxResidual = rapid.IntRange(0, 3).Draw(t, "most")
	}
	if has(4) {
		p.MinAvailableMemory = rapid.SampledFrom([]int{0, 4, 5, 41, 100}).Draw(t, "memory")
	}
	if has(5) {
		p.DeadlineFor = map[uint16]time.Duration{22: spans("port 22")}
		if rapid.Bool().Draw(t, "two ports") {
			p.DeadlineFor[443] = spans("port 443")
		}
	}
	if has(6) {
		p.DeadlineJitter = spans("jitter")
	}
	return p
}
