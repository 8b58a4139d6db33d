package systemd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// A worker that was taken over runs as the agent's own user, and without the
// agent's capabilities.

const stateFile = "/var/lib/haproxy-reaper/state.json"

// takenOver runs a shell script as such a worker, and returns what it wrote to
// standard output.
func takenOver(m *machine.Machine, script string) string {
	out, _ := m.Run("setpriv", "--reuid=haproxy", "--regid=haproxy", "--init-groups", "sh", "-c", "exec 2>/dev/null\n"+script)
	return out
}

// startNodeExporter starts the real one, over node_exporter's folder.
func startNodeExporter(m *machine.Machine) *scraper {
	m.T.Helper()
	binary, err := os.ReadFile(os.Getenv("NODE_EXPORTER"))
	if err != nil {
		m.T.Fatal("NODE_EXPORTER names no node exporter, scripts/test unpacks one: ", err)
	}
	m.Write("/usr/local/bin/node-exporter", string(binary), 0o755)
	m.Must("systemd-run", "--quiet", "--unit=node-exporter.service", "--uid=nobody", "/usr/local/bin/node-exporter",
		"--web.listen-address=127.0.0.1:12101", "--collector.disable-defaults", "--collector.textfile",
		"--collector.textfile.directory=/var/lib/prometheus/node-exporter")
	s := newScraper(m)
	s.until("node_textfile_scrape_error", 0)
	s.client.Timeout = 10 * time.Second // a scrape that takes longer has stalled
	return s
}

// What node_exporter reads is root's. /tmp is not, but the service has its own.
func TestAWorkerThatWasTakenOverNeitherForgesMetricsNorStallsAScrape(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.Must("systemctl", "start", "haproxy-reaper.service")
	s := startNodeExporter(m)
	s.until("haproxy_reaper_runs_total", 1)
	n := 1
	for _, test := range []struct{ what, plant string }{
		{"a FIFO", `mkfifo "$f"`},
		{"a huge file", `truncate --size=1G "$f"`},
		{"a link to an endless file", `ln --symbolic /dev/zero "$f"`},
		{"a link to a secret", `ln --symbolic /etc/shadow "$f"`},
		{"a second name of another file", `ln /run/haproxy-reaper/haproxy-reaper.prom "$f"`},
		{"a folder", `mkdir "$f"`},
		{"a metric of another exporter", `echo "node_load1 1000" >"$f"`},
		{"a metric of the agent's", `echo "haproxy_reaper_runs_total 1000" >"$f"`},
	} {
		planted := takenOver(m, `for dir in /run/haproxy-reaper /var/cache/haproxy-reaper /var/lib/prometheus/node-exporter /tmp; do
			for f in $dir/haproxy-reaper.prom $dir/.new $dir/forged.prom; do
				rm --recursive --force "$f"
				`+test.plant+` && echo "$f"
			done
		done`)
		for file := range strings.FieldsSeq(planted) {
			if !strings.HasPrefix(file, "/tmp/") {
				t.Errorf("it has made %s in the place of %s", test.what, file)
			}
		}
		scrape := func() {
			t.Helper()
			body, err := s.get("/metrics")
			if err != nil {
				t.Fatalf("after %s: %v", test.what, err)
			}
			for _, want := range []string{"node_textfile_scrape_error 0\n", fmt.Sprintf("haproxy_reaper_runs_total %d\n", n)} {
				if !strings.Contains(body, want) {
					t.Errorf("after %s node_exporter does not tell %q", test.what, want)
				}
			}
			if strings.Contains(body, "node_load1") || strings.Contains(body, "root:") {
				t.Errorf("after %s node_exporter tells what was forged", test.what)
			}
		}
		scrape()
		if out, err := m.Run("systemctl", "start", "haproxy-reaper.service"); err != nil {
			t.Errorf("after %s in /tmp the run fails: %s", test.what, out)
		}
		n++
		scrape()
	}
}

// The metrics are the agent's alone until root has copied them, and nothing but
// a capability opens the lock.
func TestAWorkerThatWasTakenOverReachesNothingOfARunningPass(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	m.Must("systemctl", "start", "haproxy-reaper.service") // a dry run
	metrics := m.Read(machine.Textfile)
	m.Must("kill", "-STOP", old[0]) // the pass waits for it
	t.Cleanup(func() { m.Run("kill", "-CONT", old[0]) })
	m.GoLive()
	m.AtOnce()
	m.Configure("#HAPROXY_REAPER_KILL_AFTER=0s", "HAPROXY_REAPER_KILL_AFTER=1h")
	reach := func(pid string) string {
		return takenOver(m, `for dir in /proc/`+pid+`/root/tmp /proc/`+pid+`/cwd /tmp/systemd-private-*-haproxy-reaper.service-*/tmp; do
			ls "$dir" >/dev/null && echo "$dir"
		done
		for fd in /proc/`+pid+`/fd/*; do
			readlink "$fd"
			(: <"$fd") && echo "$fd"
		done
		(: </run/haproxy-reaper/lock) && echo the lock`)
	}
	if got := reach("self"); !strings.Contains(got, "/proc/self/root/tmp") || !strings.Contains(got, "/proc/self/fd/0") {
		t.Fatalf("of itself it reaches %q: this shows nothing", got)
	}
	m.Must("systemctl", "start", "--no-block", "haproxy-reaper.service")
	m.Until(func() error {
		if !strings.Contains(m.Read("/proc/"+old[0]+"/status"), "ShdPnd:\t0000000000004000") {
			return errors.New("the pass has not signalled yet")
		}
		return nil
	})
	pid := m.Show("haproxy-reaper.service", "MainPID")
	if got := m.Show("haproxy-reaper.service", "ActiveState"); got != "activating" || pid == "0" {
		t.Fatalf("the service is %s, its process %s: this shows nothing", got, pid)
	}
	if got := reach(pid); got != "" {
		t.Errorf("of the running pass it reaches:\n%s", got)
	}

	// What it can is end the pass. The metrics of the run before stay, and grow old.
	takenOver(m, "kill -KILL "+pid)
	m.Until(func() error {
		if got := m.Show("haproxy-reaper.service", "ActiveState"); got != "failed" {
			return fmt.Errorf("the service is %s", got)
		}
		return nil
	})
	if got := m.Read(machine.Textfile); got == "" || got != metrics {
		t.Errorf("after the end of a pass the metrics are %q", got)
	}
}

// The state is the workers' user's own. Whatever it says, nothing is signalled
// that is not residual, what is residual is reaped, and the metrics stay the
// agent's own families, of a size that a scrape bears.
func TestAStateThatAWorkerForgedNeitherChoosesATargetNorSparesOne(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.GoLive()
	m.AtOnce()
	m.Must("systemctl", "start", "haproxy-reaper.service")
	s := startNodeExporter(m)
	forged := func(change func(state map[string]any)) string {
		var state map[string]any
		if err := json.Unmarshal([]byte(m.Read(stateFile)), &state); err != nil {
			t.Fatal(err)
		}
		change(state)
		text, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	inPlace := func(command string) func(string) {
		return func(string) {
			takenOver(m, "cd /var/lib/haproxy-reaper && rm --recursive --force state.json && "+command)
		}
	}
	for _, test := range []struct {
		what   string
		status string // of the run's exit
		forge  func(active string)
	}{
		{"says that the active was told to stop long ago", "0", func(active string) {
			m.Write(stateFile, forged(func(state map[string]any) {
				fields := strings.Fields(m.Read("/proc/" + active + "/stat"))
				state["memory"] = map[string]any{active + "@" + fields[21]: map[string]any{"Residual": 1, "Superseded": 1, "Told": true}}
			}), 0o600)
		}},
		{"counts for instances with endless names", "0", func(string) {
			m.Write(stateFile, forged(func(state map[string]any) {
				units := map[string]any{}
				for n := range 60 {
					units[strings.Repeat("/", 60000)+fmt.Sprint(n)] = map[string]any{"terminated_processes": 1}
				}
				state["counters"].(map[string]any)["units"] = units
			}), 0o600)
		}},
		{"is a FIFO", "0", inPlace("mkfifo state.json")},
		{"is a folder", "1", inPlace("mkdir state.json")},
		{"is a link to a secret", "0", inPlace("ln --symbolic /etc/shadow state.json")},
		{"is endless", "0", inPlace("truncate --size=10G state.json")},
		{"is locked for good", "1", func(string) {
			m.Must("systemd-run", "--quiet", "--unit=holder.service", "--uid=haproxy", "flock", "/var/lib/haproxy-reaper/lock", "sleep", "infinity")
			m.Until(func() error {
				if takenOver(m, "flock --nonblock /var/lib/haproxy-reaper/lock true || echo held") != "held" {
					return errors.New("nothing holds the lock yet")
				}
				return nil
			})
		}},
	} {
		old, _ := m.ReloadHolding(1)
		active := m.Answering()
		test.forge(active)
		out, _ := m.Run("systemctl", "start", "haproxy-reaper.service") // whatever it says of its state
		if got := m.Workers(); !slices.Equal(got, []string{active}) {
			t.Fatalf("a state that %s: the workers are %q, want %s without %s: %s\n%s", test.what, got, active, old[0], out, m.Journal())
		}
		if got := m.Show("haproxy-reaper.service", "ExecMainStatus"); got != test.status {
			t.Errorf("a state that %s: the exit status is %s, want %s: %s", test.what, got, test.status, m.Journal())
		}
		if size := len(m.Read(machine.Textfile)); size == 0 || size > 4<<20 {
			t.Errorf("a state that %s: the metrics have %d bytes", test.what, size)
		}
		if body, err := s.get("/metrics"); err != nil || !strings.Contains(body, "node_textfile_scrape_error 0\n") {
			t.Errorf("a state that %s: node_exporter: %v\n%.2000s", test.what, err, body)
		}
	}
}

// The lock is root's. Without the capability that opens it a run says so, and
// signals nothing.
func TestAServiceThatMayNotOpenTheLockSaysSo(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.ReloadHolding(1)
	m.GoLive()
	m.AtOnce()
	addDropIn(m, "haproxy-reaper.service", "less.conf", "[Service]\nAmbientCapabilities=\nAmbientCapabilities=CAP_SYS_PTRACE\n")
	if out, err := m.Run("systemctl", "start", "haproxy-reaper.service"); err == nil {
		t.Errorf("it succeeds: %s", out)
	}
	if got := m.Show("haproxy-reaper.service", "ExecMainStatus"); got != "4" {
		t.Errorf("the exit status is %s, want 4: a missing privilege", got)
	}
	m.WantJournal("reap may not act", "/run/haproxy-reaper/lock", "permission denied")
	if got := m.Workers(); len(got) != 2 {
		t.Errorf("the workers are %v, want both", got)
	}
	m.UntilMetrics(map[string]string{`overdue_processes{unit="haproxy.service"}`: "1"})
}
