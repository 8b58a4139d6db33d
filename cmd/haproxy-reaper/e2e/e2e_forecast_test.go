package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestHowManyClientsWouldReconnectIsForetold(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.withTwoPorts(model)
		old := s.residualBy("127.0.0.1:8000", 3)
		b.dialFrom("127.0.0.2", "127.0.0.1:8000") // stays with the active

		forecast := func(flags ...string) *judge.Forecast {
			t.Helper()
			return b.agent(append([]string{"status", "--deadline", "0s"}, flags...)...).instance(old).Forecast
		}
		ports, rate, takes := []judge.PortClients{{Port: 8000, Clients: 3}}, 2.0, 1.5
		if diff := cmp.Diff(&judge.Forecast{Clients: 3, Ports: ports, AtOnce: 3}, forecast()); diff != "" {
			t.Errorf("without draining (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(&judge.Forecast{Clients: 3, Ports: ports, RatePerSecond: &rate, DrainSeconds: &takes}, forecast("--drain-rate", "2")); diff != "" {
			t.Errorf("with it (-want +got):\n%s", diff)
		}
		dry := b.start(command{args: []string{bedAgent, "reap", "--dry-run", "--deadline", "0s", "--drain-rate", "2"}})
		dry.wait(t)
		said := "forecast for " + s.unit() + ": 3 clients would have to reconnect (port 8000: 3), 2 a second for 2s"
		if text := dry.stdout.String(); !strings.Contains(text, said) {
			t.Errorf("a dry run does not say %q:\n%s", said, text)
		}
		rateTold := b.agent("status").instance(old).ConnectionRate
		if (rateTold != nil) != (model == judge.ModelMasterWorker) {
			t.Errorf("the active's rate is %v: only a master CLI tells it", rateTold)
		}
	})
}
