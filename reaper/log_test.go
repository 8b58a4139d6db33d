package reaper_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// logged is what a pass over a world logs, without the time of each line.
func logged(t *testing.T, w *fakehost.World) []string {
	t.Helper()
	var b bytes.Buffer
	p := pass(t, w)
	p.Log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}}))
	run(t, p)
	return strings.Split(strings.TrimSpace(b.String()), "\n")
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

func TestARefusalIsLoggedOnce(t *testing.T) {
	w, s := reloaded()
	s.Worker(104, ticks(time.Second), []int{103}).Masks = fakehost.ReloadingMasks
	want := []string{`level=WARN msg=refused instance=haproxy.service reason=starting detail="process 104 is starting"`}
	if diff := cmp.Diff(want, logged(t, w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
