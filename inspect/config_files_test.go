package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// configurationOf is that of a daemon with these -f arguments.
func configurationOf(t *testing.T, w *fakehost.World, paths ...string) inspect.Configuration {
	t.Helper()
	args := []string{"haproxy", "-D"}
	for _, p := range paths {
		args = append(args, "-f", p)
	}
	w.Start(fakehost.Proc{PID: 50, PPID: 1, Ticks: 100, Masks: fakehost.WorkerMasks, Args: args})
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	s, err := h.Observe(context.Background())
	if err != nil || len(s.Processes) != 1 {
		t.Fatal(s.Processes, err)
	}
	return h.Configuration(context.Background(), s, s.Processes[0])
}

func TestAConfigurationIsAsYoungAsWhatChangedLast(t *testing.T) {
	for _, c := range []struct {
		name  string
		paths []string
		last  func(*fakehost.World)
	}{
		{"the file", []string{"/etc/h.cfg"}, func(w *fakehost.World) { w.Write("/etc/h.cfg", "") }},
		{"the second of two files", []string{"/etc/h.cfg", "/etc/i.cfg"}, func(w *fakehost.World) { w.Write("/etc/i.cfg", "") }},
		{"a file in a directory", []string{"/etc/d"}, func(w *fakehost.World) { w.Write("/etc/d/a.cfg", "") }},
		{"a link turned to an older file", []string{"/etc/link.cfg"}, func(w *fakehost.World) { w.Link("/etc/link.cfg", "h.cfg") }},
		{"a link on the way to it", []string{"/srv/current/h.cfg"}, func(w *fakehost.World) { w.Link("/srv/current", "/etc") }},
		{"a link behind a link, as in a ConfigMap", []string{"/map/h.cfg"}, func(w *fakehost.World) {
			w.Write("/map/..1/h.cfg", "")
			w.Pass(time.Minute)
			w.Link("/map/..data", "..1")
		}},
		{"a link that goes up", []string{"/srv/up/h.cfg"}, func(w *fakehost.World) { w.Link("/srv/up", "../etc/./") }},
		{"a path in the working directory", []string{"h.cfg"}, func(w *fakehost.World) { w.Write("/proc/50/cwd/h.cfg", "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fakehost.New()
			for _, f := range []string{"/etc/h.cfg", "/etc/i.cfg", "/etc/d/a.cfg", "/etc/d/b.cfg", "/proc/50/cwd/h.cfg"} {
				w.Write(f, "global\n")
			}
			w.Link("/map/h.cfg", "..data/h.cfg")
			w.Pass(time.Minute)
			c.last(w)
			want := w.Now()
			w.Pass(time.Minute)
			got := configurationOf(t, w, c.paths...)
			if got.ChangedErr != nil || !got.Changed.Equal(want) {
				t.Errorf("changed %v, %v; want %v", got.Changed, got.ChangedErr, want)
			}
		})
	}
}

func TestWhatCannotBeReadOfAConfigurationIsSaid(t *testing.T) {
	w := fakehost.New()
	w.Write("/etc/a.cfg", "global\n hard-stop-after 1h\n")
	c := configurationOf(t, w, "/etc/a.cfg", "/etc/gone.cfg")
	if !errors.Is(c.Err, unix.ENOENT) || !errors.Is(c.ChangedErr, unix.ENOENT) {
		t.Errorf("errors are %v and %v", c.Err, c.ChangedErr)
	}
	if diff := cmp.Diff(&inspect.Setting{File: "/etc/a.cfg", Line: 2, Value: "1h"}, c.Settings.HardStopAfter); diff != "" {
		t.Error(diff)
	}
	if c = configurationOf(t, fakehost.New()); c.Err == nil || c.ChangedErr == nil {
		t.Errorf("no configuration is no error: %+v", c)
	}
	w = fakehost.New()
	w.Link("/etc/round.cfg", "round.cfg")
	if c = configurationOf(t, w, "/etc/round.cfg"); c.ChangedErr == nil {
		t.Error("a link to itself has a time")
	}
	w.Write("/etc/up.cfg", "")
	if c = configurationOf(t, w, "../up.cfg"); c.ChangedErr == nil {
		t.Error("a path above the working directory has a time")
	}
}

// On a real file system: contents, permissions and a move into place all count,
// and nobody can set that time back.
func TestTheKernelTellsWhenAFileChanged(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "h.cfg"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("h.cfg", link); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, long, long); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if at, err := (inspect.Linux{}).Changed(path); err != nil || time.Since(at) > time.Minute || time.Until(at) > time.Second {
			t.Errorf("%s changed at %v, %v", path, at, err)
		}
	}
	if _, err := (inspect.Linux{}).Changed(file + "x"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestFeaturesOfThisKernel(t *testing.T) {
	w := fakehost.New()
	w.Start(fakehost.Proc{PID: os.Getpid(), Ticks: 1})
	h := inspect.NewHost(w, nil)
	if f := h.Features(); f != (inspect.Features{}) {
		t.Errorf("all works, and %+v", f)
	}
	for call, want := range map[string]inspect.Features{
		"PidfdOpen":  {PidfdOpen: unix.ENOSYS, PidfdSendSignal: unix.ENOSYS, PidfdGetfd: unix.ENOSYS},
		"PidfdGetfd": {PidfdGetfd: unix.ENOSYS},
	} {
		w.Before = func(_ int, c, _ string) error {
			if c == call {
				return unix.ENOSYS
			}
			return nil
		}
		if got := h.Features(); got != want {
			t.Errorf("without %s: %+v, want %+v", call, got, want)
		}
	}
	if n := w.Open(); n != 0 {
		t.Errorf("%d descriptors are left open", n)
	}
	// Those of the real kernel need no privilege: of ourselves we may know all.
	if f := inspect.NewHost(inspect.Linux{}, nil).Features(); f.PidfdOpen != nil || f.PidfdGetfd != nil {
		t.Errorf("%+v", f)
	}
}

func TestTheFirstFileThatCannotBeReadIsNamed(t *testing.T) {
	w := fakehost.New()
	w.Write("/etc/a.cfg", "global\n")
	w.Before = func(_ int, call, about string) error {
		if call == "ReadFile" && (about == "/etc/b.cfg" || about == "/etc/c.cfg") {
			return unix.EACCES
		}
		return nil
	}
	w.Write("/etc/b.cfg", "")
	w.Write("/etc/c.cfg", "")
	if c := configurationOf(t, w, "/etc/a.cfg"); c.Err != nil {
		t.Errorf("of one that can be read: %v", c.Err)
	}
	if c := configurationOf(t, w, "/etc/a.cfg", "/etc/b.cfg", "/etc/c.cfg"); c.Err == nil || !strings.Contains(c.Err.Error(), "/etc/b.cfg") {
		t.Errorf("error is %v, want one about /etc/b.cfg", c.Err)
	}
}

// The kernel follows 40 links, and so many are followed here.
func TestAsManyLinksAreFollowedAsTheKernelFollows(t *testing.T) {
	for links, want := range map[int]error{40: nil, 41: unix.ELOOP} {
		w := fakehost.New()
		w.Write("/etc/h.cfg", "global\n")
		to := "h.cfg"
		for n := range links {
			name := fmt.Sprintf("link%d", n)
			w.Link("/etc/"+name, to)
			to = name
		}
		if c := configurationOf(t, w, "/etc/"+to); !errors.Is(c.ChangedErr, want) {
			t.Errorf("%d links: %v, want %v", links, c.ChangedErr, want)
		}
	}
}

// As HAProxy's -f takes a directory: its .cfg files, and none that is hidden.
func TestOfADirectoryTheConfigurationsAreRead(t *testing.T) {
	w := fakehost.New()
	for _, name := range []string{"b.cfg", "a.cfg", ".hidden.cfg", "notes.txt", ".cfg"} {
		w.Write("/etc/d/"+name, "global\n")
	}
	if diff := cmp.Diff([]string{"/etc/d/a.cfg", "/etc/d/b.cfg"}, configurationOf(t, w, "/etc/d").Files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A configuration has a size, whatever its files are like: a sparse file of any
// length costs its owner nothing.
func TestAConfigurationIsReadUpToASize(t *testing.T) {
	const limit = 64 << 20
	w := fakehost.New()
	w.Write("/etc/first.cfg", "hard-stop-after 1h\n"+strings.Repeat("\x00", limit/2))
	w.Write("/etc/fits.cfg", "grace 1s\n"+strings.Repeat("\x00", limit/2-28))
	w.Write("/etc/more.cfg", "grace 2s\n")
	c := configurationOf(t, w, "/etc/first.cfg", "/etc/fits.cfg")
	if c.Err != nil || c.Settings.HardStopAfter == nil || c.Settings.Grace == nil {
		t.Errorf("of as much as fits: %+v", c)
	}
	w = fakehost.New()
	w.Write("/etc/first.cfg", "hard-stop-after 1h\n"+strings.Repeat("\x00", limit))
	w.Write("/etc/more.cfg", "grace 2s\n")
	c = configurationOf(t, w, "/etc/first.cfg", "/etc/more.cfg")
	if !errors.Is(c.Err, unix.EFBIG) || !strings.Contains(c.Err.Error(), "/etc/first.cfg") || c.Settings.HardStopAfter == nil || c.Settings.Grace != nil {
		t.Errorf("of more: %+v", c)
	}
}

func TestAConfigurationIsReadUpToANumberOfFiles(t *testing.T) {
	for files, fits := range map[int]bool{1000: true, 1001: false} {
		w := fakehost.New()
		w.Write("/etc/h.cfg", "grace 1s\n")
		c := configurationOf(t, w, slices.Repeat([]string{"/etc/h.cfg"}, files)...)
		if (c.Err == nil) != fits || len(c.Files) != 1000 {
			t.Errorf("of %d: %d are read, %v", files, len(c.Files), c.Err)
		}
	}
}

// A file system that does not answer holds up one system call, and nothing else.
func TestAConfigurationIsReadUpToAnEnd(t *testing.T) {
	w := fakehost.New()
	w.Write("/etc/h.cfg", "grace 1s\n")
	w.Start(fakehost.Proc{PID: 50, PPID: 1, Ticks: 100, Masks: fakehost.WorkerMasks, Args: []string{"haproxy", "-f", "/etc/h.cfg"}})
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	s, err := h.Observe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	letGo := make(chan struct{})
	w.Before = func(_ int, call, about string) error {
		if call == "ReadFile" && about == "/etc/h.cfg" {
			cancel(errors.New("long enough"))
			<-letGo
		}
		return nil
	}
	c := h.Configuration(ctx, s, s.Processes[0])
	if c.Err == nil || !strings.Contains(c.Err.Error(), "/etc/h.cfg: long enough") || c.ChangedErr == nil {
		t.Errorf("%+v", c)
	}
	close(letGo)
}
