package metrics

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// The README has a row for each family, made from the families.
func TestTheREADMETellsEveryFamily(t *testing.T) {
	types := map[bool]string{true: "counter", false: "gauge"}
	var table strings.Builder
	table.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range families {
		kind := types[f.kind == counter]
		if f.kind == histogram {
			kind = "histogram"
		}
		var labels []string
		for _, l := range f.labels {
			labels = append(labels, "`"+l+"`")
		}
		fmt.Fprintf(&table, "| `%s_%s` | %s | %s | %s |\n", namespace, f.name, kind, strings.Join(labels, ", "), f.help)
	}
	asInREADME(t, "families", table.String())
}

// The README has every value of every label but unit.
func TestTheREADMETellsEveryValueOfALabel(t *testing.T) {
	var table strings.Builder
	table.WriteString("| label | values |\n|---|---|\n")
	row(&table, "state", judge.Roles)
	row(&table, "side", sidesOf(t))
	row(&table, "signal", state.SignalNames)
	row(&table, "reason", judge.Refusals)
	row(&table, "outcome", state.Departures)
	row(&table, "stage", state.Stages)
	asInREADME(t, "labels", table.String())
}

func row[T ~string](table *strings.Builder, label string, values []T) {
	var words []string
	for _, v := range values {
		words = append(words, "`"+string(v)+"`")
	}
	fmt.Fprintf(table, "| `%s` | %s |\n", label, strings.Join(words, ", "))
}

// sidesOf are the sides that the exposition has, in its order.
func sidesOf(t *testing.T) []string {
	t.Helper()
	const residual = `haproxy_reaper_connections{side="`
	var sides []string
	for line := range strings.Lines(expose(t, busyPass())) {
		rest, found := strings.CutPrefix(line, residual)
		side, rest, _ := strings.Cut(rest, `"`)
		if found && strings.HasPrefix(rest, `,state="residual",unit="haproxy.service"`) {
			sides = append(sides, side)
		}
	}
	return sides
}

// asInREADME compares a part of the README, between two comments, with what it is
// to be. -update writes it.
func asInREADME(t *testing.T, name, part string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	begin := "<!-- generated: " + name + " -->\n"
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, "<!-- end -->")
	if !found || !ended {
		t.Fatalf("the README has no part %q", name)
	}
	want := before + begin + "\n" + part + "\n<!-- end -->" + after
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("README.md (-want +got), -update writes it:\n%s", diff)
	}
}
