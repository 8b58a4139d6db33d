package systemd_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

const serveUnit = "haproxy-reaper-serve.service"

// scraper asks serve for pages, each time over a connection of its own.
type scraper struct {
	m      *machine.Machine
	client http.Client
}

func newScraper(m *machine.Machine) *scraper {
	return &scraper{m, http.Client{Timeout: machine.Patience, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (c net.Conn, err error) {
			err = m.Inside(func() (err error) { c, err = net.DialTimeout("tcp", "127.0.0.1:12101", machine.Patience); return err })
			return c, err
		},
		DisableKeepAlives: true,
	}}}
}

func (s *scraper) get(path string) (string, error) {
	response, err := s.client.Get("http://serve" + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// sample is the value of one sample of /metrics; its name has the prefix.
func (s *scraper) sample(name string) (float64, error) {
	body, err := s.get("/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(body) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// until waits until a sample is at least that.
func (s *scraper) until(name string, least float64) {
	s.m.T.Helper()
	s.m.Until(func() error {
		value, err := s.sample(name)
		if err == nil && value < least {
			err = fmt.Errorf("%s is %v, want at least %v", name, value, least)
		}
		return err
	})
}

// often makes serve run a pass several times a second.
func often(m *machine.Machine) {
	m.T.Helper()
	addDropIn(m, serveUnit, "often.conf", "[Service]\nEnvironment=HAPROXY_REAPER_INTERVAL=200ms\n")
}

func TestServeTellsSystemdAndPrometheusWhatItsPassesSeeAndDo(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, clients := m.ReloadHolding(2)
	often(m)

	// Type=notify: this returns when serve listens.
	m.Must("systemctl", "start", serveUnit)
	s := newScraper(m)
	s.until(`haproxy_reaper_processes{state="residual",unit="haproxy.service"}`, 2)
	m.Until(func() error {
		if got := m.Show(serveUnit, "StatusText"); got != "2 residual, 2 client connections, next due in 30m, dry run" {
			return fmt.Errorf("systemctl status says %q", got)
		}
		return nil
	})
	// The parent, which anybody may talk to, can do nothing at all.
	if got := m.Read("/proc/" + m.Show(serveUnit, "MainPID") + "/status"); !strings.Contains(got, "CapEff:\t0000000000000000\n") {
		t.Errorf("serve has effective capabilities:\n%s", got)
	}

	m.GoLive()
	m.AtOnce() // read by the next pass
	s.until(`haproxy_reaper_terminated_processes_total{unit="haproxy.service"}`, 2)
	if got := m.Workers(); len(got) != 1 {
		t.Errorf("the workers are %q, want the active alone", got)
	}
	if err := clients[0].Echo(); err == nil {
		t.Errorf("the client of worker %s, which is gone, still has its connection", old[0])
	}
	m.Must("systemctl", "stop", serveUnit)
	if got := m.Show(serveUnit, "Result"); got != "success" {
		t.Errorf("stopped, its result is %q", got)
	}
}

func TestServeTakesTheTimersPlace(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.Hurry()
	m.Must("systemctl", "start", "haproxy-reaper.timer")
	m.UntilMetrics(map[string]string{"instances": "1"})
	m.Must("systemctl", "start", serveUnit)
	if got := m.Show("haproxy-reaper.timer", "ActiveState"); got != "inactive" {
		t.Errorf("beside serve the timer is %s", got)
	}
	// Else it would grow old, and alerts say that the agent is silent.
	if got := m.Read(machine.Textfile); got != "" {
		t.Errorf("node_exporter would still read\n%s", got)
	}
	runs, err := newScraper(m).sample("haproxy_reaper_runs_total")
	if err != nil || runs < 2 {
		t.Errorf("%v runs (%v), want those of the timer counted on", runs, err)
	}
}

// The watchdog ends a serve whose passes hang, and systemd starts another.
func TestSystemdRestartsAServeWhosePassesHang(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	m.GoLive()
	m.AtOnce()
	m.Configure("#HAPROXY_REAPER_KILL_AFTER=0s", "HAPROXY_REAPER_KILL_AFTER=1h")
	often(m)
	addDropIn(m, serveUnit, "watchdog.conf", "[Service]\nWatchdogSec=1s\nRestartSec=0\n")
	m.Must("kill", "-STOP", old[0]) // no SIGTERM ends it: the pass waits for an hour
	t.Cleanup(func() { m.Run("kill", "-CONT", old[0]) })
	m.Must("systemctl", "start", serveUnit)
	before := m.Show(serveUnit, "MainPID")
	m.Until(func() error {
		pass, err := m.Run("pgrep", "--parent", before)
		if err != nil || !strings.Contains(m.Read("/proc/"+old[0]+"/status"), "ShdPnd:\t0000000000004000") {
			return fmt.Errorf("no pass has signalled yet: %q", pass)
		}
		m.Must("kill", "-STOP", pass)
		return nil
	})
	m.Until(func() error {
		if now := m.Show(serveUnit, "MainPID"); now == before || now == "0" {
			return fmt.Errorf("serve is still %s", now)
		}
		return nil
	})
	if got := m.Must("journalctl", "--no-pager", "--output=cat", "--unit="+serveUnit); !strings.Contains(got, "Watchdog timeout") {
		t.Errorf("the journal does not tell of the watchdog:\n%s", got)
	}
}

// A mistake in the configuration does not mend itself.
func TestServeIsNotStartedAgainAfterAMistakeInItsConfiguration(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.Configure("HAPROXY_REAPER_MAX_TERMINATIONS=5", "HAPROXY_REAPER_MAX_TERMINATIONS=many")
	if out, err := m.Run("systemctl", "start", serveUnit); err == nil {
		t.Errorf("it starts: %s", out)
	}
	if got := m.Show(serveUnit, "ExecMainStatus") + " " + m.Show(serveUnit, "NRestarts") + " " + m.Show(serveUnit, "ActiveState"); got != "2 0 failed" {
		t.Errorf("exit status, restarts and state are %q, want a 2, none, and failed", got)
	}
}

func TestWithSocketActivationNoScrapeIsRefusedAcrossRestarts(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	often(m)
	dropIn(m, serveUnit, "socket-activation.conf")
	m.Must("systemctl", "start", "haproxy-reaper-serve.socket")
	s := newScraper(m)
	s.until("haproxy_reaper_runs_total", 1) // the first scrape starts it

	var scrapes, runs atomic.Int64
	stop, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			now, err := s.sample("haproxy_reaper_runs_total")
			if err == nil && int64(now) < runs.Load() {
				err = fmt.Errorf("runs_total went back from %d to %v", runs.Load(), now)
			}
			if err != nil {
				ended <- err
				return
			}
			runs.Store(int64(now))
			scrapes.Add(1)
		}
	}()
	for range 5 {
		before, pid := scrapes.Load(), m.Show(serveUnit, "MainPID")
		m.Must("systemctl", "restart", serveUnit)
		m.Until(func() error {
			select {
			case err := <-ended:
				t.Fatalf("scrape %d: %v", scrapes.Load()+1, err)
			default:
			}
			if scrapes.Load() < before+3 {
				return fmt.Errorf("no scrape since the restart")
			}
			return nil
		})
		if m.Show(serveUnit, "MainPID") == pid {
			t.Error("it was not restarted")
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	t.Logf("%d scrapes across 5 restarts", scrapes.Load())
}

// As long as it runs, it needs no more than at first.
func TestAThousandPassesLeaveServeAsSmallAsItWas(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.ReloadHolding(2)
	addDropIn(m, serveUnit, "often.conf", "[Service]\nEnvironment=HAPROXY_REAPER_INTERVAL=10ms\n")
	m.Must("systemctl", "start", serveUnit)
	s := newScraper(m)
	measure := func() map[string]float64 {
		t.Helper()
		values := map[string]float64{}
		for _, name := range []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes"} {
			value, err := s.sample(name)
			if err != nil {
				t.Fatal(err)
			}
			values[name] = value
		}
		return values
	}
	s.until("haproxy_reaper_runs_total", 10)
	before := measure()
	const passes, some = 1000, 100
	for n := some; n <= passes; n += some { // each within a minute, however busy the machine
		s.until("haproxy_reaper_runs_total", float64(n))
	}
	after := measure()
	// A pass under way has a few of each.
	for name, more := range map[string]float64{"go_goroutines": 8, "process_open_fds": 8} {
		if after[name] > before[name]+more {
			t.Errorf("%s was %v after ten passes and is %v after %d", name, before[name], after[name], passes)
		}
	}
	const most = 30 << 20
	if rss := after["process_resident_memory_bytes"]; rss > most {
		t.Errorf("serve has %v MiB after %d passes, want at most %d", rss/(1<<20), passes, most>>20)
	}
	t.Logf("after %d passes: %v", passes, after)
	if failures, err := s.sample("haproxy_reaper_run_failures_total"); err != nil || failures > 0 {
		t.Errorf("%v passes failed, %v", failures, err)
	}
}
