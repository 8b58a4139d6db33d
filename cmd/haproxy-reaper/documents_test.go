package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// The tables of the command line's README are those of --help.
func TestTheTablesOfTheCommandLineAreAsPublished(t *testing.T) {
	var commands, flags, statuses strings.Builder
	table := tables()
	commands.WriteString("| command | does |\n|---|---|\n")
	for _, c := range table.Commands {
		fmt.Fprintf(&commands, "| `%s` | %s |\n", c.Name, cell(c.Summary))
	}
	flags.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, f := range table.Flags {
		name := "`--" + f.Name + "`"
		if f.Short != "" {
			name += ", `-" + f.Short + "`"
		}
		fmt.Fprintf(&flags, "| %s | %s | %s |\n", strings.TrimSpace(name+" "+cell(f.Kind)), cell(f.Default), cell(f.Help))
	}
	statuses.WriteString("| status | meaning |\n|---|---|\n")
	for _, s := range table.Statuses {
		fmt.Fprintf(&statuses, "| %d | %s |\n", s.Status, cell(s.Meaning))
	}
	const path = "README.md"
	text := read(t, path)
	for name, part := range map[string]string{"commands": commands.String(), "flags": flags.String(), "statuses": statuses.String()} {
		text = withPart(t, path, text, name, part)
	}
	asPublished(t, path, text)
}

// cell is a text in a cell of a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// withPart is a document whose part of that name is the given text. The part
// stands between two comments, and is written by a test.
func withPart(t *testing.T, path, text, name, part string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no part %q", path, name)
	}
	return before + begin + "\n" + part + "\n" + end + after
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

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

// What the documents show of the program is what scripts/demo prints, but for
// times, sizes, and process ids.
func TestTheDocumentsShowWhatTheDemoPrints(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("needs root, for scripts/demo")
	}
	demo := exec.Command("scripts/demo")
	demo.Dir = "../.."
	out, err := demo.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	printed := map[string][]string{} // lines after each command, which may be run twice
	command := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "$ "):
			command = line
			delete(printed, command)
		case strings.HasPrefix(line, "# "):
			command = ""
		case command != "":
			printed[command] = append(printed[command], line)
		}
	}

	shown := 0
	for _, path := range documents(t) {
		_, rest, found := strings.Cut(read(t, path), "<!-- printed by scripts/demo -->\n\n")
		for ; found; _, rest, found = strings.Cut(rest, "<!-- printed by scripts/demo -->\n\n") {
			shown++
			var lines []string
			for line := range strings.Lines(rest) {
				text, isCode := strings.CutPrefix(line, "    ")
				if !isCode && line != "\n" {
					break
				}
				lines = append(lines, strings.TrimSuffix(text, "\n"))
			}
			for _, problem := range compare(lines[1:], printed[lines[0]]) {
				t.Errorf("%s: %s: %s", path, lines[0], problem)
			}
		}
	}
	if shown < 5 {
		t.Errorf("%d outputs are shown, which is not all of them", shown)
	}
}

// compare says which shown lines were not printed, in their order. "..." stands for
// any lines that are left out.
func compare(shown, printed []string) []string {
	skip, at := false, 0
	var problems []string
	for _, line := range shown {
		if line == "..." {
			skip = true
			continue
		}
		want := steady(line)
		for skip && at < len(printed) && steady(printed[at]) != want {
			at++
		}
		skip = false
		switch {
		case at >= len(printed):
			if want != "" {
				return append(problems, fmt.Sprintf("%q was not printed", line))
			}
		case steady(printed[at]) != want:
			problems = append(problems, fmt.Sprintf("shows %q, and %q was printed", line, printed[at]))
		}
		at++
	}
	return problems
}

// What differs from run to run: times, sizes and process ids.
var (
	times   = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+ [A-Z][a-z]{2} \d\d:\d\d|\b(\d+[smhd])+\b|\d+\.\d [KM]iB`)
	pids    = regexp.MustCompile(`\b(master|residual|active|told by|process|master \() *\d+`)
	several = regexp.MustCompile(`\bprocesses \d+ and \d+`)
)

// steady is a line without that, and without the width of columns.
func steady(line string) string {
	line = times.ReplaceAllString(line, "TIME")
	line = pids.ReplaceAllString(line, "$1 PID")
	line = several.ReplaceAllString(line, "processes PIDS")
	return strings.Join(strings.Fields(line), " ")
}

// documents are the paths of all Markdown files of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir("../..", func(path string, entry os.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "node_modules" || name == "dist"):
			return filepath.SkipDir
		case entry.Type().IsRegular() && strings.HasSuffix(name, ".md"):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
