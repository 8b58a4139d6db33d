package agent

import (
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
)

func TestTheHeadSaysWhichPolicyDecides(t *testing.T) {
	r := fixture.ReportOf()
	r.HostShare = new(0.5)
	w := newWorld(t, r)
	const args = "status --deadline-for 22=24h --deadline-jitter 10m --hard-deadline 4h --empty-after 0s --idle-after 1h --max-residual 4 --min-available-memory 10"
	want := "host fe-01, deadline 30m (default); of port 22 24h, jitter 5m0s of up to 10m, 4h while clients are active within 1m, " +
		"empty after 0s, idle after 1h, at most 4 residual, at least 10 % of memory available"
	if got := strings.ReplaceAll(w.run(strings.Fields(args)...).stdout, "\n    ", " "); !strings.HasPrefix(got, want+"\n") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.report.HostShare = nil
	if got := w.run(strings.Fields(args)...).stdout; !strings.Contains(strings.ReplaceAll(got, "\n    ", " "), "jitter 10m, since this host's part of it is not known") {
		t.Error(got)
	}
}
