package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Who writes a program for `-o json` finds every field, in its order, and no other.
func TestTheDocumentsTellEveryFieldOfTheJSON(t *testing.T) {
	for name, v := range map[string]any{
		"Report": judge.Report{}, "Instance": judge.Instance{}, "Process": judge.Process{}, "Connections": judge.Connections{},
		"PortUse": judge.PortUse{}, "Client": judge.Client{}, "Forecast": judge.Forecast{}, "Summary": judge.Summary{},
	} {
		tellsFields(t, name, v)
	}
}

// tellsFields compares the table of a type in the document with the type.
func tellsFields(t *testing.T, name string, v any) {
	t.Helper()
	got := firstColumn(t, read(t, commandLine), "<!-- fields: "+name+" -->")
	if want := jsonFields(reflect.TypeOf(v)); !slices.Equal(got, want) {
		t.Errorf("%s: the document has %q, the type %q", name, got, want)
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
