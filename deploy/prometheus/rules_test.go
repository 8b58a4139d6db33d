// Package prometheus_test holds the rules of this folder to what they promise:
// by promtool, which evaluates them, and by reading them.
package prometheus_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v2"

	"github.com/haproxy-reaper/haproxy-reaper/metrics"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const rulesFile = "haproxy-reaper.rules.yml"

// rule is one of the rules file.
type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

// readYAML reads a file that must be there, and be YAML.
func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// allRules are the rules of the file, and alerts those that alert.
func allRules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	readYAML(t, rulesFile, &file)
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("no rules in %s", rulesFile)
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(allRules(t), func(r rule) bool { return r.Alert == "" })
}

// testFiles are the inputs of `promtool test rules`.
func testFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of the rules: %v", err)
	}
	return files
}

// promtool runs Debian's promtool, which scripts/test unpacks.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path := os.Getenv("PROMTOOL")
	if path == "" {
		var err error
		if path, err = exec.LookPath("promtool"); err != nil {
			t.Fatalf("%v; scripts/test unpacks it, or set PROMTOOL to its path", err)
		}
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolFindsNoFaultInTheRules(t *testing.T) {
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", rulesFile)
}

func TestAlertsFireWhenTheyShouldAndAreSilentWhenTheyShould(t *testing.T) {
	for _, file := range testFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", file)
		})
	}
}

func TestEveryAlertIsTestedFiringAndSilent(t *testing.T) {
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, file := range testFiles(t) {
		var content struct {
			Tests []struct {
				Alerts []struct {
					Name     string        `yaml:"alertname"`
					Expected []interface{} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, file, &content)
		for _, test := range content.Tests {
			for _, a := range test.Alerts {
				fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
				silent[a.Name] = silent[a.Name] || len(a.Expected) == 0
			}
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !silent[a.Alert] {
			t.Errorf("%s: a firing case %v, a silent case %v", a.Alert, fires[a.Alert], silent[a.Alert])
		}
	}
}

// Whoever is woken by it must know why, and what to do.
func TestEveryAlertSaysWhatItMeansAndWhatToDo(t *testing.T) {
	text, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var headings, names []string
	for _, heading := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllSubmatch(text, -1) {
		headings = append(headings, string(heading[1]))
	}
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if !strings.HasPrefix(a.Alert, "HaproxyReaper") {
			t.Errorf("%s: no name of ours", a.Alert)
		}
		summary, description := a.Annotations["summary"], a.Annotations["description"]
		if !strings.HasSuffix(summary, ".") || strings.Contains(summary, "{{") {
			t.Errorf("%s: the summary is to be a sentence that is always the same: %q", a.Alert, summary)
		}
		if !strings.Contains(description, "{{ $labels.instance }}") {
			t.Errorf("%s: the description is to name the host: %q", a.Alert, description)
		}
		want := "https://github.com/haproxy-reaper/haproxy-reaper/blob/main/deploy/prometheus/runbook.md#" + strings.ToLower(a.Alert)
		if url := a.Annotations["runbook_url"]; url != want {
			t.Errorf("%s: runbook_url %q, want %q", a.Alert, url, want)
		}
	}
	if diff := cmp.Diff(names, headings); diff != "" {
		t.Errorf("alerts and headings of the runbook (-alerts +headings):\n%s", diff)
	}
}

// Nobody is to be called at night for what can wait.
func TestOnlyFiveAlertsPage(t *testing.T) {
	bySeverity := map[string][]string{}
	for _, a := range alerts(t) {
		bySeverity[a.Labels["severity"]] = append(bySeverity[a.Labels["severity"]], a.Alert)
	}
	pages := []string{"HaproxyReaperSurvivor", "HaproxyReaperOverdue", "HaproxyReaperActiveUnconfirmed", "HaproxyReaperSilent", "HaproxyReaperNoInstance"}
	if diff := cmp.Diff(pages, bySeverity["critical"]); diff != "" {
		t.Errorf("critical (-want +got):\n%s", diff)
	}
	delete(bySeverity, "critical")
	delete(bySeverity, "warning")
	if diff := cmp.Diff(map[string][]string{"info": {"HaproxyReaperDryRun"}}, bySeverity); diff != "" {
		t.Errorf("neither critical nor warning (-want +got):\n%s", diff)
	}
}

// A rule about a metric that is not there is silent for ever.
func TestRulesAreAboutMetricsThatThereAre(t *testing.T) {
	exported := map[string]bool{}
	descs := make(chan *prometheus.Desc)
	go func() {
		metrics.NewCollector(metrics.Input{}).Describe(descs)
		close(descs)
	}()
	for desc := range descs {
		exported[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(desc.String())[1]] = true
	}
	recorded := map[string]bool{}
	for _, r := range allRules(t) {
		recorded[r.Record] = true
	}
	files := append(testFiles(t), rulesFile, "runbook.md")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`haproxy_reaper_\w+`).FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if !exported[name] {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
		for _, name := range regexp.MustCompile(`\w+:haproxy_reaper_\w+:\w+`).FindAllString(string(text), -1) {
			if !recorded[name] {
				t.Errorf("%s: nothing records %s", file, name)
			}
		}
		for _, state := range regexp.MustCompile(`[{,]state="(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(judge.Roles, judge.Role(state[1])) {
				t.Errorf("%s: no process is ever %s", file, state[1])
			}
		}
	}
}
