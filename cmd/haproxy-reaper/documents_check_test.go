package main

import (
	"slices"
	"testing"
)

// Who sees a finding of check finds it in the document, and no other.
func TestTheDocumentsTellEveryFindingOfCheck(t *testing.T) {
	tellsFields(t, "checkReport", checkReport{})
	tellsFields(t, "finding", finding{})
	var want []string
	for _, name := range findingNames {
		want = append(want, string(name))
	}
	if got := firstColumn(t, read(t, commandLine), "<!-- findings -->"); !slices.Equal(got, want) {
		t.Errorf("the document has %q, check %q", got, want)
	}
}
