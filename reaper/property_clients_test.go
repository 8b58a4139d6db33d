package reaper

import (
	"time"

	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// What an old worker may hold, and what policies ask about that.

// holding is the connections of an old worker, by the port or path that they are
// on, and its memory.
type holding struct {
	ports map[uint16]inspect.PortUse // nil when not counted
	unix  map[string]int
	mib   uint64 // 0 when not read
}

func use(n int, least, most time.Duration) inspect.PortUse {
	return inspect.PortUse{Connections: n, MinIdle: least, MaxIdle: most}
}

// holdings: the active listens on ports 443 and 22 and on pathActive.
var holdings = []holding{
	{}, // nothing could be counted
	{ports: map[uint16]inspect.PortUse{}, mib: 10},
	{ports: map[uint16]inspect.PortUse{}, unix: map[string]int{"": 2}, mib: 10},
	{ports: map[uint16]inspect.PortUse{40123: use(1, 0, 0)}, mib: 20},
	{ports: map[uint16]inspect.PortUse{443: use(3, 5*time.Second, 3*time.Hour), 40123: use(1, 0, 0)}, mib: 90},
	{ports: map[uint16]inspect.PortUse{443: use(1, 3*time.Hour, 3*time.Hour)}, mib: 30},
	{ports: map[uint16]inspect.PortUse{443: use(2, time.Hour, time.Hour)}, mib: 0},
	{ports: map[uint16]inspect.PortUse{22: use(1, time.Minute, time.Minute), 443: use(1, 3*time.Hour, 3*time.Hour)}, mib: 60},
	{ports: map[uint16]inspect.PortUse{22: use(2, 2*time.Hour, 3*time.Hour)}, mib: 60},
	{ports: map[uint16]inspect.PortUse{443: use(1, 2*time.Hour, 2*time.Hour), 8443: use(1, time.Second, time.Second)}, mib: 50},
	{ports: map[uint16]inspect.PortUse{}, unix: map[string]int{"/run/gone.sock": 1}, mib: 50},
	{ports: map[uint16]inspect.PortUse{443: use(1, 3*time.Hour, 3*time.Hour)}, unix: map[string]int{pathActive: 1}, mib: 40},
}

const pathActive = "/run/active.sock"

// drawHolding gives an old worker what it holds.
func drawHolding(t *rapid.T, p *inspect.Process) {
	h := holdings[rapid.IntRange(0, len(holdings)-1).Draw(t, "holding")]
	p.Sockets.Ports, p.Sockets.Unix = h.ports, h.unix
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
