package judge

import (
	"slices"
	"time"
)

// Forecast is what terminating an instance's targets, as things stand, does to
// their clients. A client that is cut off may connect again, so the connections
// are those that the active has to expect.
type Forecast struct {
	// Clients are the client connections that end, Ports those of them on each of
	// the ports that the active listens on; the others came by a unix socket, or
	// by a listener that the active no longer has.
	Clients int           `json:"clients"`
	Ports   []PortClients `json:"ports"`
	// Uncounted are the targets whose client connections could not be counted, or
	// not all of them: there are more than it says.
	Uncounted int `json:"uncounted"`
	// RatePerSecond is that of --drain-rate, and DrainSeconds how long it takes at
	// that rate; null without draining.
	RatePerSecond *float64 `json:"rate_per_second"`
	DrainSeconds  *float64 `json:"drain_seconds"`
	// AtOnce are those of Clients that a signal ends, all of a process at one
	// instant: without draining all of them; with it those that it has no time for,
	// and that it spares or cannot close.
	AtOnce int `json:"at_once"`
}

// PortClients is a number of client connections of one local port.
type PortClients struct {
	Port    uint16 `json:"port"`
	Clients int    `json:"clients"`
}

// Foresee adds to a decided report what becomes of the clients, see Forecast. It
// is a function of its arguments, as Decide is.
func Foresee(r Report, policy Policy, timing Timing) Report {
	r.Instances = slices.Clone(r.Instances)
	for i := range r.Instances {
		in := &r.Instances[i]
		in.Forecast = foresee(rules{&policy, &r, in, nil}, timing)
	}
	return r
}

// foresee is the forecast of one instance, nil without a target.
func foresee(j rules, timing Timing) *Forecast {
	f := Forecast{Ports: []PortClients{}}
	drained, targets := 0, 0
	byPort := map[uint16]int{}
	for i := range j.in.Processes {
		p := &j.in.Processes[i]
		if p.Verdict != VerdictTerminate {
			continue
		}
		targets++
		c := p.Connections
		if c.Client == nil || c.Former == nil || c.Unknown == nil || *c.Unknown > 0 {
			f.Uncounted++
		}
		if c.Client == nil {
			continue
		}
		f.Clients += *c.Client
		if c.Former != nil {
			f.Clients += *c.Former
		}
		for _, use := range p.Ports {
			byPort[use.Port] += use.Clients
			if !j.sparesPort(p, use.Port) {
				drained += use.Clients
			}
		}
	}
	if targets == 0 {
		return nil
	}
	for port, n := range byPort {
		f.Ports = append(f.Ports, PortClients{port, n})
	}
	slices.SortFunc(f.Ports, func(a, b PortClients) int { return int(a.Port) - int(b.Port) })
	f.AtOnce = f.Clients
	if rate := timing.DrainRate; rate > 0 {
		drained = min(drained, int(min(rate*timing.DrainTimeout.Seconds(), float64(f.Clients))))
		takes := float64(drained) / rate
		f.RatePerSecond, f.DrainSeconds, f.AtOnce = &rate, &takes, f.Clients-drained
	}
	return &f
}

// Drain is how long the draining of a forecast takes, 0 without.
func (f *Forecast) Drain() time.Duration {
	if f.DrainSeconds == nil {
		return 0
	}
	return span(*f.DrainSeconds)
}
