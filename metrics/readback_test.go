package metrics

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// program finds one of Debian's programs: by its environment variable, else on
// PATH. A test does not go without.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; scripts/test installs it, or set %s to its path", err, variable)
	}
	return path
}

func TestPromtoolFindsNothingToSay(t *testing.T) {
	promtool := program(t, "PROMTOOL", "promtool")
	for name, in := range passes {
		t.Run(name, func(t *testing.T) {
			content, err := encode(in())
			if err != nil {
				t.Fatal(err)
			}
			check := exec.Command(promtool, "check", "metrics")
			check.Stdin = bytes.NewReader(content)
			if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("promtool check metrics: %v\n%s", err, out)
			}
		})
	}
}

func TestNodeExporterReadsBackWhatWasWritten(t *testing.T) {
	for name, in := range passes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "haproxy-reaper.prom")
			if err := WriteTextfile(path, in()); err != nil {
				t.Fatal(err)
			}
			scraped := scrape(t, startNodeExporter(t, dir))
			if got := scraped["node_textfile_scrape_error"].GetMetric(); len(got) != 1 || got[0].GetGauge().GetValue() != 0 {
				t.Errorf("node_textfile_scrape_error is %v, want 0", got)
			}
			want := render(t, parse(t, strings.NewReader(read(t, path))))
			if diff := cmp.Diff(want, render(t, scraped)); diff != "" {
				t.Errorf("read back (-written +scraped):\n%s", diff)
			}
		})
	}
}

// startNodeExporter runs node_exporter on a port that the kernel chooses, with
// the textfile collector alone, and returns its address.
func startNodeExporter(t *testing.T, dir string) string {
	t.Helper()
	exporter := exec.Command(program(t, "NODE_EXPORTER", "prometheus-node-exporter"),
		"--web.listen-address=127.0.0.1:0", "--collector.disable-defaults",
		"--collector.textfile", "--collector.textfile.directory="+dir)
	logs, err := exporter.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := exporter.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		listening := regexp.MustCompile(`address="?(127\.0\.0\.1:[1-9][0-9]*)`)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			if match := listening.FindStringSubmatch(lines.Text()); match != nil {
				select {
				case address <- match[1]:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		exporter.Process.Kill()
		<-drained
		exporter.Wait()
	})
	select {
	case a := <-address:
		return a
	case <-drained:
		t.Fatal("node_exporter ended without listening")
	case <-time.After(30 * time.Second):
		t.Fatal("node_exporter did not say where it listens within 30s")
	}
	return ""
}

func scrape(t *testing.T, address string) map[string]*dto.MetricFamily {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s", response.Status)
	}
	return parse(t, response.Body)
}

// render gives our families in text, by name.
func render(t *testing.T, list map[string]*dto.MetricFamily) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for name, family := range list {
		if !strings.HasPrefix(name, namespace+"_") {
			continue
		}
		var out bytes.Buffer
		if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
			t.Fatal(err)
		}
		texts[name] = out.String()
	}
	if len(texts) == 0 {
		t.Fatal("none of our metrics there")
	}
	return texts
}
