package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
)

// evilDir holds the files that a stranger's processes name.
const evilDir = bedDir + "/evil"

// evil is a HAProxy of an unprivileged user. It serves on a port of its own, then
// its configuration becomes what its owner likes.
func (b *bed) evil(name string, port int, become func(path string) error) (config string, p process) {
	b.t.Helper()
	config = evilDir + "/" + name
	err := b.inside(func() error {
		if err := os.MkdirAll(evilDir, 0o777); err != nil {
			return err
		}
		if err := os.Chmod(evilDir, 0o777); err != nil {
			return err
		}
		return os.WriteFile(config, fmt.Appendf(nil, `
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen l
    bind 127.0.0.1:%d
    server s1 127.0.0.1:9
`, port), 0o644)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	p = b.brings(command{args: b.haproxyAs(bedNobody, "/usr/sbin/haproxy", "-D", "-C", evilDir, "-f", name, "-p", evilDir+"/"+name+".pid", "-L", evilDir+"/peer")})
	if become != nil {
		if err := b.inside(func() error { return become(config) }); err != nil {
			b.t.Fatal(err)
		}
	}
	return config, p
}

func becomeFIFO(path string) error {
	os.Remove(path)
	return unix.Mkfifo(path, 0o644)
}

func becomeLink(to string) func(string) error {
	return func(path string) error {
		os.Remove(path)
		return os.Symlink(to, path)
	}
}

// becomeSparse makes a file long, which costs nothing.
func becomeSparse(size int64) func(string) error {
	return func(path string) error { return os.Truncate(path, size) }
}

// callsIn are the system calls of a trace that go to a file of the bed's services,
// or through a process to a file of its own: reading a link goes nowhere, and the
// files of process 1 are the units.
func callsIn(trace string) (calls []string) {
	file := regexp.MustCompile(`^\d+ +(\w+)\(.*"(` + bedDir + `/(evil|web\.cfg)|/proc/\d+/(root|cwd)/)`)
	for line := range strings.Lines(trace) {
		if m := file.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "readlink") && m[1] != "execve" && !strings.Contains(line, `"/proc/1/root/`) {
			calls = append(calls, strings.TrimSpace(line))
		}
	}
	return calls
}

// The arguments of a process are its owner's to choose. What they name is opened by
// check alone, and by that only for root and for users that it may signal.
func TestOnlyCheckOpensWhatTheArgumentsOfAProcessName(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 1)
	b.evil("fifo", 8101, becomeFIFO)
	traced := func(agent ...string) string {
		const file = bedDir + "/trace"
		b.run(command{args: []string{"rm", "-f", file}})
		args := append([]string{bedAgent}, agent...)
		strace := []string{"strace", "-f", "-s", "300", "-o", file, "-e", "trace=%file"}
		if agent[0] == "serve" {
			serve := b.startServeAs(command{args: append(strace, b.shipped(args...)...)})
			tracee, _, _ := strings.Cut(b.read(file), " ")
			b.run(command{args: []string{"kill", "-TERM", tracee}})
			serve.wait(t)
		} else {
			b.start(command{args: append(strace, b.shipped(args...)...)}).wait(t)
		}
		return b.read(file)
	}
	for _, agent := range [][]string{
		{"status", "--clients"},
		{"reap", "--state-dir", "/run/state", "--deadline", "1h"},
		{"serve", "--state-dir", "/run/state", "--interval", "1h", "--deadline", "1h"},
	} {
		trace := traced(agent...)
		if !strings.Contains(trace, `/cmdline"`) {
			t.Fatalf("%s: no process was looked at:\n%s", agent[0], trace)
		}
		if calls := callsIn(trace); len(calls) > 0 {
			t.Errorf("%s goes to what a process names:\n%s", agent[0], strings.Join(calls, "\n"))
		}
	}
	calls := callsIn(traced("check"))
	if others := slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return strings.Contains(call, "web.cfg") }); len(calls) == 0 || len(others) > 0 {
		t.Errorf("check goes to what is not the service's own, or not to that:\n%s", strings.Join(calls, "\n"))
	}
}

// of wants a finding about the instance of that configuration to have a status and
// words.
func (k *checked) of(config string, name check.Name, status check.Status, words string) {
	k.b.t.Helper()
	at := slices.IndexFunc(k.report.Findings, func(f check.Finding) bool {
		return f.Name == name && strings.HasPrefix(f.Instance, config)
	})
	if at < 0 {
		k.b.t.Fatalf("no %s of %s in %v", name, config, k.report.Findings)
	}
	if f := k.report.Findings[at]; f.Status != status || !strings.Contains(f.Message, words) {
		k.b.t.Errorf("%s of %s is %s: %q; want %s with %q", name, config, f.Status, f.Message, status, words)
	}
}

// peakMemory is the most memory that an ended job had, in KiB.
func peakMemory(j *job) int64 { return j.cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss }

// A service's own finding does not suffer from what strangers name, however large
// and however many.
func TestConfigurationsOfStrangersCostCheckNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{global: "hard-stop-after 1h"})
	s.makeResidual(1, 1)
	want := map[string]string{} // by root, who may signal everybody
	for i, e := range []struct {
		name   string
		become func(string) error
		want   string
	}{
		{"sparse1", becomeSparse(63 << 20), ""},
		{"sparse2", becomeSparse(63 << 20), ""},
		{"sparse3", becomeSparse(63 << 20), ""},
		{"huge", becomeSparse(1 << 40), "file too large"},
		{"fifo", becomeFIFO, "not a regular file"},
		{"proc", becomeLink("/proc/self/mountinfo"), "of the kernel's own"},
		{"sys", becomeLink("/sys/kernel/mm/transparent_hugepage/enabled"), "of the kernel's own"},
		{"random", becomeLink("/dev/urandom"), "not a regular file"},
	} {
		config, _ := b.evil(e.name, 8101+i, e.become)
		want[config] = e.want
	}
	before := b.processes()
	for _, asRoot := range []bool{false, true} {
		args := []string{bedAgent, "check", "-o", "json"}
		if !asRoot {
			args = b.shipped(args...)
		}
		k := &checked{job: b.start(command{args: args}), b: b}
		k.code = k.wait(t)
		k.decode()
		k.of(s.config, check.FindConfiguration, check.OK, s.config)
		k.of(s.config, check.FindHardStopAfter, check.OK, "1h")
		for config, words := range want {
			switch {
			case !asRoot:
				if slices.ContainsFunc(k.report.Findings, func(f check.Finding) bool {
					return f.Name == check.FindConfiguration && strings.HasPrefix(f.Instance, config)
				}) {
					t.Errorf("a stranger's %s was looked for", config)
				}
			case words == "":
				k.of(config, check.FindConfiguration, check.OK, "sparse")
			default:
				k.of(config, check.FindConfiguration, check.Warning, words)
			}
		}
		// A process begins with the peak of the one that started it (getrusage(2)).
		nothing := b.start(command{args: []string{"true"}})
		nothing.wait(t)
		if kib := peakMemory(k.job); kib > max(128<<10, peakMemory(nothing)) {
			t.Errorf("as root %v: it took %d KiB", asRoot, kib)
		}
		if cpu := k.cmd.ProcessState.UserTime() + k.cmd.ProcessState.SystemTime(); cpu > 2*check.ConfigPatience {
			t.Errorf("as root %v: it took %v of CPU", asRoot, cpu)
		}
	}
	b.stay(before...)
}

// A file system that is somebody's program need not answer.
func TestAFileSystemThatDoesNotAnswerHoldsCheckUpForSeconds(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	config, _ := b.evil("mute", 8101, nil)
	var mute *os.File
	err := b.inside(func() (err error) {
		if mute, err = os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
			return err
		}
		const dir = evilDir + "/mount"
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		options := "fd=" + strconv.Itoa(int(mute.Fd())) + ",rootmode=40000,user_id=0,group_id=0,allow_other"
		if err := unix.Mount("mute", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return err
		}
		return becomeLink(dir + "/file")(config)
	})
	if mute != nil {
		defer mute.Close() // which ends whatever waits for it
	}
	if err != nil {
		t.Fatal(err)
	}
	k := b.check(command{})
	k.of(s.config, check.FindConfiguration, check.OK, s.config)
	k.of(config, check.FindConfiguration, check.Warning, "more than 5s to read")
	if k.took > 4*check.ConfigPatience {
		t.Errorf("it took %v", k.took)
	}
}
