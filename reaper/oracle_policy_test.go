package reaper

import (
	"slices"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// The oracle's rule 9: one connection at a time.

// connection is one of an old worker's, as far as it matters here.
type connection struct {
	port   uint16 // 0 for a unix socket
	client bool
	unsure bool          // a client's, or not
	idle   time.Duration // -1 when nobody knows
}

// connections are those of a process; not known when it was not counted, or when
// nobody knows where the active listens.
func (o oracle) connections(in *instance, p *inspect.Process) (list []connection, known bool) {
	ports, paths := map[uint16]bool{}, map[string]bool{}
	for _, a := range o.active(in) {
		if a.Sockets == nil {
			continue
		}
		for _, group := range [][]inspect.Listener{a.Sockets.Listening, a.Sockets.Bound, a.Sockets.Paused} {
			for _, l := range group {
				if l.Network == "unix" {
					paths[l.Address] = true
				} else {
					ports[l.Port] = true
				}
			}
		}
	}
	if p.Sockets == nil || p.Sockets.Ports == nil || len(ports) == 0 && len(paths) == 0 {
		return nil, false
	}
	for port, use := range p.Sockets.Ports {
		for n := range use.Connections {
			c := connection{port: port, client: ports[port], idle: use.MaxIdle}
			if n == 0 {
				c.idle = use.MinIdle
			}
			c.unsure = !c.client && (port < 32768 || port > 60999)
			list = append(list, c)
		}
	}
	for path, n := range p.Sockets.Unix {
		for range n {
			list = append(list, connection{client: paths[path], unsure: path != "" && !paths[path], idle: -1})
		}
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
	for _, p := range o.workers(in) {
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
	return p.State == 'T' || p.State == 't' || len(o.memory[p.ProcID].Signals) > 0
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
