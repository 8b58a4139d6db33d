package machine

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ownCgroups makes a cgroup of that name in each hierarchy that a systemd keeps
// its units in: the cgroup2 one, and on a hybrid host the named one of version
// 1 besides. Two machines in one cgroup would share their units' cgroups.
func ownCgroups(t testing.TB, name string) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var groups []string
	for line := range strings.Lines(string(mounts)) {
		// proc_pid_mountinfo(5): the mount point is field 5, the type and the
		// options of the file system come after the dash.
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if kind[0] == "cgroup2" || kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), "name=systemd") {
			groups = append(groups, filepath.Join(fields[4], name))
		}
	}
	if len(groups) == 0 {
		t.Fatal("no cgroup file system is mounted that systemd could use")
	}
	for _, group := range groups {
		if err := os.Mkdir(group, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { removeCgroup(t, group) })
	}
	return groups
}

// removeCgroup removes a cgroup and all below it, deepest first. The kernel
// says EBUSY for as long as the last process is on its way out.
func removeCgroup(t testing.TB, group string) {
	for end := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		var groups []string
		filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		for _, path := range slices.Backward(groups) {
			os.Remove(path)
		}
		if _, err := os.Stat(group); err != nil {
			return
		}
		if time.Now().After(end) {
			t.Errorf("the cgroup %s is still in use", group)
			return
		}
	}
}
