package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

func TestOneOfManyTakesTheLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var winners, busy atomic.Int32
	var start, done sync.WaitGroup
	start.Add(1)
	held := make(chan func() error, 30)
	for range cap(held) {
		done.Go(func() {
			start.Wait()
			release, err := lock(dir)
			switch {
			case err == nil:
				winners.Add(1)
				held <- release
			case errors.Is(err, state.ErrLocked):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	start.Done()
	done.Wait()
	if winners.Load() != 1 || busy.Load() != 29 {
		t.Fatalf("%d took it and %d found it busy, want 1 and 29", winners.Load(), busy.Load())
	}
	if err := (<-held)(); err != nil {
		t.Fatal(err)
	}
	release, err := lock(dir)
	if err != nil {
		t.Fatal("once let go: ", err)
	}
	release()
}

func TestNobodyElseMayOpenTheLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	release, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	info, err := os.Stat(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestTheLockFollowsNoLink(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	for name, plant := range map[string]func(dir string) error{
		"in place of the file": func(dir string) error {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			return os.Symlink(victim, filepath.Join(dir, "lock"))
		},
		"in place of the directory": func(dir string) error { return os.Symlink(filepath.Dir(victim), dir) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if err := plant(dir); err != nil {
				t.Fatal(err)
			}
			_, err := lock(dir)
			if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
				t.Errorf("got %v", err)
			}
			if entries, _ := os.ReadDir(filepath.Dir(victim)); len(entries) != 0 {
				t.Errorf("it made %v", entries)
			}
		})
	}
}

func TestASecondLiveReapFindsTheLockTaken(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	release, err := lock(w.path("lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	got := w.run("reap")
	if got.code != ExitBusy || w.engine != nil || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "another run holds the lock") {
		t.Errorf("exit status %d, %q", got.code, got.stderr)
	}
	for _, args := range []string{"status", "reap --dry-run"} {
		if got := w.run(strings.Fields(args)...); got.code != ExitOK {
			t.Errorf("%s: exit status %d, want it to need no lock: %s", args, got.code, got.stderr)
		}
	}
	release()
	if got := w.run("reap"); got.code != ExitOK {
		t.Errorf("after the first one ended: exit status %d: %s", got.code, got.stderr)
	}
}

func TestALockThatCannotBeMadeKeepsAReapFromActing(t *testing.T) {
	w := newWorld(t, fixture.ReportOf(fixture.Overdue(6034, 3)))
	w.write("lock", "a file where the directory should be")
	got := w.run("reap")
	if got.code != ExitFailed || !slices.Equal(w.engine.calls, []string{"status", "close"}) {
		t.Errorf("exit status %d after %q: %s", got.code, w.engine.calls, got.stderr)
	}
}
