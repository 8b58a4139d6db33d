package prometheus_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of alerts has every alert with its severity, in the order of the rules.
func TestTheREADMEOfTheMetricsListsEveryAlert(t *testing.T) {
	text, err := os.ReadFile("../../metrics/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, a := range alerts(t) {
		want = append(want, a.Alert+" "+a.Labels["severity"])
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(HaproxyReaper[A-Za-z]+)` \\| (\\w+) \\|").FindAllSubmatch(text, -1) {
		got = append(got, string(row[1])+" "+string(row[2]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts and rows (-alerts +rows):\n%s", diff)
	}
}
