package judge

import (
	"net/netip"
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// The oracle's rule 9: one connection at a time.

// connection is one of an old worker's, as far as it matters here.
type connection struct {
	port   uint16 // 0 for a unix socket
	client bool
	unsure bool          // of a client, or not, or of a former listener
	idle   time.Duration // -1 when nobody knows
}

// listensAt tells whether a listener takes connections to an address.
func listensAt(l inspect.Listener, local netip.AddrPort) bool {
	at := netip.MustParseAddrPort(l.Address)
	switch {
	case at.Port() != local.Port():
		return false
	case at.Addr() == local.Addr():
		return true
	case at.Addr().Is4():
		return at.Addr().IsUnspecified() && local.Addr().Is4()
	}
	return at.Addr().IsUnspecified() && (local.Addr().Is6() || !l.V6Only)
}

// takes tells whether a connection may have come in by a listener.
func takes(l inspect.Listener, end inspect.End) bool {
	switch {
	case l.Network == "unix":
		return end.Network == inspect.NetworkUnix && l.Address == end.Path
	case end.Network == inspect.NetworkUnix, (l.Network == "udp") != (end.Network == inspect.NetworkDatagram):
		return false
	}
	return listensAt(l, end.Local)
}

// comesIn tells whether the active has a place for a connection to come in by.
func (o oracle) comesIn(in *instance, end inspect.End) bool {
	return slices.ContainsFunc(o.active(in), func(a *inspect.Process) bool {
		return a.Sockets != nil && slices.ContainsFunc(slices.Concat(a.Sockets.Listening, a.Sockets.Bound, a.Sockets.Paused), func(l inspect.Listener) bool { return takes(l, end) })
	})
}

// isOwnCLI tells a session of the worker's own CLI, as far as the master's says.
func isOwnCLI(p *inspect.Process, end inspect.End) bool {
	if p.CLI == nil || len(p.CLI.Sockets) == 0 {
		return false
	}
	// The one that the worlds have.
	return end.Network == inspect.NetworkUnix && end.Path == pathActive ||
		end.Network == inspect.NetworkStream && end.Local.Addr().Is4() && end.Local.Port() == 22
}

// connections are those of a process; not known when it was not counted, or when
// nobody knows where the active listens.
func (o oracle) connections(in *instance, p *inspect.Process) (list []connection, known bool) {
	anywhere := false
	for _, a := range o.active(in) {
		anywhere = anywhere || a.Sockets != nil && len(a.Sockets.Listening)+len(a.Sockets.Bound)+len(a.Sockets.Paused) > 0
	}
	if p.Sockets == nil || p.Sockets.Ends == nil || !anywhere {
		return nil, false
	}
	// Of what was bound before, one that is known to lead to a server tells of those
	// of which nothing is known, unless another one is known to be a client's.
	toServer, toClient := false, false
	for end := range p.Sockets.Ends {
		toServer = toServer || end.Origin == inspect.OriginSource
		toClient = toClient || end.Origin == inspect.OriginPassed
	}
	told, open := 0, 0 // clients of which a socket tells, and connections that leave it open
	for end, use := range p.Sockets.Ends {
		c := connection{port: end.Local.Port(), idle: use.MaxIdle}
		unix, udp := end.Network == inspect.NetworkUnix, end.Network == inspect.NetworkDatagram
		leftOpen := false
		switch {
		case unix && end.Path == "", udp && end.Origin == inspect.OriginMade, isOwnCLI(p, end):
			continue
		case o.comesIn(in, end):
			c.client = true
		case unix, !udp && (end.Origin == inspect.OriginAccepted || end.Origin == inspect.OriginPassed):
			c.unsure = true
		case !udp && (end.Origin == inspect.OriginMade || end.Origin == inspect.OriginSource):
		case !udp && end.Origin == inspect.OriginEither && toServer && !toClient:
		default:
			leftOpen = true
		}
		if end.Gone {
			if c.client || c.unsure {
				told += use.Connections
			}
			continue
		}
		for n := range use.Connections {
			if c.idle = use.MaxIdle; n == 0 {
				c.idle = use.MinIdle
			}
			if n >= use.Timed {
				c.idle = -1
			}
			if leftOpen {
				open++
				continue
			}
			if c.client || c.unsure {
				told++
			}
			list = append(list, c)
		}
	}
	if p.CLI != nil {
		open = max(0, p.CLI.CurrConns-told)
	}
	for range open {
		list = append(list, connection{unsure: true, idle: -1})
	}
	return list, true
}

// clients are the client connections of a process; not sure when not all of
// them are known to be that.
func (o oracle) clients(in *instance, p *inspect.Process) (clients []connection, sure bool) {
	all, sure := o.connections(in, p)
	for _, c := range all {
		sure = sure && !c.unsure
		if c.client {
			clients = append(clients, c)
		}
	}
	return clients, sure
}

// isDue: rule 9. Any of five things brings it about.
func (o oracle) isDue(in *instance, p *inspect.Process) bool {
	return o.outlived(in, p) || o.isEmpty(in, p) || o.isIdle(in, p) || o.isTooMany(in, p) || o.isDearest(in, p)
}

// outlived: past the deadline of every connection, and past the hard one if a
// client is, or may be, active.
func (o oracle) outlived(in *instance, p *inspect.Process) bool {
	share := 1.0
	if o.share != nil {
		share = *o.share
	}
	age := o.residual(in, p) - time.Duration(share*float64(o.policy.DeadlineJitter))
	of := func(port uint16) time.Duration {
		if d, own := o.policy.DeadlineFor[port]; own {
			return d
		}
		return o.policy.Deadline
	}
	clients, sure := o.clients(in, p)
	if !sure || len(clients) == 0 {
		if age < o.policy.Deadline {
			return false
		}
	}
	if !sure {
		for port := range o.policy.DeadlineFor {
			if age < of(port) {
				return false
			}
		}
	}
	active := !sure
	for _, c := range clients {
		if sure && age < of(c.port) {
			return false
		}
		active = active || c.idle <= o.policy.ActiveWithin
	}
	return !active || age >= o.policy.HardDeadline
}

func (o oracle) isEmpty(in *instance, p *inspect.Process) bool {
	clients, sure := o.clients(in, p)
	return o.policy.EmptyAfter != nil && sure && len(clients) == 0 && o.residual(in, p) >= *o.policy.EmptyAfter
}

func (o oracle) isIdle(in *instance, p *inspect.Process) bool {
	clients, sure := o.clients(in, p)
	for _, c := range clients {
		sure = sure && c.idle >= o.policy.IdleAfter
	}
	return o.policy.IdleAfter > 0 && sure && len(clients) > 0
}

// residuals are the residual processes of an instance that nothing stands
// against.
func (o oracle) residuals(in *instance) []*inspect.Process {
	var list []*inspect.Process
	for _, p := range o.candidates(in) {
		if o.older(in, p) && o.toldToLeave(in, p) && o.holdsNoListener(in, p) {
			list = append(list, p)
		}
	}
	return list
}

func (o oracle) isTooMany(in *instance, p *inspect.Process) bool {
	younger := 0
	for _, q := range o.residuals(in) {
		if q.StartTicks > p.StartTicks {
			younger++
		}
	}
	return o.policy.MaxResidual > 0 && younger >= o.policy.MaxResidual
}

func (o oracle) isDearest(in *instance, p *inspect.Process) bool {
	short := false
	if percent := uint64(o.policy.MinAvailableMemory); true {
		short = o.available != nil && o.total != nil && *o.available*100 < *o.total*percent ||
			o.limit != nil && o.limit.Available*100 < o.limit.Limit*percent
	}
	candidates := slices.DeleteFunc(o.residuals(in), o.isStuck)
	if len(candidates) == 0 {
		candidates = o.residuals(in)
	}
	for _, q := range candidates {
		if _, sure := o.clients(in, q); !sure || q.PrivateBytes == nil || short && q != p && o.goesBefore(in, q, p) {
			return false
		}
	}
	return short && slices.Contains(candidates, p)
}

// isStuck: frozen, in a debugger, or deaf to an earlier pass.
func (o oracle) isStuck(p *inspect.Process) bool {
	return p.State == 'T' || p.State == 't' || len(o.believed(p).Signals) > 0
}

// goesBefore: more bytes for each client, then more bytes, then the one that
// started first. Without clients it is more than with any number of them.
func (o oracle) goesBefore(in *instance, p, q *inspect.Process) bool {
	if p.PrivateBytes == nil || q.PrivateBytes == nil {
		return false
	}
	a, _ := o.clients(in, p)
	b, _ := o.clients(in, q)
	x, y := *p.PrivateBytes*uint64(len(b)), *q.PrivateBytes*uint64(len(a)) // the shares, multiplied out
	switch {
	case x != y && len(a) > 0 && len(b) > 0:
		return x > y
	case (len(a) == 0) != (len(b) == 0):
		return len(a) == 0
	case *p.PrivateBytes != *q.PrivateBytes:
		return *p.PrivateBytes > *q.PrivateBytes
	}
	return p.StartTicks < q.StartTicks || p.StartTicks == q.StartTicks && p.PID < q.PID
}
