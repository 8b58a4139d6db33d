package reaper_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// logged is what a pass over a world logs, without the time of each line.
func logged(t *testing.T, w *fakehost.World) []string {
	t.Helper()
	lines, _ := loggedUntil(t.Context(), t, w)
	return lines
}

// loggedUntil is the same of a pass that may be interrupted, with its report.
func loggedUntil(ctx context.Context, t *testing.T, w *fakehost.World) ([]string, judge.Report) {
	t.Helper()
	return loggedBy(ctx, t, w, func(*reaper.Pass) {})
}

// loggedBy is the same of a pass that is set up as a test likes.
func loggedBy(ctx context.Context, t *testing.T, w *fakehost.World, set func(*reaper.Pass)) ([]string, judge.Report) {
	t.Helper()
	var b bytes.Buffer
	p := pass(t, w)
	set(p)
	p.Log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}}))
	r, err := p.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(b.String()), "\n"), r
}

func TestEachSignalAndEachEndIsLoggedWithWhatIsKnown(t *testing.T) {
	w, _ := reloaded()
	w.Exit(102)
	want := []string{
		`level=INFO msg="signalled residual process" instance=haproxy.service pid=101 signal=SIGTERM age=49m0s residual=10m0s clients=2`,
		`level=INFO msg="residual process has left" instance=haproxy.service pid=101 age=49m0s residual=10m0s clients=2 outcome=terminated`,
	}
	if diff := cmp.Diff(want, logged(t, w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A name that no instance has is one line, with the names that it may mean.
func TestAnInstanceThatIsNotThereIsLoggedWithThoseThatAre(t *testing.T) {
	for wanted, want := range map[string]string{
		"haproxy.service":  ``,
		"/etc/d.cfg":       `level=WARN msg="no instance has the name that --instance gives" name=/etc/d.cfg instances=/etc/d.cfg@102`,
		"gone.service":     `level=WARN msg="no instance has the name that --instance gives" name=gone.service instances="haproxy.service, /etc/d.cfg@7, /etc/d.cfg@102, /tmp/0.cfg@5001, /tmp/1.cfg@5001"`,
		"/tmp/\n.cfg@5001": `level=WARN msg="no instance has the name that --instance gives" name="/tmp/\n.cfg@5001" instances="haproxy.service, /etc/d.cfg@7, /etc/d.cfg@102, /tmp/0.cfg@5001, /tmp/1.cfg@5001"`,
	} {
		w, _ := reloaded()
		fakehost.Daemon(w, "/etc/d.cfg", 401, ticks(40*time.Minute), nil, fakehost.Listen(5000))
		if wanted != "/etc/d.cfg" {
			fakehost.Daemon(w, "/etc/d.cfg", 402, ticks(40*time.Minute), nil, fakehost.Listen(5001)).UID = 7
		}
		for n := range 9 {
			fakehost.Daemon(w, fmt.Sprintf("/tmp/%d.cfg", n), 501+n, ticks(40*time.Minute), nil, fakehost.Listen(6001+n)).UID = 5001
		}
		lines, _ := loggedBy(t.Context(), t, w, func(p *reaper.Pass) {
			p.Policy = judge.Policy{Deadline: time.Hour, Instances: []string{wanted}}
			p.MaySignal = func(uid uint32) bool { return uid != 5001 }
		})
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("logged %s\nwant   %s", got, want)
		}
	}
}

// Whether a process that is still there had all its time is told.
func TestWhoIsStillThereIsLoggedAndWhetherItHadItsTime(t *testing.T) {
	for _, tt := range []struct {
		name      string
		interrupt bool
		error     string
		line      string
	}{
		{"it had", false, "", `level=WARN msg="residual process is still there after its signal" instance=haproxy.service pid=101 limit=10s interrupted=false`},
		{"the pass was interrupted", true, "the run was interrupted while it waited for the process to leave",
			`level=WARN msg="residual process is still there after its signal" instance=haproxy.service pid=101 limit=10s interrupted=true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			w.Exit(102)
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).Ignores = []syscall.Signal{syscall.SIGTERM}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			w.Before = func(_ int, call, _ string) error {
				if tt.interrupt && call == "Poll" && len(w.Signals()) > 0 {
					interrupt()
				}
				return nil
			}
			lines, r := loggedUntil(ctx, t, w)
			if got := lines[len(lines)-1]; got != tt.line {
				t.Errorf("got  %s\nwant %s", got, tt.line)
			}
			if p := process(t, r, 101); p.Outcome != judge.OutcomeSurvived || p.Error != tt.error {
				t.Errorf("outcome %q, error %q", p.Outcome, p.Error)
			}
		})
	}
}

func TestARefusalIsLoggedOnce(t *testing.T) {
	w, s := reloaded()
	s.Worker(104, ticks(time.Second), []int{103}).Masks = fakehost.ReloadingMasks
	want := []string{`level=WARN msg=refused instance=haproxy.service reason=starting detail="process 104 is starting"`}
	if diff := cmp.Diff(want, logged(t, w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
