package main

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// Who writes a program for `-o json` finds every field, in its order, and no other.
func TestTheDocumentsTellEveryFieldOfTheJSON(t *testing.T) {
	text := read(t, "README.md")
	for name, v := range map[string]any{
		"Report": reaper.Report{}, "Instance": reaper.Instance{}, "Process": reaper.Process{}, "Connections": reaper.Connections{},
		"PortUse": reaper.PortUse{}, "Client": reaper.Client{}, "Forecast": reaper.Forecast{}, "Summary": reaper.Summary{},
		"checkReport": checkReport{}, "finding": finding{},
	} {
		if got, want := firstColumn(t, text, "<!-- fields: "+name+" -->"), jsonFields(reflect.TypeOf(v)); !slices.Equal(got, want) {
			t.Errorf("%s: the document has %q, the type %q", name, got, want)
		}
	}
}

// jsonFields are the names that a type has in JSON, those of embedded types among
// them.
func jsonFields(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		switch name, _, _ := strings.Cut(field.Tag.Get("json"), ","); {
		case field.Anonymous && name == "":
			names = append(names, jsonFields(field.Type)...)
		case field.IsExported() && name != "-":
			names = append(names, name)
		}
	}
	return names
}

// Who sees a finding of check finds it in the document, and no other.
func TestTheDocumentsTellEveryFindingOfCheck(t *testing.T) {
	var want []string
	for _, name := range findingNames {
		want = append(want, string(name))
	}
	if got := firstColumn(t, read(t, "README.md"), "<!-- findings -->"); !slices.Equal(got, want) {
		t.Errorf("the document has %q, check %q", got, want)
	}
}

// firstColumn is the words in the first column of the table that follows a mark.
func firstColumn(t *testing.T, text, mark string) []string {
	t.Helper()
	_, rest, found := strings.Cut(text, mark+"\n\n")
	if !found {
		t.Fatalf("no %s", mark)
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var words []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		words = append(words, row[1])
	}
	return words
}
