package judge

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// process describes a member for the report.
func (c *classifier) process(m Member, role Role) Process {
	now := c.look.Snapshot
	p := Process{
		ProcID: m.ProcID, Role: role, User: m.User, UID: UID(m.UID), Args: shownArgs(m.Command.Args), Stranger: m.Stranger,
		State: string([]byte{cmp.Or(m.State, '?')}), Wedge: wedgeOf(role, m.State), PrivateBytes: m.PrivateBytes, Ports: []PortUse{}, Signals: []string{},
	}
	e := c.evidence[m.Process]
	p.Evidence = e.words()
	if m.kind == kindMaster {
		p.Heir = heirOf(c.group.Master)
	} else if n := len(c.active); n > 0 {
		p.Heir = heirOf(c.active[n-1])
	}
	if m.Err != nil {
		p.Error = m.Err.Error()
	}
	if m.StartTicks > 0 {
		p.Started = wall(now, inspect.TicksToBoottime(m.StartTicks))
		p.AgeSeconds = m.Age(now.Boottime).Seconds()
	}
	if role == RoleResidual {
		since := c.superseded(m)
		p.Superseded = wall(now, since)
		seconds := (now.Boottime - since).Seconds()
		p.ResidualSeconds = &seconds
	}
	if m.Sockets != nil {
		p.Listeners = c.listeners(m.Process)
		c.connections(&p, m.Process)
		p.Clients = c.clients(m, role)
	}
	p.StrandedReason = strandedReason(role, p.Listeners, c.untold(m))
	p.SignalledBefore = len(c.past.of(m.Process).Signals) > 0
	if clients, known := c.look.ActiveClients[c.group.Key]; known && role == RoleActive {
		p.Connections.Client = &clients
	}
	return p
}

// maxArgs is the most bytes of a process's arguments that a report has: those of a
// hundred processes may be a megabyte each.
const maxArgs = 16 << 10

// shownArgs are the arguments for the report. The last is "..." where some are left
// out.
func shownArgs(args []string) []string {
	size := 0
	for i, arg := range args {
		if size += len(arg) + 1; size > maxArgs {
			return append(slices.Clone(args[:i]), "...")
		}
	}
	return append([]string{}, args...)
}

// listeners are those of a process in words. What may be a client's keeps an old worker
// from being signalled, and is named for that; of the active it says nothing.
func (c *classifier) listeners(p *inspect.Process) []string {
	list := []string{}
	active := slices.Contains(c.active, p)
	all := slices.Concat(p.Sockets.Listening, p.Sockets.Bound)
	if !active {
		all = slices.Concat(c.streams(p), c.datagrams(p))
	}
	for _, l := range all {
		text := l.Network + " " + inspect.ShownName(unixName(l.Address))
		switch {
		case !l.Unsure:
			list = append(list, text)
		case !active:
			list = append(list, text+" (or a client's)")
		}
	}
	return list
}

// connections counts the connections by side, and those of clients by local port.
// Without the active's addresses there are no sides to tell.
func (c *classifier) connections(p *Process, of *inspect.Process) {
	if of.Sockets.Ends == nil || c.served.none() {
		return
	}
	t := c.teller(of)
	c.sides[of.ProcID] = t
	p.Connections = t.tally(of.Sockets.Ends).connections(of.CLI)
	byPort := map[uint16]*portTimes{}
	for end, use := range of.Sockets.Ends {
		if end.Gone || end.Network == inspect.NetworkUnix || t.side(end) != sideClient {
			continue
		}
		port := end.Local.Port()
		if byPort[port] == nil {
			byPort[port] = &portTimes{}
		}
		byPort[port].add(use)
	}
	for port, times := range byPort {
		p.Ports = append(p.Ports, times.use(port))
		if least := times.least; least != nil && (p.IdleSeconds == nil || *least < *p.IdleSeconds) {
			p.IdleSeconds = least
		}
	}
	slices.SortFunc(p.Ports, func(a, b PortUse) int { return cmp.Compare(a.Port, b.Port) })
}

// portTimes sums up the client connections of a port.
type portTimes struct {
	clients     int
	untimed     bool     // of some the idle time is not known
	least, most *float64 // idle seconds, of those of which they are known
}

func (t *portTimes) add(use inspect.Use) {
	t.clients += use.Connections
	t.untimed = t.untimed || use.Timed < use.Connections
	if use.Timed == 0 {
		return
	}
	if least := use.MinIdle.Seconds(); t.least == nil || least < *t.least {
		t.least = &least
	}
	t.most = larger(t.most, use.MaxIdle.Seconds())
}

// use is that for the report. What is not known of one connection is not known of
// the port: that one may be the busiest.
func (t *portTimes) use(port uint16) PortUse {
	if t.untimed {
		return PortUse{Port: port, Clients: t.clients}
	}
	return PortUse{Port: port, Clients: t.clients, MinIdleSeconds: t.least, MaxIdleSeconds: t.most}
}

// connectionRate is that of a generation, if all of it has told.
func connectionRate(generation []*inspect.Process) *int {
	sum := 0
	for _, p := range generation {
		if p.CLI == nil || p.CLI.ConnRate < 0 {
			return nil
		}
		sum += p.CLI.ConnRate
	}
	if len(generation) == 0 {
		return nil
	}
	return &sum
}

// temporaryName is what HAProxy binds a unix socket by before it renames it into
// place; the kernel goes on showing it.
var temporaryName = regexp.MustCompile(`\.[0-9]+\.(tmp|bak)$`)

func unixName(path string) string { return temporaryName.ReplaceAllString(path, "") }

// wall is a point of CLOCK_BOOTTIME on the wall clock, to the second: that is
// for people, the seconds beside it are for programs.
func wall(s inspect.Snapshot, at time.Duration) *time.Time {
	t := s.Time.Add(at - s.Boottime).UTC().Truncate(time.Second)
	return &t
}
