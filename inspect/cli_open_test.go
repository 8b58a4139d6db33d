package inspect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is outside of the root has the names of what is inside.
func TestAPathDoesNotLeaveItsRoot(t *testing.T) {
	host := t.TempDir()
	root := filepath.Join(host, "root")
	for _, file := range []string{host + "/run/sock", root + "/run/sock", root + "/srv/a/sock", host + "/sock"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deep := root + strings.Repeat("/d", maxDepth)
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"/var":         "run",
		"/srv/up":      "..",
		"/srv/out":     "../../run/sock",
		"/srv/far":     strings.Repeat("../", 30) + "run/sock",
		"/srv/abs":     "/run/sock",
		"/srv/host":    host + "/run/sock",
		"/srv/a/back":  "../abs",
		"/srv/magic":   "/proc/self/root" + host + "/run/sock",
		"/srv/loop":    "loop",
		"/srv/nothing": "/run/none",
	} {
		if err := os.Symlink(target, root+link); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path, leads string
		err         error
	}{
		{"/run/sock", "/run/sock", nil},
		{"run//./sock", "/run/sock", nil},
		{"/../run/sock", "/run/sock", nil},
		{"/srv/a/../../../../run/sock", "/run/sock", nil},
		{"/var/sock", "/run/sock", nil},
		{"/srv/up/run/sock", "/run/sock", nil},
		{"/srv/out", "/run/sock", nil},
		{"/srv/far", "/run/sock", nil},
		{"/srv/abs", "/run/sock", nil},
		{"/srv/a/back", "/run/sock", nil},
		{"/srv/a/sock", "/srv/a/sock", nil},
		{"/srv/host", "", unix.ENOENT},
		{"/srv/magic", "", unix.ENOENT},
		{"/srv/loop", "", unix.ELOOP},
		{"/srv/nothing", "", unix.ENOENT},
		{"/run/sock/more", "", unix.ENOTDIR},
		{strings.TrimPrefix(deep, root), "", unix.ENAMETOOLONG},
	} {
		before := openFiles(t)
		fd, err := Linux{}.OpenIn(root, tt.path)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.path, err, tt.err)
		}
		if err == nil {
			if got, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); got != root+tt.leads {
				t.Errorf("%s leads to %s, %v", tt.path, got, err)
			}
			unix.Close(fd)
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d descriptors were left open", tt.path, after-before)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
