package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
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
	text := read(t, commandLine)
	for name, part := range map[string]string{"commands": commands.String(), "flags": flags.String(), "statuses": statuses.String()} {
		text = withPart(t, text, name, part)
	}
	asPublished(t, commandLine, text)
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

// Who copies a command or a setting from a document has it accepted.
func TestTheCommandsAndSettingsOfTheDocumentsAreAccepted(t *testing.T) {
	command := regexp.MustCompile(`(?m)^    (?:\$ )?(?:sudo )?haproxy-reaper((?: [a-z-][^#>\n]*)?)`)
	setting := regexp.MustCompile("`(HAPROXY_REAPER_[A-Z_]+=[^`]+)`")
	commands, settings := 0, 0
	for _, path := range documents(t) {
		text := read(t, path)
		for _, match := range command.FindAllStringSubmatch(text, -1) {
			if strings.ContainsAny(match[1], "[") || match[1] == " COMMAND " {
				continue // a synopsis
			}
			commands++
			if _, err := parse(match[1], nil, nil); err != nil {
				t.Errorf("%s: haproxy-reaper%s: %v", path, match[1], err)
			}
		}
		for _, match := range setting.FindAllStringSubmatch(text, -1) {
			settings++
			if _, err := parse("reap", nil, files{defaultConfigFile: match[1]}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if commands < 15 || settings < 5 {
		t.Errorf("%d commands and %d settings are too few", commands, settings)
	}
}
