package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/grafana"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// pictureVariable names a file for what the dashboard shows of the run, which
// then takes minutes as a real one does: scripts/picture draws it.
const pictureVariable = "DASHBOARD_DATA"

// pace is how fast the story goes.
type pace struct {
	deadline, interval time.Duration
	pause              time.Duration // after each of its steps
	step               time.Duration // of the queries
}

func newPace() pace {
	if os.Getenv(pictureVariable) != "" {
		return pace{deadline: 70 * time.Second, interval: 2 * time.Second, pause: 15 * time.Second, step: 2 * time.Second}
	}
	return pace{deadline: 6 * time.Second, interval: 200 * time.Millisecond, step: 500 * time.Millisecond}
}

// quiet is what shows nothing but zeros while nothing is wrong with the host and
// the agent.
var quiet = map[string]bool{
	`panel "Silent agents", query A`: true,
	`panel "Signals", query B`:       true, // not sent
	`panel "Agents", query C`:        true, // failed passes
	`panel "Failures", query A`:      true,
	`panel "Failures", query B`:      true,
}

// A host with two services: a live agent looks after one and is scraped, one in
// dry run looks after the other and writes for the node exporter.
func TestEveryQueryOfTheDashboardShowsSomethingOfARealRun(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	pace := newPace()
	web := b.startService("web", setup{text: tcpOnly})
	edge := b.startService("edge", setup{address: "127.0.0.1:8001"})
	flags := []string{"--deadline", pace.deadline.String(), "--interval", pace.interval.String(), "--settle", "500ms"}
	live := b.startServe(append(flags, "--instance", web.config)...)
	// It has an address of its own, and nobody asks there.
	b.start(command{args: append([]string{bedAgent, "serve", "--instance", edge.config, "--dry-run",
		"--web.listen-address", "127.0.0.1:12102", "--state-dir", bedDir + "/state", "--textfile", textfileDir + "/haproxy-reaper.prom"}, flags...)})
	b.startNodeExporter()
	p := b.startPrometheus(scraping{jobs: map[string][]string{"haproxy-reaper": {serveAddress}, "node": {exporterAddress}}})
	began := time.Now()

	tellStory(web, edge, live, p, pace)
	shown := p.show(began, pace.step)
	for _, q := range shown {
		numbers := q.numbers(t)
		switch {
		case len(numbers) == 0:
			t.Errorf("%s has no sample: %s", q.Where, q.Asked)
		case slices.Max(numbers) == 0 && !quiet[q.Where]:
			t.Errorf("%s shows nothing but zeros: %s", q.Where, q.Asked)
		}
		switch q.Where {
		case `panel "Terminated", query A`:
			// Bars that overlap would show one termination more than once.
			total := 0.0
			for _, n := range numbers {
				total += n
			}
			if total != 4 {
				t.Errorf("the bars of %s add up to %v, want the 4 that there were", q.Where, total)
			}
		case `panel "Lifetimes of those that left by themselves", query A`:
			// The scraped agent says le="60.0", the node exporter le="60".
			if got, want := len(q.Series), len(state.LifetimeBounds)+1; got != want {
				t.Errorf("%s has %d buckets, want %d", q.Where, got, want)
			}
		}
	}
	if file := os.Getenv(pictureVariable); file != "" {
		content, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	live.stop()
}

// tellStory makes happen whatever the dashboard is about.
func tellStory(web, edge *service, live *server, p *prometheus, pace pace) {
	b := web.b
	b.t.Helper()
	metric := func(name, labels string) string {
		return fmt.Sprintf("haproxy_reaper_%s{%sunit=%q}", name, labels, web.config)
	}
	// reaches waits for a metric of the live agent; when the story takes its time,
	// deadlines are longer than anything is waited for otherwise.
	reaches := func(metric string, want float64) {
		b.t.Helper()
		time.Sleep(pace.pause)
		for end := time.Now().Add(pace.deadline); live.metrics()[metric] < want && time.Now().Before(end); {
			time.Sleep(pace.interval)
		}
		b.until(func() error {
			if got := live.metrics()[metric]; got < want {
				return fmt.Errorf("%s is %v, want %v", metric, got, want)
			}
			return nil
		})
	}

	// The dry run would terminate two of the one service.
	edge.makeResidual(1, 4)
	time.Sleep(pace.pause)
	edge.makeResidual(1, 2)

	// Of the other, one leaves by itself.
	leaves := web.makeResidual(1, 3)[0]
	reaches(metric("processes", `state="residual",`), 1)
	// A pass amid the reload may have seen it, and have refused to believe it.
	const runs = "haproxy_reaper_runs_total"
	reaches(runs, live.metrics()[runs]+2)
	web.release(leaves)
	reaches(metric("residual_lifetime_seconds", `outcome="left",`), 1)

	// Two are terminated at their deadlines.
	web.makeResidual(1, 5)
	reaches(metric("processes", `state="residual",`), 1)
	web.makeResidual(1, 3)
	reaches(metric("terminated_processes_total", ""), 2)

	// One is due while nobody listens.
	web.makeResidual(1, 2)
	web.pause()
	reaches(metric("refusals_total", `reason="not_listening",`), 1)
	web.resume()
	reaches(metric("terminated_processes_total", ""), 3)

	// One hears no SIGTERM for a while.
	deaf := web.makeResidual(1, 6)[0]
	b.signal(deaf, "STOP")
	reaches(metric("surviving_processes", ""), 1)
	p.has(metric("surviving_processes", ""), 1) // before it is over
	b.signal(deaf, "CONT")
	reaches(metric("residual_lifetime_seconds", `outcome="terminated",`), 4)

	// And the next is there already.
	web.makeResidual(1, 4)
	reaches(metric("processes", `state="residual",`), 1)
	p.has(metric("terminated_processes_total", ""), 4)
	p.has(metric("processes", `state="residual",`), 1)
}

// shownQuery is a query of the dashboard, and what Prometheus says to it.
type shownQuery struct {
	Where  string `json:"where"`
	Asked  string `json:"asked"` // without variables
	Series []struct {
		Metric map[string]string `json:"metric"`
		Values [][2]any          `json:"values"` // the time, and the number as a text
	} `json:"series"`
}

// show asks every query of the dashboard for all the time since. What a panel
// shows of one moment is asked for each of them, as somebody may look at any.
func (p *prometheus) show(since time.Time, step time.Duration) (list []shownQuery) {
	p.b.t.Helper()
	end := time.Now().Add(time.Second + step) // beyond the last sample, which is then in the last step
	dashboard, err := grafana.Load(grafana.JSON)
	if err != nil {
		p.b.t.Fatal(err)
	}
	queries, err := dashboard.Queries()
	if err != nil {
		p.b.t.Fatal(err)
	}
	for _, q := range queries {
		asked, err := grafana.Fill(q.Expr, map[string]string{
			"job": "haproxy-reaper|node", "instance": ".+", "unit": ".+",
			"__range": fmt.Sprintf("%.0fs", end.Sub(since).Seconds()), "__interval": step.String(), "__rate_interval": (4 * step).String(),
		})
		if err != nil {
			p.b.t.Fatal(err)
		}
		shown := shownQuery{Where: q.Where, Asked: asked}
		p.api("query_range", url.Values{
			"query": {asked}, "step": {fmt.Sprint(step.Seconds())},
			"start": {strconv.FormatInt(since.Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)},
		}, &struct{ Result any }{&shown.Series})
		list = append(list, shown)
	}
	return list
}

// numbers are all that the query shows.
func (q shownQuery) numbers(t *testing.T) (list []float64) {
	t.Helper()
	for _, series := range q.Series {
		for _, sample := range series.Values {
			number, err := strconv.ParseFloat(fmt.Sprint(sample[1]), 64)
			if err != nil {
				t.Fatalf("%s: %v", q.Where, err)
			}
			list = append(list, number)
		}
	}
	return list
}
