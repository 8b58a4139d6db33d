package systemd_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// The unit as it ships may close the connections of its own user's processes, so
// that an operator who sets a rate gets no storm: each client hears an end in
// order, and HAProxy's old worker leaves by itself.
func TestTheUnitDrainsAtTheRateOfTheConfiguration(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, clients := m.ReloadHolding(2)
	active, held := m.Answering(), m.Hold()
	m.AtOnce()
	m.Configure("#HAPROXY_REAPER_DRAIN_RATE=5", "HAPROXY_REAPER_DRAIN_RATE=5")
	m.GoLive()
	m.Must("systemctl", "start", "haproxy-reaper.service")

	for i, c := range clients {
		if _, err := c.Lines.ReadByte(); err != io.EOF {
			t.Errorf("the client of worker %s: %v, want a FIN", old[i], err)
		}
		m.WantJournal("residual process has left", "pid="+old[i]+" ", "outcome=drained")
	}
	m.Until(func() error {
		if got := m.Workers(); !slices.Equal(got, []string{active}) {
			return fmt.Errorf("the workers are %q, want the active one, %s, alone", got, active)
		}
		return nil
	})
	m.UntilMetrics(map[string]string{
		`terminated_processes_total{unit="haproxy.service"}`:          "2",
		`signals_sent_total{signal="SIGTERM",unit="haproxy.service"}`: "0",
		`processes{state="residual",unit="haproxy.service"}`:          "0",
		`run_failures_total`: "0",
	})
	if err := held.Echo(); err != nil {
		t.Error("the connection held on the active worker:", err)
	}
}
