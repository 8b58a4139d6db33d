package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// unit is the instance of a bed's service "web", as a metric label.
const unit = bedDir + "/web.cfg"

func TestServeTellsWhatItsPassesSeeAndDo(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		unit := s.unit()
		old := s.makeResidual(2, 3)
		before := b.processes()
		const textfile = "/run/bed/haproxy-reaper.prom"
		serve := b.startServe("--interval", "1h", "--deadline", "1h", "--textfile", textfile)

		got := serve.metrics()
		for name, want := range map[string]float64{
			fmt.Sprintf(`haproxy_reaper_processes{state="residual",unit=%q}`, unit):                 2,
			fmt.Sprintf(`haproxy_reaper_connections{side="client",state="residual",unit=%q}`, unit): 6,
			fmt.Sprintf(`haproxy_reaper_active_confirmed{unit=%q}`, unit):                           1,
			fmt.Sprintf(`haproxy_reaper_signals_sent_total{signal="SIGTERM",unit=%q}`, unit):        0,
			`haproxy_reaper_runs_total`: 1,
			`haproxy_reaper_dry_run`:    0,
		} {
			if value, there := got[name]; !there || value != want {
				t.Errorf("%s is %v, want %v", name, value, want)
			}
		}
		// What is scraped is what the same pass has written.
		written := samples(t, b.read(textfile))
		maps.DeleteFunc(got, func(name string, _ float64) bool { return !strings.HasPrefix(name, "haproxy_reaper_") })
		if diff := cmp.Diff(written, got); diff != "" {
			t.Errorf("textfile and scrape differ (-textfile +scrape):\n%s", diff)
		}
		serve.stop()
		b.stay(before...)

		serve = b.startServe("--interval", "1h", "--deadline", "0s")
		serve.has(fmt.Sprintf(`haproxy_reaper_terminated_processes_total{unit=%q}`, unit), 2)
		serve.has(fmt.Sprintf(`haproxy_reaper_residual_lifetime_seconds{outcome="terminated",unit=%q}`, unit), 2)
		serve.has(`haproxy_reaper_runs_total`, 2)
		b.stay(without(before, old...)...)
		serve.stop()
	})
}

func TestServeInADryRunSignalsNobodyAndKeepsItsState(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	before := b.processes()
	serve := b.startServeAs(command{args: []string{bedAgent, "serve", "--interval", "100ms", "--deadline", "0s"}, env: []string{"DRYRUN=1"}})
	b.until(func() error {
		if runs := serve.metrics()["haproxy_reaper_runs_total"]; runs < 3 {
			return fmt.Errorf("%v runs", runs)
		}
		return nil
	})
	serve.has(fmt.Sprintf(`haproxy_reaper_overdue_processes{unit=%q}`, unit), 1)
	serve.has(fmt.Sprintf(`haproxy_reaper_signals_sent_total{signal="SIGTERM",unit=%q}`, unit), 0)
	b.stay(before...)
	// It leaves by itself, and that is counted too.
	s.release(old)
	serve.has(fmt.Sprintf(`haproxy_reaper_residual_lifetime_seconds{outcome="left",unit=%q}`, unit), 1)
	serve.stop()
}

func TestPageShowsEveryProcessWithItsVerdictAndReason(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 3)
	serve := b.startServe("--interval", "1h", "--dry-run")
	status, page := serve.get("/")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	for _, p := range b.processes() {
		if !strings.Contains(page, fmt.Sprintf(`<td data-label="PID">%d</td>`, p.PID)) {
			t.Errorf("%d %q is not on the page", p.PID, p.args)
		}
	}
	for _, want := range []string{
		"1 residual, 3 client connections, next due in 30m, dry run", unit,
		"the master, never signalled", "the current worker", "within its deadline, due in",
		`<td data-label="CLIENTS">3</td>`, "dry run: nobody is signalled",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("nothing of %q on the page:\n%s", want, page)
		}
	}
	for path, want := range map[string]int{"/style.css": 200, "/-/healthy": 200, "/debug/pprof/": 404, "/nothing": 404} {
		if got, _ := serve.get(path); got != want {
			t.Errorf("%s answers %d, want %d", path, got, want)
		}
	}
	serve.stop()
}

// A process that a terminal or a browser would take for more than a name.
func TestPageEscapesWhatAProcessIsCalled(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const hostile = `<script>alert("x")</script>`
	s := b.startService(hostile[:8], setup{})
	s.makeResidual(1, 1)
	serve := b.startServe("--interval", "1h", "--dry-run")
	_, page := serve.get("/")
	if strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;.cfg") {
		t.Errorf("the page:\n%s", page)
	}
	serve.stop()
}

// wedgedService makes a residual process that no SIGTERM ends.
func wedgedService(b *bed) (s *service, old process) {
	s = b.startService("web", setup{})
	old = s.makeResidual(1, 1)[0]
	b.signal(old, "STOP")
	return s, old
}

func TestServeIsHealthyWhileAPassGetsOnAndNotWhenItHangs(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, old := wedgedService(b)
	serve := b.startServeInAPass("--interval", "1s", "--deadline", "0s", "--kill-after", "1h")
	b.until(func() error { return b.pending(old, unix.SIGTERM) })
	pass := serve.pass()
	// The pass waits for an hour. Three intervals are three seconds.
	waited := time.Now()
	b.until(func() error {
		if status, text := serve.get("/-/healthy"); status != http.StatusOK {
			t.Fatalf("a pass that waits: %d %s", status, text)
		}
		if time.Since(waited) < 5*time.Second {
			return fmt.Errorf("it is to be healthy for longer than three intervals")
		}
		return nil
	})
	b.run(command{args: []string{"kill", "-STOP", strconv.Itoa(pass)}})
	serve.answers("/-/healthy", http.StatusServiceUnavailable)
	b.run(command{args: []string{"kill", "-CONT", strconv.Itoa(pass)}})
	serve.answers("/-/healthy", http.StatusOK)
	serve.stop()
}

// Whoever stops, upgrades or kills serve does so sooner or later while a pass
// waits between SIGTERM and SIGKILL.
func TestServeEndedInMidEscalationLosesNothing(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(b *bed, serve *server)
	}{
		{"stopped", func(_ *bed, serve *server) { serve.stop() }},
		{"killed, and its pass with it", func(b *bed, serve *server) {
			// The pass first: its end tells serve nothing that it could write.
			pass := strconv.Itoa(serve.pass())
			b.run(command{args: []string{"kill", "-STOP", strconv.Itoa(serve.pid(b))}})
			b.run(command{args: []string{"kill", "-KILL", pass, strconv.Itoa(serve.pid(b))}})
			serve.wait(b.t)
		}},
		{"killed alone", func(b *bed, serve *server) {
			pass := serve.pass()
			b.run(command{args: []string{"kill", "-KILL", strconv.Itoa(serve.pid(b))}})
			serve.wait(b.t)
			b.until(func() error { // the kernel tells the pass
				if _, err := os.Stat(b.path(fmt.Sprintf("/proc/%d", pass))); err == nil {
					return fmt.Errorf("the pass %d goes on", pass)
				}
				return nil
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s, old := wedgedService(b)
			before := b.processes()
			serve := b.startServeInAPass("--interval", "1s", "--deadline", "0s", "--kill-after", "1h")
			b.until(func() error { return b.pending(old, unix.SIGTERM) })
			b.until(func() error {
				if text := b.read("/var/lib/haproxy-reaper/state.json"); !strings.Contains(text, `"open"`) {
					return fmt.Errorf("the signal is not on record yet: %s", text)
				}
				return nil
			})
			test.end(b, serve)
			b.stay(before...)

			serve = b.startServe("--interval", "1h", "--deadline", "1h")
			got := serve.metrics()
			if sent := got[fmt.Sprintf(`haproxy_reaper_signals_sent_total{signal="SIGTERM",unit=%q}`, unit)]; sent != 1 {
				t.Errorf("%v SIGTERM are counted, want the one that was sent", sent)
			}
			if runs := got["haproxy_reaper_runs_total"]; runs != 2 {
				t.Errorf("%v runs are counted, want 2", runs)
			}
			b.signal(old, "CONT") // it leaves by that SIGTERM
			b.until(func() error { return b.gone(old) })
			serve.stop()
			b.stay(without(before, old)...)

			serve = b.startServe("--interval", "1h", "--deadline", "0s")
			serve.has(fmt.Sprintf(`haproxy_reaper_residual_lifetime_seconds{outcome="terminated",unit=%q}`, unit), 1)
			serve.stop()
			s.answers()
		})
	}
}

// serve is one process that anybody on the network may try to wear down.
func TestFiveHundredSlowClientsHoldUpNeitherPassesNorScrapes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startService("web", setup{})
	serve := b.startServe("--interval", "100ms")
	var slow []net.Conn
	for i := range 500 {
		c, err := b.dial(serveAddress)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: ") // and never more
		slow = append(slow, c)
	}
	runs := serve.metrics()["haproxy_reaper_runs_total"]
	b.until(func() error {
		if now := serve.metrics()["haproxy_reaper_runs_total"]; now < runs+10 {
			return fmt.Errorf("%v passes, want ten more than %v", now, runs)
		}
		return nil
	})
	if open := serve.metrics()["process_open_fds"]; open > servedAtOnce+50 {
		t.Errorf("%v descriptors are open for %d slow clients", open, len(slow))
	}
	// The slow ones are shown the door, the last no later than the first.
	for _, c := range slices.Backward(slow) {
		c.SetReadDeadline(time.Now().Add(bedPatience))
		if n, err := c.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
			t.Fatalf("a slow client: %d bytes, %v", n, err)
		}
	}
	serve.stop()
}

func TestServeThatCannotStartSaysWhyInOneLine(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.write(bedDir+"/web.yml", "tls_server_config:\n  cert_file: /nowhere\n")
	taken := b.startServe("--interval", "1h")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"--interval 0s", agent.ExitUsage, "--interval: must be longer than 0s"},
		{"--web.config.file /run/bed/nothing.yml", agent.ExitUsage, "/run/bed/nothing.yml"},
		{"--web.config.file /run/bed/web.yml", agent.ExitUsage, "/run/bed/web.yml"},
		{"--web.listen-address " + serveAddress, agent.ExitFailed, "address already in use"},
		{"--web.listen-address nonsense", agent.ExitFailed, "nonsense"},
		{"--web.systemd-socket", agent.ExitFailed, "systemd has handed over no socket"},
		{"--output json", agent.ExitUsage, "--output"},
		{"--clients", agent.ExitUsage, "--clients"},
	} {
		j := b.start(command{args: append([]string{bedAgent, "serve", "--log.level", "warn"}, strings.Fields(test.args)...)})
		code := j.wait(t)
		text := strings.TrimSpace(j.stderr.String())
		if code != test.code || !strings.Contains(text, test.says) || strings.Contains(text, "\n") {
			t.Errorf("serve %s: exit status %d: %s", test.args, code, text)
		}
	}
	taken.stop()
}

func TestHangupIsHarmlessToServe(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	serve := b.startServe("--interval", "100ms")
	b.run(command{args: []string{"kill", "-HUP", strconv.Itoa(serve.pid(b))}})
	runs := serve.metrics()["haproxy_reaper_runs_total"]
	b.until(func() error {
		if now := serve.metrics()["haproxy_reaper_runs_total"]; now < runs+3 {
			return fmt.Errorf("%v passes", now)
		}
		return nil
	})
	serve.stop()
}

// A pass that is killed has counted nothing itself.
func TestAPassThatDiesIsARunThatFailed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, old := wedgedService(b)
	serve := b.startServeInAPass("--interval", "1s", "--deadline", "0s", "--kill-after", "1h")
	b.until(func() error { return b.pending(old, unix.SIGTERM) })
	b.run(command{args: []string{"kill", "-KILL", strconv.Itoa(serve.pass())}})
	serve.has("haproxy_reaper_run_failures_total", 1)
	serve.stop()
}

// While a run by hand holds the lock, serve waits its turn.
func TestServeLeavesARunByHandItsTime(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, old := wedgedService(b)
	hand := b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--kill-after", "1h"}})
	b.until(func() error { return b.pending(old, unix.SIGTERM) })
	serve := b.startServe("--interval", "200ms", "--deadline", "0s")
	b.until(func() error {
		if text := serve.stderr.String(); strings.Count(text, "another run holds the lock") < 20 {
			return fmt.Errorf("it did not try again for four seconds: %s", text)
		}
		return nil
	})
	if status, text := serve.get("/-/healthy"); status != http.StatusOK {
		t.Errorf("healthy: %d %s", status, text)
	}
	if failures := serve.metrics()["haproxy_reaper_run_failures_total"]; failures != 0 {
		t.Errorf("%v runs failed", failures)
	}
	serve.stop()
	b.run(command{args: []string{"kill", "-TERM", strconv.Itoa(hand.pid(b))}})
	b.signal(old, "CONT")
	hand.wait(t)
}
