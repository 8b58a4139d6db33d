package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
)

// hastened is the shipped rules file in which time passes 150 times as fast:
// every `for:` and every window in brackets is divided by that, so that a
// quarter of an hour is six seconds and five minutes are two, four scrapes of a
// bed. Nothing else is changed.
func hastened(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/prometheus/haproxy-reaper.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	durations := regexp.MustCompile(`(?m)(^ *for: |\[)(\w+)(\]|$)`)
	rules := durations.ReplaceAllStringFunc(string(text), func(match string) string {
		part := durations.FindStringSubmatch(match)
		d, err := model.ParseDuration(part[2])
		if err != nil {
			t.Fatalf("%q: %v", match, err)
		}
		found++
		return part[1] + strconv.FormatInt((time.Duration(d)/150).Milliseconds(), 10) + "ms" + part[3]
	})
	if found == 0 {
		t.Fatal("no duration in the rules")
	}
	return rules
}

// seen is what `ss` says of a bed: who listens on the frontend's port, and the
// established connections of each process by the side they are on.
type seen struct {
	listening       []int // pids
	clients, server map[int]int
}

// ss asks `ss`, which knows nothing of the agent.
func (s *service) ss() seen {
	s.b.t.Helper()
	holders := regexp.MustCompile(`"haproxy",pid=(\d+),`)
	each := func(f func(local string, pid int), args ...string) {
		for line := range strings.Lines(s.b.run(command{args: append([]string{"ss", "-Htnp"}, args...)})) {
			fields := strings.Fields(line)
			for _, holder := range holders.FindAllStringSubmatch(line, -1) {
				pid, _ := strconv.Atoi(holder[1])
				f(fields[len(fields)-3], pid)
			}
		}
	}
	out := seen{clients: map[int]int{}, server: map[int]int{}}
	each(func(local string, pid int) {
		if local == s.address && !slices.Contains(out.listening, pid) {
			out.listening = append(out.listening, pid)
		}
	}, "state", "listening")
	each(func(local string, pid int) {
		if local == s.address {
			out.clients[pid]++
		} else {
			out.server[pid]++
		}
	}, "state", "established")
	return out
}

// sumOf is the sum of some processes.
func sumOf(counts map[int]int, processes ...process) float64 {
	n := 0
	for _, p := range processes {
		n += counts[p.PID]
	}
	return float64(n)
}

// What an operator has in the end: a reload that leaves old workers with
// clients, Prometheus with both ways of getting at the agent, and the alert.
func TestPrometheusTellsWhatSsTellsAndAlertsUntilItIsReaped(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{model: model})
			unit := s.unit()
			b.startNodeExporter()
			// Two agents, each with a state of its own: one is scraped itself,
			// one writes the textfile when it is run.
			b.startServe("--interval", "500ms", "--deadline", "2s", "--dry-run", "--state-dir", bedDir+"/serve")
			pass := func(args ...string) *answer {
				return b.agent(append([]string{"reap", "--deadline", "2s", "--state-dir", bedDir + "/oneshot",
					"--textfile", textfileDir + "/haproxy-reaper.prom"}, args...)...)
			}
			pass("--dry-run").exits(agent.ExitOK)
			told := b.startAlertmanager()
			p := b.startPrometheus(scraping{
				jobs:  map[string][]string{"haproxy-reaper": {serveAddress}, "node": {exporterAddress}},
				rules: hastened(t),
			})
			jobs := []string{"haproxy-reaper", "node"}
			for _, job := range jobs {
				p.has(fmt.Sprintf(`haproxy_reaper_overdue_processes{job=%q}`, job), 0)
			}
			for _, a := range p.alerts() {
				if a.Labels["unit"] != "" {
					t.Errorf("before anything happened: %v", a)
				}
			}

			s.hold(3)
			s.reload()
			s.hold(2)
			s.reload()
			s.hold(4)
			old, active := s.residual(), s.active()
			b.until(func() error { return s.due(2 * time.Second) })
			pass("--dry-run").exits(agent.ExitOK)

			now := s.ss()
			if diff := cmp.Diff([]int{active.PID}, now.listening); diff != "" {
				t.Errorf("ss: who listens (-want +got):\n%s", diff)
			}
			for _, job := range jobs {
				for sample, want := range map[string]float64{
					`processes{state="active"`:                   float64(len(now.listening)),
					`processes{state="residual"`:                 float64(len(old)),
					`overdue_processes{unit!=""`:                 float64(len(old)),
					`connections{state="residual",side="client"`: sumOf(now.clients, old...),
					`connections{state="residual",side="server"`: sumOf(now.server, old...),
					`connections{state="active",side="client"`:   sumOf(now.clients, active),
					`active_confirmed{unit!=""`:                  1,
					`signals_sent_total{signal="SIGTERM"`:        0,
				} {
					if strings.Contains(sample, `state="active",side`) && string(model) == "daemon" {
						continue // no master CLI tells of them, and a pass does not walk the host's sockets
					}
					if want == 0 && !strings.HasPrefix(sample, "signals") {
						t.Errorf("ss sees none of %s: this shows nothing", sample)
					}
					p.has(fmt.Sprintf(`haproxy_reaper_%s,job=%q,unit=%q}`, sample, job, unit), want)
				}
			}

			const name = "HaproxyReaperOverdueInDryRun"
			b.until(func() error { return told.fires(name, unit, jobs) })

			pass("--yes").exits(agent.ExitOK)
			for _, o := range old {
				if err := b.gone(o); err != nil {
					t.Error(err)
				}
			}
			b.until(func() error { return told.fires(name, unit, nil) })
			p.has(fmt.Sprintf(`haproxy_reaper_terminated_processes_total{job="node",unit=%q}`, unit), float64(len(old)))
			p.has(fmt.Sprintf(`haproxy_reaper_terminated_connections_total{job="node",unit=%q}`, unit), sumOf(now.clients, old...)+sumOf(now.server, old...))
			if after := s.ss(); !slices.Equal(after.listening, now.listening) || sumOf(after.clients, active) != sumOf(now.clients, active) {
				t.Errorf("the active worker was %v, and is %v", now, after)
			}
			// Two reloads and a reap, and nobody was alerted of anything else.
			for _, fired := range p.query(`count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[10m]))`) {
				if got := fired.labels["alertname"]; got != name {
					t.Errorf("%s fired too", got)
				}
			}
		})
	}
}

// A process that takes no signal is the one thing that somebody is woken for
// although the agent did all it could.
func TestASurvivorPagesUntilItLeaves(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	_, old := wedgedService(b)
	told := b.startAlertmanager()
	b.startServe("--interval", "200ms", "--deadline", "0s")
	p := b.startPrometheus(scraping{jobs: map[string][]string{"haproxy-reaper": {serveAddress}}, rules: hastened(t)})
	p.has(fmt.Sprintf("haproxy_reaper_surviving_processes{unit=%q}", unit), 1)
	b.until(func() error { return told.fires("HaproxyReaperSurvivor", unit, []string{"haproxy-reaper"}) })
	b.signal(old, "CONT") // it leaves by the SIGTERM that waits for it
	p.has(fmt.Sprintf("haproxy_reaper_surviving_processes{unit=%q}", unit), 0)
	b.until(func() error { return told.fires("HaproxyReaperSurvivor", unit, nil) })
}

// fires says that an alert does not fire for exactly these jobs, about unit.
func (a *alertmanager) fires(name, unit string, jobs []string) error {
	a.b.t.Helper()
	var got []string
	for _, alert := range a.alerts() {
		if alert.Labels["alertname"] == name && alert.Labels["unit"] == unit {
			got = append(got, alert.Labels["job"])
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, jobs) {
		return fmt.Errorf("%s fires for %q, not for %q", name, got, jobs)
	}
	return nil
}

// due says that the youngest of some residual processes was superseded less
// than a deadline ago: that is when the next one started.
func (s *service) due(deadline time.Duration) error { return s.b.age(s.active(), deadline) }
