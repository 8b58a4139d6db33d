package main

import (
	"math/rand/v2"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// What every host of the simulated fleets is like.
const (
	hostClients  = 200              // on the old worker when its deadline comes
	deadline     = 30 * time.Minute // also that of hard-stop-after
	jitter       = 30 * time.Minute
	timer        = time.Minute      // between two passes of a host
	spread       = 15 * time.Second // of all hosts' passes: RandomizedDelaySec= of the timer, where all were started together
	hostRate     = 1                // of --drain-rate
	drainTimeout = 5 * time.Minute
)

// fleets are the sizes that are simulated, in hosts; all are reloaded in the same
// second.
var fleetSizes = []int{10, 1_000, 100_000}

// manner is how a fleet is rid of its old workers.
type manner struct {
	name           string
	byHAProxy      bool // hard-stop-after
	jitter, drains bool
}

var manners = []manner{
	{name: "hard-stop-after 30m", byHAProxy: true},
	{name: "reap, by the timer"},
	{name: "--drain-rate 1", drains: true},
	{name: "--deadline-jitter 30m", jitter: true},
	{name: "both", jitter: true, drains: true},
}

// fleet is what became of one: how many clients reconnect in each second after
// the reload.
type fleet struct {
	manner
	hosts     int
	perSecond []int
}

// peak is the most of a second, lasts the seconds from the first to the last.
func (f *fleet) peak() (most, lasts int) {
	first, last := -1, 0
	for second, n := range f.perSecond {
		most = max(most, n)
		if n > 0 && first < 0 {
			first = second
		}
		if n > 0 {
			last = second
		}
	}
	return most, last - first + 1
}

func simulateAll() []fleet {
	var all []fleet
	for _, hosts := range fleetSizes {
		for _, m := range manners {
			all = append(all, simulate(hosts, m))
		}
	}
	return all
}

// simulate lets the agent's own decision say when each host's old worker is due,
// and its own forecast how long draining takes. The hosts' shares and the moments
// of their passes are drawn, the same in every run.
func simulate(hosts int, m manner) fleet {
	random := rand.New(rand.NewPCG(1, 2))
	f := fleet{manner: m, hosts: hosts, perSecond: make([]int, int((deadline + jitter + drainTimeout + 2*timer).Seconds()))}
	for range hosts {
		share, phase := random.Float64(), time.Duration(random.Float64()*float64(spread))
		if m.byHAProxy {
			f.perSecond[int(deadline.Seconds())] += hostClients
			continue
		}
		decided := decide(m, share)
		due := decided.Instances[0].Processes[0].Due.Sub(decided.Time)
		// The first pass at which it is due.
		at := phase + (max(0, due-phase)+timer-1)/timer*timer
		forecast := forecastOf(m, decided)
		for client := range forecast.Clients - forecast.AtOnce {
			after := time.Duration(float64(client) / *forecast.RatePerSecond * float64(time.Second))
			f.perSecond[int((at+after).Seconds())]++
		}
		f.perSecond[int((at + forecast.Drain()).Seconds())] += forecast.AtOnce
	}
	return f
}

func policy(m manner) judge.Policy {
	p := judge.Policy{Deadline: deadline}
	if m.jitter {
		p.DeadlineJitter = jitter
	}
	return p
}

// decide has one residual process decided on, at the moment of the reload.
func decide(m manner, share float64) judge.Report {
	none, clients, since := 0, hostClients, 0.0
	return judge.Decide(judge.Report{
		Version: 1, Time: time.Unix(0, 0), HostShare: &share,
		Instances: []judge.Instance{{Name: "haproxy.service", Processes: []judge.Process{{
			Role: judge.RoleResidual, ResidualSeconds: &since,
			Connections: judge.Connections{Client: &clients, Server: &clients, Other: &none, Former: &none, Unknown: &none},
			Ports:       []judge.PortUse{{Port: 443, Clients: clients}},
		}}}},
	}, policy(m))
}

// forecastOf is what becomes of the clients when it is due.
func forecastOf(m manner, decided judge.Report) *judge.Forecast {
	timing := judge.Timing{DrainTimeout: drainTimeout}
	if m.drains {
		timing.DrainRate = hostRate
	}
	decided.Instances[0].Processes[0].Verdict = judge.VerdictTerminate
	return judge.Foresee(decided, policy(m), timing).Instances[0].Forecast
}
