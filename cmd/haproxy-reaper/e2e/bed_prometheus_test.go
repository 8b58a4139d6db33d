package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Where Debian's programs listen in a bed, whose loopback is its own, and where
// its node exporter looks for textfiles.
const (
	prometheusAddress   = "127.0.0.1:9090"
	alertmanagerAddress = "127.0.0.1:9093"
	exporterAddress     = "127.0.0.1:9100"
	textfileDir         = bedDir + "/textfile"
)

// scraping says what a bed's Prometheus does, twice a second.
type scraping struct {
	jobs  map[string][]string // addresses that are scraped, by the name of their job
	rules string              // content of its rule file; none when empty
}

// prometheus is a real Prometheus in a bed.
type prometheus struct{ *server }

// alertmanager is a real Alertmanager in a bed. It holds an alert back for
// nothing, and sends it nowhere: it is asked.
type alertmanager struct{ *server }

// debian finds one of Debian's programs, which scripts/test unpacks and names in
// an environment variable; else it is looked for in PATH. A test does not go
// without.
func debian(t *testing.T, variable, name string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; scripts/test unpacks it, or set %s to its path", err, variable)
	}
	return path
}

// startNodeExporter starts a node exporter that tells what lies in textfileDir.
func (b *bed) startNodeExporter() *server {
	b.t.Helper()
	if err := os.MkdirAll(b.path(textfileDir), 0o755); err != nil {
		b.t.Fatal(err)
	}
	exporter := b.newServer(exporterAddress, command{args: []string{
		debian(b.t, "NODE_EXPORTER", "prometheus-node-exporter"),
		"--web.listen-address=" + exporterAddress, "--collector.disable-defaults",
		"--collector.textfile", "--collector.textfile.directory=" + textfileDir,
	}})
	exporter.answers("/", http.StatusOK)
	return exporter
}

// startAlertmanager starts an Alertmanager.
func (b *bed) startAlertmanager() *alertmanager {
	b.t.Helper()
	const config = bedDir + "/alertmanager.yml"
	b.write(config, `
route: {receiver: nobody, group_by: [...], group_wait: 0s, group_interval: 1s}
receivers: [{name: nobody}]
`)
	binary := debian(b.t, "ALERTMANAGER", "prometheus-alertmanager")
	// Debian's looks for its template in /usr/share, which here it sees as its
	// package has it, alone.
	share := filepath.Join(filepath.Dir(filepath.Dir(binary)), "share")
	a := &alertmanager{b.newServer(alertmanagerAddress, command{args: []string{
		"unshare", "--mount", "sh", "-ec",
		`mount --bind "$1" /usr/share; shift; exec "$@"`, "sh", share,
		binary, "--config.file=" + config, "--storage.path=" + bedDir + "/alertmanager",
		"--web.listen-address=" + alertmanagerAddress, "--cluster.listen-address=",
	}})}
	a.answers("/-/ready", http.StatusOK)
	return a
}

// startPrometheus starts a Prometheus that sends its alerts to the bed's
// Alertmanager, where one was started, and waits until every target answers.
// That takes at least the 5 seconds that its discovery of targets waits.
func (b *bed) startPrometheus(with scraping) *prometheus {
	b.t.Helper()
	const config, rules = bedDir + "/prometheus.yml", bedDir + "/prometheus-rules.yml"
	var text strings.Builder
	fmt.Fprintf(&text, "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 200ms}\n")
	fmt.Fprintf(&text, "alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n", alertmanagerAddress)
	if with.rules != "" {
		b.write(rules, with.rules)
		fmt.Fprintf(&text, "rule_files: [%q]\n", rules)
	}
	fmt.Fprintln(&text, "scrape_configs:")
	targets := 0
	for _, name := range slices.Sorted(maps.Keys(with.jobs)) {
		list, err := json.Marshal(with.jobs[name])
		if err != nil {
			b.t.Fatal(err)
		}
		fmt.Fprintf(&text, "- {job_name: %q, static_configs: [{targets: %s}]}\n", name, list)
		targets += len(with.jobs[name])
	}
	b.write(config, text.String())
	p := &prometheus{b.newServer(prometheusAddress, command{args: []string{
		debian(b.t, "PROMETHEUS", "prometheus"),
		"--config.file=" + config, "--storage.tsdb.path=" + bedDir + "/prometheus",
		"--storage.tsdb.wal-segment-size=10MB", "--web.listen-address=" + prometheusAddress,
	}})}
	p.answers("/-/ready", http.StatusOK)
	p.has("count(up == 1) or vector(0)", float64(targets))
	return p
}

// sample is one element of an instant vector.
type sample struct {
	labels map[string]string // __name__ included, where there is one
	value  float64
}

// query evaluates an expression, which must be a vector, now.
func (p *prometheus) query(expr string) (list []sample) {
	p.b.t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any // the time, and the number as a text
		}
	}
	p.api("query", url.Values{"query": {expr}}, &data)
	for _, element := range data.Result {
		number, err := strconv.ParseFloat(fmt.Sprint(element.Value[1]), 64)
		if err != nil {
			p.b.t.Fatalf("%s: %v", expr, err)
		}
		list = append(list, sample{element.Metric, number})
	}
	return list
}

// api asks a path of the HTTP API and reads its data.
func (p *prometheus) api(path string, query url.Values, data any) {
	p.b.t.Helper()
	p.read("/api/v1/"+path+"?"+query.Encode(), &struct{ Data any }{data})
}

// read asks for a path and reads its JSON.
func (s *server) read(path string, into any) {
	s.b.t.Helper()
	status, text := s.get(path)
	if status != http.StatusOK {
		s.b.t.Fatalf("%s answers %d: %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.b.t.Fatalf("%s: %v in %s", path, err, text)
	}
}

// is says that an expression has not exactly one sample, of that value.
func (p *prometheus) is(expr string, want float64) error {
	p.b.t.Helper()
	got := p.query(expr)
	if len(got) == 1 && got[0].value == want {
		return nil
	}
	return fmt.Errorf("%s is %v, want one sample of %v", expr, got, want)
}

// has waits for an expression to have exactly one sample, of that value.
func (p *prometheus) has(expr string, want float64) {
	p.b.t.Helper()
	p.b.until(func() error { p.b.t.Helper(); return p.is(expr, want) })
}

// alert is one that fires, or with Prometheus is pending.
type alert struct {
	Labels      map[string]string
	Annotations map[string]string
	State       string // pending or firing, of Prometheus
}

// alerts are those of the rules, pending ones included.
func (p *prometheus) alerts() []alert {
	p.b.t.Helper()
	var data struct{ Alerts []alert }
	p.api("alerts", nil, &data)
	return data.Alerts
}

// alerts are those that fire by what Prometheus has told.
func (a *alertmanager) alerts() (list []alert) {
	a.b.t.Helper()
	a.read("/api/v2/alerts?active=true", &list)
	return list
}
