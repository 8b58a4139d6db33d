package agent

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
)

// checkWorld is a host on which check warns and does not fail.
func checkWorld(t *testing.T) *world {
	return newWorld(t, fixture.ReportOf(fixture.OldWorker(6034, time.Minute, 1)))
}

func TestCheckPrintsWhatItFound(t *testing.T) {
	w := checkWorld(t)
	document := w.run("check", "-o", "json")
	var r check.Report
	if err := json.Unmarshal([]byte(document.stdout), &r); err != nil {
		t.Fatal(err)
	}
	printed := w.run("check")
	if want := check.Text(&r); printed.stdout != want || len(r.Findings) == 0 {
		t.Errorf("it prints\n%s\nwant\n%s", printed.stdout, want)
	}
	for _, a := range []answers{printed, document} {
		if a.code != ExitOK || a.stderr != "" {
			t.Errorf("exit status %d, %q", a.code, a.stderr)
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
		"a kernel without pidfds":         {func(w *world) { w.around.Features.PidfdOpen = unix.ENOSYS }, ExitPrivilege},
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
