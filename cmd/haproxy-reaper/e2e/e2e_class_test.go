package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Where a cgroup v1 hierarchy of net_cls is mounted, sockets have the class of their
// process's cgroup, and a firewall or tc may go by it. A duplicate that another
// process makes would take it away.
func TestTheClassOfAWorkersSocketsStays(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	root := b.mountNetClass()
	for _, dir := range []string{"web", "agent"} {
		b.makeClass(root, dir, map[string]string{"web": "0x100001", "agent": "0"}[dir])
	}
	s := b.startService("web", setup{})
	old := s.makeResidual(2, 2)
	for _, p := range b.processes() {
		b.join(root+"/web", p.PID)
	}
	const want = 0x100001
	if got := b.classesAt("8000"); len(got) < 5 || slices.ContainsFunc(got, func(class int) bool { return class != want }) {
		t.Fatalf("classes %#x, want some of %#x: this shows nothing", got, want)
	}
	before := b.processes()

	a := b.agent("reap", "--dry-run", "--deadline", "0s").exits(agent.ExitOK)
	a.finds(s.active(), isActive).finds(old[0], wouldTerminate)
	if got := a.process(old[0]).Connections.Client; got == nil || *got != 2 {
		t.Errorf("clients of %v: %v, want 2", old[0].ProcID, got)
	}
	b.agent("reap", "--deadline", "0s", "--drain-rate", "100", "--max-terminations", "1").exits(agent.ExitOK).
		finds(old[0], isTerminated).says("change the class")
	b.stay(without(before, old[0])...)
	if got := b.classesAt("8000"); len(got) < 3 || slices.ContainsFunc(got, func(class int) bool { return class != want }) {
		t.Errorf("after looks and a drain the classes are %#x, want all %#x", got, want)
	}
	b.check(command{}).exits(agent.ExitOK).finds(check.FindSocketClass, check.Warning, "nothing is drained", old[1], s.active())

	// In the same cgroup there is nothing to change.
	inClass := []string{"sh", "-c", "echo 0 > " + root + "/web/cgroup.procs && exec \"$@\"", "sh", bedAgent}
	a = b.answer(b.start(command{args: append(inClass, "reap", "--deadline", "0s", "--drain-rate", "100", "-o", "json")})).exits(agent.ExitOK)
	if got := a.process(old[1]); got.Outcome != judge.OutcomeDrained {
		t.Errorf("in the same cgroup the outcome is %q, want drained", got.Outcome)
	}
}

// mountNetClass mounts the hierarchy for the bed alone. It is the host's all the same
// for as long as it is mounted, with every process of it in its root, and longer where
// it is taken down while the kernel still does away with a cgroup of it.
func (b *bed) mountNetClass() (root string) {
	b.t.Helper()
	root = bedDir + "/net_cls"
	err := b.inside(func() error {
		if err := os.Mkdir(root, 0o755); err != nil {
			return err
		}
		return unix.Mount("none", root, "cgroup", 0, "net_cls")
	})
	if err != nil {
		b.t.Skipf("no cgroup v1 hierarchy of net_cls can be mounted here: %v", err)
	}
	b.t.Cleanup(func() {
		b.until(func() error {
			text, err := os.ReadFile("/proc/cgroups")
			if err == nil && !regexp.MustCompile(`(?m)^net_cls\t\d+\t1\t`).Match(text) {
				err = fmt.Errorf("cgroups of net_cls are left: %s", text)
			}
			return err
		})
		if err := b.inside(func() error { return unix.Unmount(root, 0) }); err != nil {
			b.t.Error(err)
		}
	})
	return root
}

// makeClass makes a cgroup with a class. It goes with the test, as soon as nothing is
// in it any more.
func (b *bed) makeClass(root, name, class string) {
	b.t.Helper()
	dir := root + "/" + name
	err := b.inside(func() error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		return os.WriteFile(dir+"/net_cls.classid", []byte(class), 0)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		b.run(command{args: []string{"sh", "-c", "cat " + dir + "/cgroup.procs | while read p; do echo $p > " + root + "/cgroup.procs; done; rmdir " + dir}})
	})
}

// join moves a process of the bed into a cgroup.
func (b *bed) join(dir string, pid int) {
	b.t.Helper()
	b.run(command{args: []string{"sh", "-c", fmt.Sprintf("echo %d > %s/cgroup.procs", pid, dir)}})
}

// classesAt are the classes of the sockets of a local port, as the kernel tells.
func (b *bed) classesAt(port string) (classes []int) {
	b.t.Helper()
	out := b.run(command{args: []string{"ss", "-Htan", "--tos", "sport", "=", ":" + port}})
	for _, m := range regexp.MustCompile(`class_id:0x([0-9a-f]+)`).FindAllStringSubmatch(out, -1) {
		class, err := strconv.ParseInt(m[1], 16, 64)
		if err != nil {
			b.t.Fatal(err)
		}
		classes = append(classes, int(class))
	}
	return classes
}
