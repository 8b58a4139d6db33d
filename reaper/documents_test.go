package reaper_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The README has a row for each role, reason and outcome, in the order of the code.
func TestTheREADMEExplainsEveryWordOfTheReport(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for heading, want := range map[string][]string{
		"## Roles":           words(judge.Roles),
		"### Stranded":       words(judge.StrandedReasons),
		"## When it refuses": words(judge.Refusals),
		"## Outcomes": words([]judge.Outcome{
			judge.OutcomeDryRun, judge.OutcomeTerminated, judge.OutcomeKilled, judge.OutcomeDrained,
			judge.OutcomeVanished, judge.OutcomeSurvived, judge.OutcomeFailed,
		}),
	} {
		_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
		if !found {
			t.Fatalf("no %q", heading)
		}
		section, _, _ = strings.Cut(section, "\n#")
		var got []string
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section, -1) {
			got = append(got, row[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-code +README):\n%s", heading, diff)
		}
	}
}

// words are values of a closed set as text.
func words[T ~string](values []T) []string {
	var list []string
	for _, v := range values {
		list = append(list, string(v))
	}
	return list
}
