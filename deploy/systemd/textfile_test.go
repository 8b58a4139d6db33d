package systemd_test

import (
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// The service may not write to node_exporter's folder, which is root's: a link
// there leads to what root has copied.
func TestNodeExporterReadsWhatTheUnprivilegedServiceWrites(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.Must("systemctl", "start", "haproxy-reaper.service")
	s := startNodeExporter(m)
	s.until("haproxy_reaper_runs_total", 1)
	body, err := s.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"node_textfile_scrape_error 0\n", `haproxy_reaper_active_confirmed{unit="haproxy.service"} 1` + "\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("node_exporter does not tell %q:\n%s", want, body)
		}
	}
}
