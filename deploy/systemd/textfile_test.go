package systemd_test

import (
	"os"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// The service may not write to node_exporter's folder, which is root's: a link
// there leads to its own.
func TestNodeExporterReadsWhatTheUnprivilegedServiceWrites(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(os.Getenv("NODE_EXPORTER"))
	if err != nil {
		t.Fatal("NODE_EXPORTER names no node exporter, scripts/test unpacks one: ", err)
	}
	m := machine.Boot(t)
	install(m)
	m.Must("systemctl", "start", "haproxy-reaper.service")
	m.Write("/usr/local/bin/node-exporter", string(binary), 0o755)
	m.Must("systemd-run", "--quiet", "--unit=node-exporter.service", "--uid=nobody", "/usr/local/bin/node-exporter",
		"--web.listen-address=127.0.0.1:12101", "--collector.disable-defaults", "--collector.textfile",
		"--collector.textfile.directory=/var/lib/prometheus/node-exporter")
	s := newScraper(m)
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
