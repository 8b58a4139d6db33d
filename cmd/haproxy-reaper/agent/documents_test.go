package agent

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
)

// Where the repository, and the document of the command line, are.
const (
	repository  = "../../.."
	commandLine = "../README.md"
)

// The tables of the command line's README are those of --help.
func TestTheTablesOfTheCommandLineAreAsPublished(t *testing.T) {
	var commandRows, flagRows, statusRows strings.Builder
	table := tables()
	commandRows.WriteString("| command | does |\n|---|---|\n")
	for _, c := range table.Commands {
		fmt.Fprintf(&commandRows, "| `%s` | %s |\n", c.Name, cell(c.Summary))
	}
	flagRows.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	for _, f := range table.Flags {
		name := "`--" + f.Name + "`"
		if f.Short != "" {
			name += ", `-" + f.Short + "`"
		}
		fmt.Fprintf(&flagRows, "| %s | %s | %s |\n", strings.TrimSpace(name+" "+cell(f.Kind)), cell(f.Default), cell(f.Help))
	}
	statusRows.WriteString("| status | meaning |\n|---|---|\n")
	for _, s := range table.Statuses {
		fmt.Fprintf(&statusRows, "| %d | %s |\n", s.Status, cell(s.Meaning))
	}
	text := fixture.Read(t, commandLine)
	for name, part := range map[string]string{"commands": commandRows.String(), "flags": flagRows.String(), "statuses": statusRows.String()} {
		text = withPart(t, text, name, part)
	}
	fixture.Golden(t, commandLine, text)
}

// cell is a text in a cell of a Markdown table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// withPart is a document whose part of that name is the given text. The part
// stands between two comments, and is written by a test.
func withPart(t *testing.T, text, name, part string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no part %q", commandLine, name)
	}
	return before + begin + "\n" + part + "\n" + end + after
}

// accepts says why a command line, with that configuration file, is not accepted.
func accepts(args, file string) error {
	noVariable := func(string) (string, bool) { return "", false }
	_, err := flags.Parse(strings.Fields(args), commandNames(), noVariable, func(string, int) ([]byte, error) { return []byte(file), nil })
	return err
}

// Who copies a command or a setting from a document has it accepted.
func TestTheCommandsAndSettingsOfTheDocumentsAreAccepted(t *testing.T) {
	command := regexp.MustCompile(`(?m)^    (?:\$ )?(?:sudo )?haproxy-reaper((?: [a-z-][^#>\n]*)?)`)
	setting := regexp.MustCompile("`(HAPROXY_REAPER_[A-Z_]+=[^`]+)`")
	accepted, settings := 0, 0
	for _, path := range fixture.Documents(t, repository) {
		text := fixture.Read(t, path)
		for _, match := range command.FindAllStringSubmatch(text, -1) {
			if strings.ContainsAny(match[1], "[") || match[1] == " COMMAND " {
				continue // a synopsis
			}
			accepted++
			if err := accepts(match[1], ""); err != nil {
				t.Errorf("%s: haproxy-reaper%s: %v", path, match[1], err)
			}
		}
		for _, match := range setting.FindAllStringSubmatch(text, -1) {
			settings++
			if err := accepts("reap", match[1]); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if accepted < 15 || settings < 5 {
		t.Errorf("%d commands and %d settings are too few", accepted, settings)
	}
}

// A user who reads the documents finds every command and every flag.
func TestTheDocumentsTellEveryCommandAndFlag(t *testing.T) {
	text := fixture.Read(t, commandLine) + fixture.Read(t, repository+"/reaper/README.md")
	words := commandNames()
	for _, f := range flags.Table() {
		words = append(words, "--"+f.Name)
	}
	for _, w := range words {
		if !strings.Contains(text, "`"+w+"`") {
			t.Errorf("no `%s` in the documents of the command line and of the decision", w)
		}
	}
}
