package check

import (
	"slices"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
)

// Who sees a finding of check finds it in the document, and no other.
func TestTheDocumentsTellEveryFindingOfCheck(t *testing.T) {
	const commandLine = "../README.md"
	fixture.TellsFields(t, commandLine, "checkReport", Report{})
	fixture.TellsFields(t, commandLine, "finding", Finding{})
	var want []string
	for _, name := range findingNames {
		want = append(want, string(name))
	}
	if got := fixture.FirstColumn(t, fixture.Read(t, commandLine), "<!-- findings -->"); !slices.Equal(got, want) {
		t.Errorf("the document has %q, check %q", got, want)
	}
}
