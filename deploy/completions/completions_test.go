// Package completions_test completes words of haproxy-reaper in real shells.
package completions_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// completed is a command line up to the cursor, and what a shell makes of the
// word that it stands at.
type completed struct {
	sentence string
	words    []string
	want     []string
}

func TestEachShellCompletesAsAnOperatorExpects(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"site.conf", "site.prom"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []completed{
		{"a command", []string{"re"}, []string{"reap"}},
		{"a flag after a command", []string{"reap", "--dry"}, []string{"--dry-run"}},
		{"a flag without a command", []string{"--max-t"}, []string{"--max-terminations"}},
		{"a flag with a dot in it", []string{"status", "--log.f"}, []string{"--log.format"}},
		{"a choice", []string{"reap", "--log.level", "w"}, []string{"warn"}},
		{"a choice of the short form", []string{"-o", "js"}, []string{"json"}},
		{"a file", []string{"reap", "--config", dir + "/site.c"}, []string{dir + "/site.conf"}},
		{"a flag of serve after serve", []string{"serve", "--web.s"}, []string{"--web.systemd-socket"}},
		{"and after no other command", []string{"reap", "--web.s"}, nil},
		{"no second command", []string{"reap", "serv"}, nil},
	}
	shells := map[string]func(*testing.T, []string) []string{"bash": inBash, "zsh": inZsh, "fish": inFish}
	for name, complete := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(name); err != nil {
				t.Fatalf("%v: run scripts/test", err)
			}
			for _, c := range tests {
				t.Run(c.sentence, func(t *testing.T) {
					if diff := cmp.Diff(c.want, complete(t, c.words), cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("%q (-want +got):\n%s", c.words, diff)
					}
				})
			}
		})
	}
}

func TestEachShellReadsItsCompletion(t *testing.T) {
	for shell, args := range map[string][]string{
		"bash": {"bash", "-n", "haproxy-reaper.bash"},
		"zsh":  {"zsh", "-n", "haproxy-reaper.zsh"},
		"fish": {"fish", "--no-execute", "haproxy-reaper.fish"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}

// bash calls the function with the words of the line, those with a = in them
// taken apart at it.
func TestBashCompletesTheValueAfterAnEqualsSign(t *testing.T) {
	if diff := cmp.Diff([]string{"none"}, inBash(t, []string{"reap", "--output", "=", "n"})); diff != "" {
		t.Errorf("--output=n (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"text", "json", "none"}, inBash(t, []string{"reap", "--output", "="})); diff != "" {
		t.Errorf("--output= (-want +got):\n%s", diff)
	}
}

func inBash(t *testing.T, words []string) []string {
	const script = `. ./haproxy-reaper.bash
shift
COMP_WORDS=(haproxy-reaper "$@") COMP_CWORD=$#
[[ $(complete -p haproxy-reaper) == *" -F _haproxy_reaper "* ]] || exit
_haproxy_reaper && printf '%s\n' "${COMPREPLY[@]}"`
	return lines(t, exec.Command("bash", slices.Concat([]string{"--norc", "-c", script, "bash", "-"}, words)...))
}

func inFish(t *testing.T, words []string) []string {
	line := strings.Join(append([]string{"haproxy-reaper"}, words...), " ")
	var got []string
	for _, answer := range lines(t, exec.Command("fish", "--no-config", "-c", "source haproxy-reaper.fish; complete --do-complete $argv[1]", line)) {
		word, _, _ := strings.Cut(answer, "\t")
		got = append(got, word)
	}
	return got
}

// zsh completes for a line editor only: one on a terminal of its own, which is
// asked what the word became.
func inZsh(t *testing.T, words []string) []string {
	line := strings.Join(append([]string{"haproxy-reaper"}, words...), " ")
	// It looks for a function by the name of a file.
	dir := t.TempDir()
	here, err := filepath.Abs("haproxy-reaper.zsh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(here, filepath.Join(dir, "_haproxy-reaper")); err != nil {
		t.Fatal(err)
	}
	got := lines(t, exec.Command("zsh", "-f", "terminal.zsh", line, dir))
	if len(got) == 1 && got[0] == words[len(words)-1] {
		return nil // as it was: nothing fits
	}
	return got
}

// lines are what a shell printed.
func lines(t *testing.T, shell *exec.Cmd) []string {
	t.Helper()
	home := t.TempDir()
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "TERM=dumb", "LC_ALL=C.UTF-8"}
	var complaints strings.Builder
	shell.Stderr = &complaints
	out, err := shell.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%q: %v\n%s", shell.Args, err, complaints.String())
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
}
