package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The beds are what the other tests stand on, so they are tested first, with
// HAProxy alone.

func TestBedKeepsOldWorkersWithClientsAfterAReload(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		old := s.makeResidual(2, 1)
		listening, active := b.listening(), s.active()
		if !active.holds(listening) || !active.named(old[1].PID) {
			t.Errorf("the active worker %+v should listen and have been told to finish %v", active, old[1].ProcID)
		}
		for _, p := range old {
			if p.holds(listening) {
				t.Errorf("old worker %v still listens", p.ProcID)
			}
			for _, c := range s.clients[p.ProcID] {
				if err := echo(c); err != nil {
					t.Errorf("the client of old worker %v: %v", p.ProcID, err)
				}
			}
		}
		s.clients[old[0].ProcID][0].Close()
		b.until(func() error { return s.serving(nil, ids(old[1:])) })
	})
}

func TestBedsDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	one, other := newBed(t), newBed(t)
	s := one.startService("web", setup{})
	if there := other.processes(); len(there) != 0 {
		t.Errorf("the other bed has %+v", there)
	}
	if _, err := other.dial(s.address); err == nil {
		t.Errorf("the other bed answers on %s", s.address)
	}
	other.startService("web", setup{}) // same port, same files
	if got := len(one.processes()); got != 2 {
		t.Errorf("%d processes in the one bed, want a master and a worker", got)
	}
}

// A test bed that could not show a wrong kill would prove nothing.
func TestBedNoticesThatTheActiveWorkerWasKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{model: judge.ModelDaemon})
	old := s.makeResidual(1, 1)
	probe := s.probe()
	active := s.active()
	b.signal(active, "TERM")
	b.until(func() error { return b.gone(active) })
	b.stay(old...)
	b.until(func() error {
		if !probe.failed.Load() {
			return errors.New("every new connection is still answered")
		}
		return nil
	})
}

func TestBedsPrometheusScrapesJudgesAndAlerts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startNodeExporter()
	told := b.startAlertmanager()
	p := b.startPrometheus(scraping{
		jobs:  map[string][]string{"node": {exporterAddress}, "self": {prometheusAddress}},
		rules: `groups: [{name: test, rules: [{alert: High, expr: "height > 2", labels: {severity: warning}}]}]`,
	})
	if got := p.query("height"); len(got) != 0 {
		t.Errorf("before anything was written: %v", got)
	}
	b.write(textfileDir+"/test.prom", "height{of=\"a tree\"} 2.5\n")
	p.has(`height{job="node",of="a tree"}`, 2.5)
	firing := func() (names []string) {
		for _, a := range told.alerts() {
			names = append(names, a.Labels["alertname"]+" "+a.Labels["of"])
		}
		return names
	}
	b.until(func() error {
		if got := firing(); !slices.Equal(got, []string{"High a tree"}) {
			return fmt.Errorf("%q of %v has reached Alertmanager", got, p.alerts())
		}
		return nil
	})
	b.write(textfileDir+"/test.prom", "height{of=\"a tree\"} 1\n")
	b.until(func() error {
		if got := firing(); len(got) > 0 {
			return fmt.Errorf("%q still fires", got)
		}
		return nil
	})
}
