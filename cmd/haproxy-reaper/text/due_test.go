package text

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestStatusSaysWhichRuleDecidesAndWhen(t *testing.T) {
	old := func(since time.Duration, clients int, idle time.Duration) judge.Process {
		p := fixture.OldWorker(6034, since, clients)
		p.Connections.Former, p.Connections.Unknown = new(0), new(0)
		p.Ports, p.IdleSeconds = []judge.PortUse{{Port: 22, Clients: clients, MinIdleSeconds: new(idle.Seconds()), MaxIdleSeconds: new(idle.Seconds())}}, new(idle.Seconds())
		if clients == 0 {
			p.Ports, p.IdleSeconds = nil, nil
		}
		return p
	}
	plain := func(*judge.Policy) {}
	refused := fixture.RefusedReport(judge.ReasonStarting, "", old(time.Hour, 1, 0))
	for _, row := range []struct {
		name   string
		policy func(*judge.Policy)
		report judge.Report
		want   string
	}{
		{"within its deadline", plain, fixture.ReportOf(old(10*time.Minute, 1, 0)), "within its deadline, due in 20m"},
		{"past it", plain, fixture.ReportOf(old(40*time.Minute, 1, 0)), "past its deadline, overdue by 10m"},
		{"a port spares it", func(p *judge.Policy) { p.DeadlineFor = map[uint16]time.Duration{22: 2 * time.Hour} }, fixture.ReportOf(old(time.Hour, 1, 0)), "port 22 spares it until 13:00 UTC, due in 1h0m"},
		{"a port spares it until tomorrow", func(p *judge.Policy) { p.DeadlineFor = map[uint16]time.Duration{22: 24 * time.Hour} }, fixture.ReportOf(old(time.Hour, 1, 0)), "port 22 spares it until 23 Nov 11:00 UTC, due in 23h0m"},
		{"active clients spare it", func(p *judge.Policy) { p.HardDeadline = 4 * time.Hour }, fixture.ReportOf(old(time.Hour, 1, 0)), "past its deadline, active clients spare it until 15:00 UTC, due in 3h0m"},
		{"jitter spares it", func(p *judge.Policy) { p.DeadlineJitter = 10 * time.Minute }, fixture.ReportOf(old(31*time.Minute, 1, 0)), "past its deadline, this host's jitter spares it until 12:04 UTC, due in 4m"},
		{"it will be ended earlier, as empty", func(p *judge.Policy) { p.EmptyAfter = new(15 * time.Minute) }, fixture.ReportOf(old(10*time.Minute, 0, 0)), "within its deadline, due in 5m: no client connection is left"},
		{"it is ended as empty", func(p *judge.Policy) { p.EmptyAfter = new(5 * time.Minute) }, fixture.ReportOf(old(10*time.Minute, 0, 0)), "no client connection is left, due now"},
		{"it would be idle", func(p *judge.Policy) { p.IdleAfter = 15 * time.Minute }, fixture.ReportOf(old(10*time.Minute, 1, 5*time.Minute)), "within its deadline, due in 20m; idle in 10m if no byte moves"},
		{"it would be idle after its deadline", func(p *judge.Policy) { p.IdleAfter = time.Hour }, fixture.ReportOf(old(10*time.Minute, 1, 5*time.Minute)), "within its deadline, due in 20m"},
		{"it is idle", func(p *judge.Policy) { p.IdleAfter = 5 * time.Minute }, fixture.ReportOf(old(10*time.Minute, 1, 5*time.Minute)), "all of its clients are idle, due now"},
		{"it is refused, and would be due as idle", func(p *judge.Policy) { p.Deadline, p.IdleAfter = 2*time.Hour, time.Second }, refusedAs(refused, 5*time.Minute), "refused, as its instance is, due now: all of its clients are idle"},
		{"it is refused and past its deadline", plain, refused, "refused, as its instance is, overdue by 30m"},
	} {
		t.Run(row.name, func(t *testing.T) {
			policy := judge.Policy{Deadline: 30 * time.Minute, ActiveWithin: time.Minute}
			row.policy(&policy)
			row.report.HostShare = new(0.5)
			r := judge.Decide(row.report, policy)
			in := &r.Instances[0]
			texts := Explain(in, &in.Processes[1], r.Time)
			if got := texts[len(texts)-1]; got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// refusedAs is a refused report whose residual process has been idle for so long.
func refusedAs(r judge.Report, idle time.Duration) judge.Report {
	r = fixture.Cloned(r)
	r.Instances[0].Processes[1].IdleSeconds = new(idle.Seconds())
	return r
}
