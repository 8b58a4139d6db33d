package reaper

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// process describes a member for the report.
func (c *classifier) process(m member, role Role) Process {
	now := c.look.Snapshot
	p := Process{
		ProcID: m.ProcID, Role: role, User: m.User, UID: m.UID, Args: append([]string{}, m.Command.Args...),
		State: string([]byte{cmp.Or(m.State, '?')}), Wedge: wedgeOf(role, m.State), PrivateBytes: m.PrivateBytes, Ports: []PortUse{}, Signals: []string{},
	}
	e := c.evidence[m.Process]
	p.Evidence, p.Lasting = e.words(), e.lasting()
	if m.kind == kindMaster {
		p.Heir = heirOf(c.group.master)
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
		since := c.superseded(m.Process)
		p.Superseded = wall(now, since)
		seconds := (now.Boottime - since).Seconds()
		p.ResidualSeconds = &seconds
	}
	if m.Sockets != nil {
		p.Listeners = []string{}
		for _, l := range slices.Concat(m.Sockets.Listening, c.datagramListeners(m.Process)) {
			p.Listeners = append(p.Listeners, l.Network+" "+inspect.ShownName(unixName(l.Address)))
		}
		c.connections(&p, m.Sockets)
		p.Clients = c.clients(m, role)
	}
	p.StrandedReason = strandedReason(role, p.Listeners, c.untold(m))
	p.SignalledBefore = len(c.past.Memory[m.ProcID].Signals) > 0
	if clients, known := c.look.ActiveClients[c.group.key]; known && role == RoleActive {
		p.Connections.Client = &clients
	}
	return p
}

// connections counts the established connections by side. Without the active's
// addresses there are no sides to tell.
func (c *classifier) connections(p *Process, s *inspect.Sockets) {
	if s.Ports == nil || len(c.ports)+len(c.paths) == 0 {
		return
	}
	var client, server, other, former int
	var idle *float64
	for port, use := range s.Ports {
		if !c.ports[port] {
			server += use.Connections
			if !c.givenOut(port) {
				former += use.Connections
			}
			continue
		}
		client += use.Connections
		least := use.MinIdle.Seconds()
		if idle == nil || least < *idle {
			idle = &least
		}
		p.Ports = append(p.Ports, PortUse{Port: port, Clients: use.Connections, MinIdleSeconds: least, MaxIdleSeconds: use.MaxIdle.Seconds()})
	}
	for path, n := range s.Unix {
		if path != "" && c.paths[unixName(path)] {
			client += n
		} else {
			other += n
			if path != "" {
				former += n
			}
		}
	}
	slices.SortFunc(p.Ports, func(a, b PortUse) int { return cmp.Compare(a.Port, b.Port) })
	p.Connections = Connections{Client: &client, Server: &server, Other: &other, Former: &former}
	p.IdleSeconds = idle
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

// givenOut tells whether a port is one of those that the kernel gives to sockets
// that ask for none, as one that connects does.
func (c *classifier) givenOut(port uint16) bool {
	return port >= c.look.EphemeralLow && port <= c.look.EphemeralHigh
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
