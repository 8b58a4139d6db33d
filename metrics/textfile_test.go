package metrics

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestWriteTextfileReplacesWhatIsThere(t *testing.T) {
	tests := []struct {
		name  string
		plant func(t *testing.T, path, victim string)
	}{
		{"nothing", func(*testing.T, string, string) {}},
		{"an older file that only root may read", func(t *testing.T, path, _ string) {
			if err := os.WriteFile(path, []byte("old 1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a symbolic link to somebody's file", func(t *testing.T, path, victim string) {
			if err := os.Symlink(victim, path); err != nil {
				t.Fatal(err)
			}
		}},
		{"a hard link to somebody's file", func(t *testing.T, path, victim string) {
			if err := os.Link(victim, path); err != nil {
				t.Fatal(err)
			}
		}},
		{"a FIFO", func(t *testing.T, path, _ string) {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	old := syscall.Umask(0o077) // of the whole process: these tests are not parallel
	defer syscall.Umask(old)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			victim := filepath.Join(t.TempDir(), "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "haproxy-reaper.prom")
			tt.plant(t, path, victim)
			if err := WriteTextfile(path, busyPass()); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o644 {
				t.Errorf("mode is %v, want a regular file of 0644 whatever the umask", info.Mode())
			}
			content := read(t, path)
			if want := expose(t, busyPass()); dropBuildInfo(content) != want {
				t.Errorf("content but for build_info (-want +got):\n%s", cmp.Diff(want, dropBuildInfo(content)))
			}
			if got := read(t, victim); got != "precious" {
				t.Errorf("the other file was changed to %q", got)
			}
			onlyFile(t, path)
		})
	}
}

func TestWriteTextfileSaysWhatStandsInTheWay(t *testing.T) {
	occupied := filepath.Join(t.TempDir(), "occupied.prom")
	if err := os.Mkdir(occupied, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, why string }{
		{"a name that node_exporter would not read", filepath.Join(t.TempDir(), "reaper.txt"), "must end in .prom"},
		{"no name", "", "must end in .prom"},
		{"a directory that does not exist", filepath.Join(t.TempDir(), "missing", "reaper.prom"), "no such file or directory"},
		{"a file in the directory's place", filepath.Join(file, "reaper.prom"), "not a directory"},
		{"a directory in the file's place", occupied, "exists"},
		{"a directory that nobody may write to", "/sys/reaper.prom", ""}, // which errno depends on how /sys is mounted
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := WriteTextfile(tt.path, emptyPass())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range []string{"--textfile", tt.path, tt.why} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "/.") {
				t.Errorf("error %q is not one line, or names the temporary file", text)
			}
		})
	}
	onlyFile(t, occupied)
}

// TestWriteTextfileOnAFullDisk runs itself as a child that may write no file
// longer than a few bytes: to the writer, a disk that fills up in mid-file.
func TestWriteTextfileOnAFullDisk(t *testing.T) {
	const variable = "TEXTFILE_OF_THE_CHILD"
	if path := os.Getenv(variable); path != "" {
		limit := unix.Rlimit{Cur: 16, Max: 16}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		err := WriteTextfile(path, busyPass())
		if !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), "--textfile "+path+": ") {
			t.Fatalf("error is %v, want EFBIG that names the path", err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "haproxy-reaper.prom")
	if err := WriteTextfile(path, emptyPass()); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), variable+"="+path)
	var out bytes.Buffer // a pipe: its output is no file
	child.Stdout, child.Stderr = &out, &out
	if err := child.Run(); err != nil {
		t.Fatalf("child: %v\n%s", err, out.String())
	}
	if got := read(t, path); got != before {
		t.Errorf("the file that was there is now:\n%s", got)
	}
	onlyFile(t, path)
}

// FuzzUnitName: an instance of any name gives a file that Prometheus's own
// parser reads back, with that name as label.
func FuzzUnitName(f *testing.F) {
	for _, instance := range hostileNames().Report.Instances {
		f.Add(instance.Name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		in := emptyPass()
		in.Report.Instances = []judge.Instance{{Name: name, Confirmed: true}}
		in.Counters.Add(in.Report, false)
		content, err := encode(in)
		if err != nil {
			t.Fatal(err)
		}
		got := parse(t, bytes.NewReader(content))["haproxy_reaper_surviving_processes"].GetMetric()
		if len(got) != 1 || len(got[0].GetLabel()) != 1 || got[0].GetLabel()[0].GetValue() != label(name) {
			t.Errorf("%q is read back as %v", name, got)
		}
	})
}

func parse(t *testing.T, text io.Reader) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	list, err := parser.TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// onlyFile fails when anything else than path lies in its directory.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("in %s: %v, want only %s", filepath.Dir(path), entries, filepath.Base(path))
	}
}

// dropBuildInfo removes the family that differs from build to build.
func dropBuildInfo(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "haproxy_reaper_build_info") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
