package judge

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// clients groups the client connections of a residual process by peer and local
// port. It is nil when the look did not ask for them.
func (c *classifier) clients(m Member, role Role) []Client {
	if !c.look.Clients || role != RoleResidual || m.Sockets == nil {
		return nil
	}
	type key struct {
		peer netip.Addr
		port uint16
	}
	groups := map[key]*Client{}
	t := c.teller(m.Process)
	for _, conn := range m.Sockets.Connections {
		if t.side(conn.End) != sideClient {
			continue
		}
		k := key{conn.Peer.Addr(), conn.Local.Port()}
		g := groups[k]
		if g == nil {
			g = &Client{Peer: conn.Peer.Addr().String(), Port: conn.Local.Port()}
			groups[k] = g
		}
		g.add(conn)
		// No connection is older than the process that accepted it: some releases
		// of HAProxy tell of decades.
		if age, known := m.Sessions[conn.Peer]; known && age <= m.Age(c.look.Snapshot.Boottime)+time.Second {
			g.OldestSeconds = larger(g.OldestSeconds, age.Seconds())
		}
	}
	list := []Client{}
	for _, g := range groups {
		list = append(list, *g)
	}
	for end, use := range m.Sockets.Ends {
		if end.Network == inspect.NetworkUnix && t.side(end) == sideClient {
			list = append(list, Client{Path: inspect.ShownName(unixName(end.Path)), Connections: use.Connections})
		}
	}
	slices.SortFunc(list, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Path, b.Path))
	})
	return list
}

// add counts one connection in.
func (g *Client) add(conn inspect.Connection) {
	g.Connections++
	if !conn.Timed {
		return
	}
	idle := conn.Idle.Seconds()
	if g.MinIdleSeconds == nil || idle < *g.MinIdleSeconds {
		g.MinIdleSeconds = &idle
	}
	g.MaxIdleSeconds = larger(g.MaxIdleSeconds, idle)
	bytes := conn.Bytes
	if g.Bytes != nil {
		bytes += *g.Bytes
	}
	g.Bytes = &bytes
}

// larger is the larger of two values of which the first may be missing.
func larger(a *float64, b float64) *float64 {
	if a == nil || *a < b {
		return &b
	}
	return a
}
