package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What cannot be written is told, and keeps no residual process alive.
func TestAPassThatCannotWriteItsFilesReapsAllTheSame(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(b *bed, dir string) error
		says  string
	}{
		{"the disk is full", func(_ *bed, dir string) error {
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
				return err
			}
			return os.WriteFile(dir+"/full", make([]byte, 4096), 0o600)
		}, "no space left on device"},
		{"the file system is read-only", func(_ *bed, dir string) error {
			return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "")
		}, "read-only file system"},
		{"the directory is a file", func(_ *bed, dir string) error {
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		}, "not a directory"},
	} {
		for _, flag := range []string{"--textfile", "--state-dir"} {
			t.Run(test.name+", "+flag, func(t *testing.T) {
				t.Parallel()
				b := newBed(t)
				s := b.startService("web", setup{})
				old := s.makeResidual(1, 1)[0]
				before := b.processes()
				const dir = "/run/spoilt"
				path := dir
				if flag == "--textfile" {
					path += "/haproxy-reaper.prom"
				}
				if err := b.inside(func() error {
					if err := os.Mkdir(dir, 0o755); err != nil {
						return err
					}
					return test.spoil(b, dir)
				}); err != nil {
					t.Fatal(err)
				}
				a := b.agent("reap", "--deadline", "0s", flag, path).exits(1).finds(old, isTerminated).says(test.says).says(dir)
				var lines []string
				for line := range strings.Lines(a.stderr.String()) {
					if strings.Contains(line, "level=ERROR") {
						lines = append(lines, line)
					}
				}
				if len(lines) != 1 {
					t.Errorf("%d lines tell it:\n%s", len(lines), strings.Join(lines, ""))
				}
				b.stay(without(before, old)...)
			})
		}
	}
}

// The timer's unit may run as a user of its own, with the three capabilities.
func TestARunByRootBetweenTwoOfTheAgentsUserBreaksNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.hold(1)
	const state, textfile = "/run/agent/state", "/run/agent/textfile"
	lockDir := "/run/haproxy-reaper" // where an operator gives it to the agent's user
	for _, dir := range []string{"/run/agent", state, textfile, lockDir} {
		if err := b.inside(func() error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			return os.Chown(dir, bedNobody, bedNobody)
		}); err != nil {
			t.Fatal(err)
		}
	}
	user := fmt.Sprint(bedNobody)
	capabilities := "+sys_ptrace,+dac_read_search,+kill"
	asUser := []string{"setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps", capabilities, "--ambient-caps", capabilities}
	reap := func(wrap []string) {
		t.Helper()
		old := s.active()
		s.hold(1)
		s.reload()
		args := append(slices.Clone(wrap), bedAgent, "reap", "--deadline", "0s", "-o", "json",
			"--state-dir", state, "--textfile", textfile+"/haproxy-reaper.prom")
		b.answer(b.start(command{args: args})).exits(0).finds(old, isTerminated)
	}
	reap(nil) // root comes first, and makes every file
	reap(asUser)
	reap(nil)
	reap(asUser)
	if text := b.read(textfile + "/haproxy-reaper.prom"); !strings.Contains(text, "haproxy_reaper_runs_total 4\n") {
		t.Errorf("not four runs are counted:\n%s", text)
	}
}
