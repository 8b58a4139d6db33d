package inspect

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A FIFO that nobody writes to reads like an empty file, or for ever, and what is
// written to it is lost for whoever waits for it.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(in("file"), []byte("text"), 0o600))
	must(os.Symlink("file", in("link")))
	must(os.Symlink("link", in("link to a link")))
	must(os.Symlink("/dev/null", in("mask")))
	must(os.Symlink("nowhere", in("broken")))
	must(os.Symlink("loop", in("loop")))
	must(unix.Mkfifo(in("fifo"), 0o600))
	must(os.Symlink("fifo", in("link to a fifo")))
	must(unix.Mkfifo(in("fifo in use"), 0o600))
	l, err := net.Listen("unix", in("socket"))
	must(err)
	defer l.Close()
	inUse, err := os.OpenFile(in("fifo in use"), os.O_RDWR, 0)
	must(err)
	defer inUse.Close()
	_, err = inUse.WriteString("somebody's")
	must(err)

	for _, tt := range []struct {
		path, want string
		err        error
	}{
		{in("file"), "text", nil},
		{in("link"), "text", nil},
		{in("link to a link"), "text", nil},
		{"/dev/null", "", nil},
		{in("mask"), "", nil},
		{in("broken"), "", unix.ENOENT},
		{in("loop"), "", unix.ELOOP},
		{in("fifo"), "", ErrNotRegular},
		{in("link to a fifo"), "", ErrNotRegular},
		{in("fifo in use"), "", ErrNotRegular},
		{in("socket"), "", ErrNotRegular},
		{"/dev/zero", "", ErrNotRegular},
		{"/dev/tty", "", ErrNotRegular},
		{dir, "", ErrNotRegular},
	} {
		type result struct {
			text  []byte
			err   error
			names []string
			dir   error
		}
		done := make(chan result, 1)
		go func() {
			var r result
			r.text, r.err = Linux{}.ReadFile(tt.path, 100)
			r.names, r.dir = Linux{}.ReadDir(tt.path)
			done <- r
		}()
		select {
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still being read", tt.path)
		case got := <-done:
			if string(got.text) != tt.want || !errors.Is(got.err, tt.err) {
				t.Errorf("%s: read %q, %v, want %q, %v", tt.path, got.text, got.err, tt.want, tt.err)
			}
			if isDir := tt.path == dir; isDir != (got.dir == nil) || isDir && !slices.Contains(got.names, "file") {
				t.Errorf("%s as a directory: %q, %v", tt.path, got.names, got.dir)
			}
		}
	}
	buf := make([]byte, 100)
	if n, err := inUse.Read(buf); string(buf[:n]) != "somebody's" {
		t.Errorf("the reader of the FIFO gets %q, %v", buf[:n], err)
	}
}

// Files of the kernel's own are regular files too. To read some of them takes what
// another program waits for (kmsg, trace_pipe), or waits for what never comes.
func TestAFileThatAProcessNamesLiesOnAFileSystemThatKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	shm, err := os.CreateTemp("/dev/shm", "inspect")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(shm.Name()) })
	for _, err := range []error{
		os.WriteFile(in("file"), []byte("text"), 0o600),
		os.WriteFile(shm.Name(), []byte("in memory"), 0o600), shm.Close(),
		os.Symlink("file", in("link")),
		os.Symlink("/proc/self/mountinfo", in("link to a file of proc")),
		unix.Mkfifo(in("fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path, want string
		err        error
	}{
		{in("file"), "text", nil},
		{in("link"), "text", nil},
		{shm.Name(), "in memory", nil},
		{"/dev/null", "", nil},
		{in("nothing"), "", unix.ENOENT},
		{in("fifo"), "", ErrNotRegular},
		{dir, "", ErrNotRegular},
		{"/proc/self/mountinfo", "", ErrNotKept},
		{in("link to a file of proc"), "", ErrNotKept},
		{"/sys/kernel/mm/transparent_hugepage/enabled", "", ErrNotKept},
	} {
		text := ""
		f, err := Linux{}.OpenNamed(tt.path)
		if err == nil {
			b, readErr := io.ReadAll(f)
			text, err = string(b), errors.Join(readErr, f.Close())
		}
		if text != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: read %q, %v, want %q, %v", tt.path, text, err, tt.want, tt.err)
		}
	}
	for _, dir := range []string{"/proc/self", "/sys/kernel"} {
		if names, err := (Linux{}).ReadDir(dir); names != nil || !errors.Is(err, ErrNotKept) {
			t.Errorf("%s: %q, %v, want %v", dir, names, err, ErrNotKept)
		}
	}
}

func TestADirectoryIsListedInOrderOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	if names, err := (Linux{}).ReadDir(dir); len(names) != 0 || err != nil {
		t.Errorf("an empty one: %q, %v", names, err)
	}
	for n := range maxNames {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := (Linux{}).ReadDir(dir); len(names) != maxNames || !slices.IsSorted(names) || err != nil {
		t.Errorf("%d names, %v", len(names), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "one more"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := (Linux{}).ReadDir(dir); names != nil || !errors.Is(err, unix.EFBIG) {
		t.Errorf("of too many: %d names, %v", len(names), err)
	}
}

func TestAFileIsNeverCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 10000), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := (Linux{}).ReadFile(path, 10000); err != nil || len(b) != 10000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := (Linux{}).ReadFile(path, 9999); b != nil || !errors.Is(err, unix.EFBIG) {
		t.Errorf("over the limit: %d bytes, %v", len(b), err)
	}
}
