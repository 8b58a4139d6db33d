package grafana_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/grafana"
	"github.com/haproxy-reaper/haproxy-reaper/metrics"
)

func dashboard(t *testing.T) grafana.Dashboard {
	t.Helper()
	d, err := grafana.Load(grafana.JSON)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func queries(t *testing.T) []grafana.Query {
	t.Helper()
	list, err := dashboard(t).Queries()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 40 {
		t.Fatalf("%d queries: not the whole dashboard", len(list))
	}
	return list
}

// Grafana's API answers with sorted keys. So kept, an edit changes the lines that
// it means.
func TestTheFileIsWrittenAsGrafanaExportsIt(t *testing.T) {
	var content any
	if err := json.Unmarshal(grafana.JSON, &content); err != nil {
		t.Fatal(err)
	}
	var sorted bytes.Buffer
	out := json.NewEncoder(&sorted)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(content); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sorted.String(), string(grafana.JSON)); diff != "" {
		t.Errorf("`jq -S .` would write another file (-jq +file):\n%s", diff)
	}
}

// Links and alerts name the dashboard by its uid; the id is of one Grafana.
func TestItIsTheSameDashboardInEveryGrafana(t *testing.T) {
	d := dashboard(t)
	if d.UID != "haproxy-reaper" || d.ID != nil {
		t.Errorf("uid %q, id %v; want haproxy-reaper and null", d.UID, d.ID)
	}
}

func TestTheVariablesAreAskedForFromTheWidestToTheNarrowest(t *testing.T) {
	var names []string
	for _, v := range dashboard(t).Templating.List {
		names = append(names, v.Name)
	}
	if diff := cmp.Diff([]string{"datasource", "job", "instance", "unit"}, names); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

func TestEverythingAsksTheDataSourceOfTheVariable(t *testing.T) {
	d := dashboard(t)
	want := grafana.Datasource{Type: "prometheus", UID: "${datasource}"}
	asks := func(who string, got grafana.Datasource) {
		if got != want {
			t.Errorf("%s asks %v, want %v", who, got, want)
		}
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		asks(p.Title, p.Datasource)
		for _, target := range p.Targets {
			asks(p.Title+" "+target.RefID, target.Datasource)
		}
	}
	for _, a := range d.Annotations.List[1:] {
		asks(a.Name, a.Datasource)
	}
	for _, v := range d.Templating.List[1:] {
		asks(v.Name, v.Datasource)
	}
}

func TestEveryPanelHasAnIDATitleAndWordsForIt(t *testing.T) {
	ids, titles := map[int]string{}, map[string]bool{}
	for _, p := range dashboard(t).Panels {
		if other, taken := ids[p.ID]; taken || p.ID < 1 {
			t.Errorf("%q has id %d, so has %q", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		if p.Title == "" || titles[p.Title] {
			t.Errorf("panel %d has no title of its own: %q", p.ID, p.Title)
		}
		titles[p.Title] = true
		if len(p.Panels) > 0 {
			t.Errorf("%q is folded up: its panels would not be looked at here", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("%q has no description, or no query", p.Title)
		}
		if p.Type == "timeseries" && p.FieldConfig.Defaults["unit"] == nil {
			t.Errorf("%q has no unit", p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.RefID == "" {
				t.Errorf("%q: query %q is there twice", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			if p.Type == "timeseries" && target.LegendFormat == "" {
				t.Errorf("%q: query %s has no legend", p.Title, target.RefID)
			}
		}
	}
}

// The grid is 24 columns wide. Grafana would push panels that overlap apart, and
// close gaps.
func TestThePanelsFillTheGridAndDoNotOverlap(t *testing.T) {
	type cell struct{ x, y int }
	taken := map[cell]string{}
	height := 0
	for _, p := range dashboard(t).Panels {
		at := p.GridPos
		if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("%q is off the grid: %+v", p.Title, at)
			continue
		}
		for x := range at.W {
			for y := range at.H {
				c := cell{at.X + x, at.Y + y}
				if other, is := taken[c]; is {
					t.Fatalf("%q lies over %q at %v", p.Title, other, c)
				}
				taken[c] = p.Title
			}
		}
		height = max(height, at.Y+at.H)
	}
	if len(taken) != 24*height {
		t.Errorf("%d of %d cells are empty", 24*height-len(taken), 24*height)
	}
}

// exported are the metrics of the agent, each with whether it is of an instance
// of HAProxy.
func exported() map[string]bool {
	ofUnit := map[string]bool{"haproxy_reaper_build_info": false}
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		metrics.NewCollector(metrics.Input{}).Describe(descs)
	}()
	for desc := range descs {
		text := desc.String()
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(text)[1]
		ofUnit[name] = strings.Contains(text, "variableLabels: {unit")
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		ofUnit["haproxy_reaper_residual_lifetime_seconds"+suffix] = true
	}
	return ofUnit
}

func TestItAsksForMetricsThatThereAre(t *testing.T) {
	names := exported()
	asked := map[string]bool{}
	for _, q := range queries(t) {
		for _, name := range regexp.MustCompile(`haproxy_reaper_\w+`).FindAllString(q.Expr, -1) {
			asked[name] = true
			if _, there := names[name]; !there {
				t.Errorf("%s: the agent exports no %s", q.Where, name)
			}
		}
	}
	// What is not shown is here with its reason.
	notShown := map[string]string{
		"haproxy_reaper_oldest_residual_start_timestamp_seconds": "deadlines count from when a process was superseded",
		"haproxy_reaper_runs_total":                              "", // the variables ask for it
		"haproxy_reaper_last_run_timestamp_seconds":              "the last success is what counts",
		"haproxy_reaper_residual_lifetime_seconds":               "its buckets and its count are",
		"haproxy_reaper_residual_lifetime_seconds_sum":           "a mean says little of lifetimes",
		"haproxy_reaper_stranger":                                "the rules ask for it: no alert is raised for a stranger",
		"haproxy_reaper_stranger_instances":                      "the rules ask for it: a host of strangers alone has no instance",
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, known := notShown[name]; !asked[name] && !known {
			t.Errorf("the dashboard shows nothing of %s", name)
		}
	}
}

// Every expression is narrowed to the hosts chosen, and to the instances where the
// metric is of one.
func TestEveryQueryFollowsTheVariables(t *testing.T) {
	ofUnit := exported()
	for _, q := range queries(t) {
		if strings.HasPrefix(q.Where, "variable") {
			continue
		}
		for _, selector := range regexp.MustCompile(`(haproxy_reaper_\w+)(\{[^}]*\})?`).FindAllStringSubmatch(q.Expr, -1) {
			want := `job=~"$job", instance=~"$instance"}`
			if ofUnit[selector[1]] {
				want = `job=~"$job", instance=~"$instance", unit=~"$unit"}`
			}
			if !strings.HasSuffix(selector[2], want) {
				t.Errorf("%s: %s does not end in %s", q.Where, selector[0], want)
			}
		}
	}
}
