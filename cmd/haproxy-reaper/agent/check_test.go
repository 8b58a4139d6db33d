package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// checkWorld is a host on which something is wrong, in the words of the golden
// files.
func checkWorld(t *testing.T) *world {
	p := preflightOf(func(p *preflight, f *instanceFacts) {
		f.changed = inspect.TicksToBoottime(6500)
		f.service.KillMode = "process"
		p.report.Instances[0].Processes[2].Args = []string{"haproxy"}
	})
	w := newWorld(t, p.report)
	w.around = p.surroundings
	return w
}

func TestCheckPrintsAsPublished(t *testing.T) {
	w := checkWorld(t)
	printed := w.run("check")
	fixture.Golden(t, "testdata/check.txt", printed.stdout)
	document := w.run("check", "-o", "json")
	fixture.Golden(t, "testdata/check.json", document.stdout)
	for _, a := range []answers{printed, document} {
		if a.code != ExitOK || a.stderr != "" {
			t.Errorf("exit status %d, %q", a.code, a.stderr)
		}
	}
	for line := range strings.Lines(printed.stdout) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > text.Columns {
			t.Errorf("%d columns in %q", n, line)
		}
	}
	if none := w.run("check", "-o", "none"); none.stdout != "" || none.code != ExitOK {
		t.Errorf("%+v", none)
	}
}

func TestCheckLooksAndDoesNothingElse(t *testing.T) {
	w := checkWorld(t)
	w.run("check")
	if want := []string{"status", "surroundings", "close"}; !slices.Equal(w.engine.calls, want) || w.engine.settings.live {
		t.Errorf("calls %q (live %v), want %q", w.engine.calls, w.engine.settings.live, want)
	}
}

func TestCheckExitsAsItsWorstFindingSays(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*world)
		want   int
	}{
		"warnings":                        {func(*world) {}, ExitOK},
		"an unprivileged user":            {func(w *world) { w.status = statusOf(1000) }, ExitPrivilege},
		"an unconfirmed instance":         {func(w *world) { w.report.Instances[0].Confirmed = false }, ExitFailed},
		"both":                            {func(w *world) { w.status, w.report.Instances[0].Confirmed = statusOf(1000), false }, ExitPrivilege},
		"a /proc that cannot be listed":   {func(w *world) { w.report, w.err = fixture.EmptyReport(), errors.New("interrupted") }, ExitFailed},
		"a /proc that may not be listed":  {func(w *world) { w.report, w.err = fixture.EmptyReport(), unix.EACCES }, ExitPrivilege},
		"a reader that went away":         {func(w *world) { w.stdout = failingWriter{} }, ExitFailed},
		"no HAProxy":                      {func(w *world) { w.report = fixture.EmptyReport() }, ExitOK},
		"privileges that cannot be read":  {func(w *world) { w.status = "Uid:\n" }, ExitPrivilege},
		"a kernel without pidfds":         {func(w *world) { w.around.features.PidfdOpen = unix.ENOSYS }, ExitPrivilege},
		"processes that hide from a user": {func(w *world) { w.report, w.hide, w.status = fixture.EmptyReport(), true, statusOf(1000) }, ExitPrivilege},
	} {
		t.Run(name, func(t *testing.T) {
			w := checkWorld(t)
			row.change(w)
			if a := w.run("check"); a.code != row.want {
				t.Errorf("exit status %d, want %d\n%s%s", a.code, row.want, a.stdout, a.stderr)
			}
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, unix.EPIPE }

func TestCheckEscapesWhatItWasTold(t *testing.T) {
	w := checkWorld(t)
	w.report.Instances[0].Name = "a\x1b[2Jb\nc"
	f := w.around.instances["haproxy.service"]
	f.config.Settings.HardStopAfter.Value = "\x1b]0;x\a"
	f.unitErr = fmt.Errorf("\u202e")
	w.around.instances = map[string]instanceFacts{"a\x1b[2Jb\nc": f}
	printed := w.run("check").stdout
	if strings.ContainsAny(printed, "\x1b\a\u202e") || !strings.Contains(printed, `a\x1b[2Jb\nc`) {
		t.Errorf("%q", printed)
	}
	var r CheckReport
	if err := json.Unmarshal([]byte(w.run("check", "-o", "json").stdout), &r); err != nil {
		t.Error(err)
	}
}
