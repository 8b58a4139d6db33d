// Package man_test reads the manual page with the programs that will show it.
package man_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const page = "haproxy-reaper.8"

// The two that show manual pages on Linux, at their most particular. Neither
// counts on its exit status: what they have to say is what they print.
var readers = map[string][]string{
	"mandoc": {"mandoc", "-T", "lint", "-W", "warning"},
	"groff":  {"groff", "-man", "-ww", "-z", "-T", "utf8"},
}

func TestReadersHaveNothingToSayAboutThePage(t *testing.T) {
	broken := filepath.Join(t.TempDir(), page)
	if err := os.WriteFile(broken, []byte(read(t)+".TP\n.nosuchmacro x\n\\fXword\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, args := range readers {
		if out := run(t, append(args, page)...); out != "" {
			t.Errorf("%s says:\n%s", name, out)
		}
		if out := run(t, append(args, broken)...); out == "" {
			t.Errorf("%s has nothing to say about a broken page", name)
		}
	}
}

func TestPageReadsAsAManual(t *testing.T) {
	shown := run(t, "mandoc", "-T", "ascii", "-O", "width=120", page)
	// Bold is a letter struck twice.
	var plain strings.Builder
	for i, r := range shown {
		if r != '\b' && !strings.HasPrefix(shown[i+1:], "\b") {
			plain.WriteRune(r)
		}
	}
	at := 0
	for _, want := range []string{
		"HAPROXY-REAPER(8)", "\nNAME\n", "\nSYNOPSIS\n", "haproxy-reaper [status] [option...]", "{reap | ",
		"\nDESCRIPTION\n", "\nCOMMANDS\n", "\nOPTIONS\n", "-n, --dry-run", "-o, --output text|json|none",
		"Variable HAPROXY_REAPER_OUTPUT, default text.", "\nENVIRONMENT\n", "\nFILES\n", "\nEXIT STATUS\n",
		"75", "\nSAFETY\n", "Never signalled", "\nEXAMPLES\n", "haproxy-reaper reap --deadline 0s --dry-run\n", "\nSEE ALSO\n",
	} {
		i := strings.Index(plain.String()[at:], want)
		if i < 0 {
			t.Fatalf("no %q after %d characters of the page:\n%s", want, at, plain.String())
		}
		at += i
	}
}

func read(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// run returns all that a reader wrote.
func run(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Fatalf("%v: run scripts/test", err)
	}
	out, _ := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(out)
}
