package agent

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

func TestStatusSaysWhichRuleDecidesAndWhen(t *testing.T) {
	old := func(since time.Duration, clients int, idle time.Duration) reaper.Process {
		p := oldWorker(6034, since, clients)
		p.Connections.Former, p.Connections.Unknown = ptr(0), ptr(0)
		p.Ports, p.IdleSeconds = []reaper.PortUse{{Port: 22, Clients: clients, MinIdleSeconds: ptr(idle.Seconds()), MaxIdleSeconds: ptr(idle.Seconds())}}, ptr(idle.Seconds())
		if clients == 0 {
			p.Ports, p.IdleSeconds = nil, nil
		}
		return p
	}
	refused := refusedReport(reaper.ReasonStarting, "", old(time.Hour, 1, 0))
	for _, row := range []struct {
		name   string
		args   string
		report reaper.Report
		want   string
	}{
		{"within its deadline", "", reportOf(old(10*time.Minute, 1, 0)), "within its deadline, due in 20m"},
		{"past it", "", reportOf(old(40*time.Minute, 1, 0)), "past its deadline, overdue by 10m"},
		{"a port spares it", "--deadline-for 22=2h", reportOf(old(time.Hour, 1, 0)), "port 22 spares it until 13:00 UTC, due in 1h0m"},
		{"a port spares it until tomorrow", "--deadline-for 22=1d", reportOf(old(time.Hour, 1, 0)), "port 22 spares it until 23 Nov 11:00 UTC, due in 23h0m"},
		{"active clients spare it", "--hard-deadline 4h", reportOf(old(time.Hour, 1, 0)), "past its deadline, active clients spare it until 15:00 UTC, due in 3h0m"},
		{"jitter spares it", "--deadline-jitter 10m", reportOf(old(31*time.Minute, 1, 0)), "past its deadline, this host's jitter spares it until 12:04 UTC, due in 4m"},
		{"it will be ended earlier, as empty", "--empty-after 15m", reportOf(old(10*time.Minute, 0, 0)), "within its deadline, due in 5m: no client connection is left"},
		{"it is ended as empty", "--empty-after 5m", reportOf(old(10*time.Minute, 0, 0)), "no client connection is left, due now"},
		{"it would be idle", "--idle-after 15m", reportOf(old(10*time.Minute, 1, 5*time.Minute)), "within its deadline, due in 20m; idle in 10m if no byte moves"},
		{"it would be idle after its deadline", "--idle-after 1h", reportOf(old(10*time.Minute, 1, 5*time.Minute)), "within its deadline, due in 20m"},
		{"it is idle", "--idle-after 5m", reportOf(old(10*time.Minute, 1, 5*time.Minute)), "all of its clients are idle, due now"},
		{"it is refused, and would be due as idle", "--deadline 2h --idle-after 1s", refusedAs(refused, 5*time.Minute), "refused, as its instance is, due now: all of its clients are idle"},
		{"it is refused and past its deadline", "", refused, "refused, as its instance is, overdue by 30m"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := parse(row.args, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			row.report.HostShare = ptr(0.5)
			r := reaper.Decide(row.report, c.policy())
			in := &r.Instances[0]
			texts := explain(in, &in.Processes[1], r.Time)
			if got := texts[len(texts)-1]; got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// refusedAs is a refused report whose residual process has been idle for so long.
func refusedAs(r reaper.Report, idle time.Duration) reaper.Report {
	r = cloned(r)
	r.Instances[0].Processes[1].IdleSeconds = ptr(idle.Seconds())
	return r
}
