package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/serve"
)

// serveAddress is where serve listens by default. Each bed has a loopback of its
// own.
const serveAddress = "127.0.0.1:12101"

// servedAtOnce bounds the connections that serve has at once.
const servedAtOnce = serve.MaxConnections

// server is a program in a bed that is asked over HTTP: `haproxy-reaper serve`,
// unless it says otherwise.
type server struct {
	*job
	b      *bed
	client *http.Client
}

// startServe starts serve and waits for its first pass.
func (b *bed) startServe(args ...string) *server {
	b.t.Helper()
	return b.startServeAs(command{args: append([]string{bedAgent, "serve"}, args...)})
}

func (b *bed) startServeAs(c command) *server {
	b.t.Helper()
	s := b.newServer(serveAddress, c)
	s.answers("/-/ready", http.StatusOK)
	return s
}

// startServeInAPass starts serve, whose first pass goes on for long.
func (b *bed) startServeInAPass(args ...string) *server {
	b.t.Helper()
	s := b.newServer(serveAddress, command{args: append([]string{bedAgent, "serve"}, args...)})
	s.answers("/-/healthy", http.StatusOK)
	if status, text := s.get("/-/ready"); status != http.StatusServiceUnavailable {
		b.t.Errorf("the first pass has ended: %d %s", status, text)
	}
	return s
}

// newServer starts a program that listens on an address.
func (b *bed) newServer(address string, c command) *server {
	b.t.Helper()
	s := &server{job: b.start(c), b: b}
	s.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return b.dial(address) },
		DisableKeepAlives: true,
	}}
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("%q wrote:\n%s", c.args, s.stderr.String())
		}
	})
	return s
}

// get asks for a page; status 0 is a server that does not answer.
func (s *server) get(path string) (status int, body string) {
	response, err := s.client.Get("http://serve" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// answers waits until a path answers with a status.
func (s *server) answers(path string, want int) {
	s.b.t.Helper()
	s.b.until(func() error {
		select {
		case <-s.done:
			s.b.t.Fatalf("%q has ended", s.cmd.Args)
		default:
		}
		if got, _ := s.get(path); got != want {
			return fmt.Errorf("%s answers %d, want %d", path, got, want)
		}
		return nil
	})
}

// metrics are the samples of /metrics, as in `name{label="value"}`.
func (s *server) metrics() map[string]float64 {
	s.b.t.Helper()
	status, text := s.get("/metrics")
	if status != http.StatusOK {
		s.b.t.Fatalf("/metrics answers %d: %s", status, text)
	}
	return samples(s.b.t, text)
}

// has waits for a sample to have a value.
func (s *server) has(name string, want float64) {
	s.b.t.Helper()
	s.b.until(func() error {
		if got, there := s.metrics()[name]; !there || got != want {
			return fmt.Errorf("%s is %v, want %v", name, got, want)
		}
		return nil
	})
}

// stop stops serve in order.
func (s *server) stop() {
	s.b.t.Helper()
	s.b.run(command{args: []string{"kill", "-TERM", strconv.Itoa(s.pid(s.b))}})
	if code := s.wait(s.b.t); code != 0 {
		s.b.t.Errorf("serve ended with exit status %d: %s", code, s.stderr.String())
	}
}

// pass is the pid, in the bed, of the pass that serve runs just now.
func (s *server) pass() int {
	s.b.t.Helper()
	var pass int
	s.b.until(func() error {
		tasks, err := filepath.Glob(s.b.path(fmt.Sprintf("/proc/%d/task/*/children", s.pid(s.b))))
		if err != nil || len(tasks) == 0 {
			return fmt.Errorf("no tasks of serve: %v", err)
		}
		for _, task := range tasks {
			if list, err := os.ReadFile(task); err == nil && len(strings.Fields(string(list))) == 1 {
				pass, err = strconv.Atoi(strings.TrimSpace(string(list)))
				return err
			}
		}
		return fmt.Errorf("serve runs no pass")
	})
	return pass
}

// samples reads the text format.
func samples(t *testing.T, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			key := name
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				all[key] = m.Counter.GetValue()
			case dto.MetricType_HISTOGRAM:
				all[key] = float64(m.Histogram.GetSampleCount())
			default:
				all[key] = m.Gauge.GetValue() + m.Untyped.GetValue()
			}
		}
	}
	return all
}
