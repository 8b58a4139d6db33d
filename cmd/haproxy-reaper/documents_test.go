package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Where the repository, and the document of the command line, are.
const (
	repository  = "../.."
	commandLine = "README.md"
)

// The first page is read in ten minutes.
func TestTheFirstPageIsShort(t *testing.T) {
	if lines := strings.Count(fixture.Read(t, repository+"/README.md"), "\n"); lines > 180 {
		t.Errorf("README.md has %d lines, want at most 180", lines)
	}
}

// A link in a document, and an address of this repository in any file, leads to a
// file that is there, and to a heading of it.
func TestNoLinkOfTheRepositoryIsDead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	ours := regexp.MustCompile(`github\.com/haproxy-reaper/haproxy-reaper/(?:blob|tree)/main/([\w./-]+(?:#[\w-]+)?)`)
	links, addresses := 0, 0
	check := func(from, target string) {
		t.Helper()
		file, anchor, _ := strings.Cut(target, "#")
		switch info, err := os.Stat(file); {
		case err != nil:
			t.Errorf("%s: no %s", from, target)
		case anchor != "" && info.IsDir():
			t.Errorf("%s: %s is a folder", from, target)
		case anchor != "" && !anchors(fixture.Read(t, file))[anchor]:
			t.Errorf("%s: no heading %s", from, target)
		}
	}
	for _, path := range fixture.Documents(t, repository) {
		for _, match := range link.FindAllStringSubmatch(prose(fixture.Read(t, path)), -1) {
			if target := match[1]; !strings.Contains(target, "://") {
				links++
				file, anchor, hasAnchor := strings.Cut(target, "#")
				target = cmp.Or(file, filepath.Base(path))
				if hasAnchor {
					target += "#" + anchor
				}
				check(path, filepath.Join(filepath.Dir(path), target))
			}
		}
	}
	fixture.Walk(t, repository, func(path string) {
		if filepath.Ext(path) == ".png" {
			return
		}
		for _, match := range ours.FindAllStringSubmatch(fixture.Read(t, path), -1) {
			addresses++
			check(path, filepath.Join(repository, match[1]))
		}
	})
	if links < 100 || addresses < 16 {
		t.Errorf("%d links and %d addresses are too few", links, addresses)
	}
}

// prose is a document without its fenced code and its code in lines.
func prose(text string) string {
	text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "code")
}

// anchors are the names that GitHub gives the headings of a document.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	text = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(text, "")
	for _, match := range regexp.MustCompile(`(?m)^#{1,6} (.*)$`).FindAllStringSubmatch(text, -1) {
		heading := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(match[1], "$1")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= '0' && r <= '9', r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(heading))
		unique := name
		for n := 1; names[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		names[unique] = true
	}
	return names
}

// A test that a document names can be found by that name, or by a part of it as
// `go test -run` takes it.
func TestEveryTestThatADocumentNamesExists(t *testing.T) {
	var sources strings.Builder
	fixture.Walk(t, repository, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			sources.WriteString(fixture.Read(t, path))
		}
	})
	names := strings.Join(regexp.MustCompile(`(?m)^func Test\w+`).FindAllString(sources.String(), -1), "\n")
	named := regexp.MustCompile(`\b(Test[A-Z]\w*)|[^\w-]-run[ =](\w+)`)
	found := 0
	for _, path := range fixture.Documents(t, repository) {
		for line := range strings.Lines(fixture.Read(t, path)) {
			for _, match := range named.FindAllStringSubmatch(line, -1) {
				name := cmp.Or(match[1], match[2])
				if name == "" || name == "NAME" {
					continue
				}
				found++
				if !strings.Contains(names, name) {
					t.Errorf("%s: no test is named %s", path, name)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("%d names are too few", found)
	}
}

// What the documents show of the program is what scripts/demo prints, but for
// times, sizes, and process ids.
func TestTheDocumentsShowWhatTheDemoPrints(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("needs root, for scripts/demo")
	}
	demo := exec.Command("scripts/demo")
	demo.Dir = repository
	out, err := demo.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	printed := map[string][]string{} // lines after each command; of one that is run again, the first
	command := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "$ ") && printed[line] == nil:
			command = line
		case strings.HasPrefix(line, "$ "), strings.HasPrefix(line, "# "):
			command = ""
		case command != "":
			printed[command] = append(printed[command], line)
		}
	}

	shown := 0
	for _, path := range fixture.Documents(t, repository) {
		_, rest, found := strings.Cut(fixture.Read(t, path), "<!-- printed by scripts/demo -->\n\n")
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

// Who writes a program for `-o json` finds every field, in its order, and no other.
func TestTheDocumentsTellEveryFieldOfTheJSON(t *testing.T) {
	for name, v := range map[string]any{
		"Report": judge.Report{}, "Instance": judge.Instance{}, "Process": judge.Process{}, "Connections": judge.Connections{},
		"PortUse": judge.PortUse{}, "Client": judge.Client{}, "Forecast": judge.Forecast{}, "Summary": judge.Summary{},
	} {
		fixture.TellsFields(t, commandLine, name, v)
	}
}
