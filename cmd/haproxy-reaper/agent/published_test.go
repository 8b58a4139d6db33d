package agent

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
)

func TestHelpIsAsPublished(t *testing.T) { fixture.Golden(t, "testdata/help.txt", usage()) }

// The manual and the shells' completions say what the program does: they are
// made from the tables of --help, by the templates beside them.
func TestManualAndCompletionsAreAsPublished(t *testing.T) {
	for _, name := range []string{
		"man/haproxy-reaper.8",
		"completions/haproxy-reaper.bash", "completions/haproxy-reaper.zsh", "completions/haproxy-reaper.fish",
	} {
		path := filepath.Join("../../../deploy", name)
		page, err := template.New(filepath.Base(path) + ".tmpl").Funcs(template.FuncMap{
			"roff": roff, "quote": quote, "bracketed": bracketed, "join": strings.Join,
		}).ParseFiles(path + ".tmpl")
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := page.Execute(&got, tables()); err != nil {
			t.Fatal(err)
		}
		fixture.Golden(t, path, got.String())
	}
}

// published is what the templates are filled with.
type published struct {
	Commands []publishedCommand
	Flags    []publishedFlag
	Statuses []exitStatus
}

type publishedCommand struct{ Name, Summary string }

type publishedFlag struct {
	flags.Flag
	Kind           string // placeholder of the value, "" for a switch
	Files, Folders bool   // its value is the path of one
}

func tables() published {
	p := published{Statuses: exitStatuses()}
	for _, c := range commands() {
		p.Commands = append(p.Commands, publishedCommand{c.name, c.summary})
	}
	for _, f := range flags.Table() {
		flag := publishedFlag{Flag: f, Kind: f.Kind, Files: f.Kind == "FILE" || f.Kind == "PATH", Folders: f.Kind == "DIR"}
		if f.Kind == "bool" {
			flag.Kind = ""
		}
		p.Flags = append(p.Flags, flag)
	}
	return p
}

// roff is text in a manual page: what means something to it escaped, and a
// hyphen that can be copied into a shell.
func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`).Replace(s)
}

// quote is a word within single quotes, for bash and zsh; no text here has one
// that fish would read otherwise.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// bracketed is text within the brackets of zsh's _arguments.
func bracketed(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `'`, `'\''`).Replace(s)
}
