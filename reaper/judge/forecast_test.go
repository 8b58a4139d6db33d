package judge_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestForecast(t *testing.T) {
	at := func(rate, seconds float64, f judge.Forecast) *judge.Forecast {
		f.RatePerSecond, f.DrainSeconds = &rate, &seconds
		return &f
	}
	ports := func(list ...judge.PortClients) []judge.PortClients { return append([]judge.PortClients{}, list...) }
	web, ssh := by(443, 90, hour), by(22, 10, hour)
	deadline := judge.Policy{Deadline: 30 * minute}
	for _, tt := range []struct {
		name     string
		held     []judge.Process
		policy   judge.Policy
		rate     float64
		lasts    time.Duration
		refusal  judge.Reason
		forecast *judge.Forecast
	}{
		{"nobody is foretold anything while nothing is due", []judge.Process{held(minute, web)}, deadline, 10, minute, "", nil},
		{"nor while the instance is refused", []judge.Process{held(hour, web)}, deadline, 10, minute, judge.ReasonTie, nil},
		{"without draining all go at once", []judge.Process{held(hour, web, ssh), held(2*hour, web), held(minute, web)}, deadline, 0, minute, "",
			&judge.Forecast{Clients: 190, AtOnce: 190, Ports: ports(judge.PortClients{Port: 22, Clients: 10}, judge.PortClients{Port: 443, Clients: 180})}},
		{"with it so many a second", []judge.Process{held(hour, web, ssh)}, deadline, 20, minute, "",
			at(20, 5, judge.Forecast{Clients: 100, Ports: ports(judge.PortClients{Port: 22, Clients: 10}, judge.PortClients{Port: 443, Clients: 90})})},
		{"as long as it may last, and the others at once", []judge.Process{held(hour, web)}, deadline, 0.5, minute, "",
			at(0.5, 60, judge.Forecast{Clients: 90, AtOnce: 60, Ports: ports(judge.PortClients{Port: 443, Clients: 90})})},
		{"those that their port's deadline spares are not drained", []judge.Process{held(hour, web, ssh), held(2*hour, web)},
			judge.Policy{Deadline: 24 * hour, MaxResidual: 1, DeadlineFor: map[uint16]time.Duration{22: 48 * hour}}, 10, minute, "",
			at(10, 9, judge.Forecast{Clients: 100, AtOnce: 10, Ports: ports(judge.PortClients{Port: 22, Clients: 10}, judge.PortClients{Port: 443, Clients: 90})})},
		{"nor are those that came by a unix socket", []judge.Process{held(hour, byUnixSocket(5))}, deadline, 10, minute, "",
			at(10, 0, judge.Forecast{Clients: 5, AtOnce: 5, Ports: ports()})},
		{"of one whose clients cannot be counted it says so", []judge.Process{held(hour, uncounted), held(hour, ssh)}, deadline, 0, minute, "",
			&judge.Forecast{Clients: 10, AtOnce: 10, Uncounted: 1, Ports: ports(judge.PortClients{Port: 22, Clients: 10})}},
		{"nor can all of one that has more than were counted", []judge.Process{held(hour, ssh, byReverse)}, deadline, 0, minute, "",
			&judge.Forecast{Clients: 10, AtOnce: 10, Uncounted: 1, Ports: ports(judge.PortClients{Port: 22, Clients: 10})}},
		{"clients of a listener that is gone end too, and are not drained", []judge.Process{held(hour, ssh, former)}, deadline, 10, minute, "",
			at(10, 1, judge.Forecast{Clients: 11, AtOnce: 1, Ports: ports(judge.PortClients{Port: 22, Clients: 10})})},
		{"one without clients costs nobody anything", []judge.Process{held(hour)}, deadline, 0, minute, "", &judge.Forecast{Ports: ports()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := saved(tt.refusal)
			for i, p := range tt.held {
				p.PID, p.StartTicks = 11+i, uint64(11+i)
				r.Instances[0].Processes = append(r.Instances[0].Processes, p)
			}
			r = judge.Decide(r, tt.policy)
			got := judge.Foresee(r, tt.policy, judge.Timing{DrainRate: tt.rate, DrainTimeout: tt.lasts}).Instances[0].Forecast
			if diff := cmp.Diff(tt.forecast, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got != nil && got.Drain().Seconds() != drainSeconds(got) {
				t.Errorf("draining takes %v, and %v seconds", got.Drain(), drainSeconds(got))
			}
			if r.Instances[0].Forecast != nil {
				t.Error("the report that it was given was changed")
			}
		})
	}
}

func drainSeconds(f *judge.Forecast) float64 {
	if f.DrainSeconds == nil {
		return 0
	}
	return *f.DrainSeconds
}
