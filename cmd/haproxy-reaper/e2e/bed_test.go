package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A bed is a small host of its own for one test: PID, mount, network, IPC and
// UTS namespaces with a /proc, /run and /var/lib that nobody else sees. Tests
// side by side never meet each other's HAProxy, lock, state or ports. What
// runs in it dies with its first process, at the end of the test.
type bed struct {
	release
	t    *testing.T
	init *exec.Cmd
	ns   int // pidfd of the first process: the way into its namespaces
	log  *os.File
	net  *os.File // network namespace of the clients, nil when it is the bed's own
}

// newBed makes a bed for this machine's HAProxy.
func newBed(t *testing.T) *bed {
	t.Helper()
	return newBedOf(t, release{})
}

// newBedOf makes a bed for a release of HAProxy. It needs root, HAProxy and its
// user, and fails without.
func newBedOf(t *testing.T, r release) *bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the end-to-end tests make namespaces and need root")
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		t.Fatal("the end-to-end tests need HAProxy:", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	init := &exec.Cmd{
		Path: self,
		Args: []string{bedInitName, r.root},
		Env:  bedEnv,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		},
		Stderr: os.Stderr,
	}
	stdin, err := init.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := init.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := init.Start(); err != nil {
		t.Fatal("start a bed:", err)
	}
	b := &bed{release: r, t: t, init: init}
	t.Cleanup(func() {
		stdin.Close()
		init.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("furnish the bed: %q %v", line, err)
	}
	if b.ns, err = unix.PidfdOpen(init.Process.Pid, 0); err != nil {
		t.Fatal("open the bed:", err)
	}
	t.Cleanup(func() { unix.Close(b.ns) })
	if b.log, err = os.Create(filepath.Join(t.TempDir(), "haproxy.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(b.log.Name())
			t.Logf("HAProxy wrote:\n%s", text)
		}
		b.log.Close()
	})
	return b
}

// bedEnv is the environment of everything in a bed. The race detector's second
// of sleep at the end of each program would be most of the time of the tests.
var bedEnv = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GORACE=atexit_sleep_ms=0"}

// haproxy is a command that runs the bed's HAProxy. Its files lie where they
// would without the other root, as far as the bed's own are concerned.
func (b *bed) haproxy(args ...string) []string {
	return b.haproxyAs(0, append([]string{"/usr/sbin/haproxy"}, args...)...)
}

// haproxyAs runs a command of HAProxy's root as another user.
func (b *bed) haproxyAs(uid int, args ...string) []string {
	root := "/"
	if b.root != "" {
		root = bedRoot
	}
	user := fmt.Sprintf("--userspec=%d:%d", uid, uid)
	return append([]string{"chroot", user, "--groups=", root}, args...)
}

// inside runs f on a thread that has joined the bed: sockets it opens and
// programs it starts belong there. f must not fail the test itself.
func (b *bed) inside(f func() error) error {
	return onThread(func() error {
		// A mount namespace is not to be joined while the working directory and
		// root are shared with the other threads.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		all := unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if err := unix.Setns(b.ns, all); err != nil {
			return fmt.Errorf("join the bed: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, which ends with it: what it does to
// its namespaces concerns nobody else.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		done <- f()
	}()
	return <-done
}

// amongClients is inside, in the network namespace of the bed's clients.
func (b *bed) amongClients(f func() error) error {
	return b.inside(func() error {
		if b.net != nil {
			if err := unix.Setns(int(b.net.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("join the clients' network: %w", err)
			}
		}
		return f()
	})
}

// moveClients makes another network namespace in the bed, for its clients and
// backends from now on.
func (b *bed) moveClients() {
	b.t.Helper()
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if err := bedLoopback(); err != nil {
			return err
		}
		b.net, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		b.t.Fatal("make a network namespace:", err)
	}
	b.t.Cleanup(func() { b.net.Close() })
}

// path is a file of the bed as this process can open it.
func (b *bed) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", b.init.Process.Pid, name)
}

// write writes a file of the bed.
func (b *bed) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// read reads a file of the bed, empty when it is not there.
func (b *bed) read(name string) string {
	content, err := os.ReadFile(b.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(content)
}

// fifo puts a named pipe in place of a file of the bed: who reads it waits until
// the returned function is called.
func (b *bed) fifo(name string) (unblock func()) {
	b.t.Helper()
	if err := os.Remove(b.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	if err := unix.Mkfifo(b.path(name), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return func() {
		b.t.Helper()
		f, err := os.OpenFile(b.path(name), os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			b.t.Fatal(err)
		}
		f.Close()
	}
}

// command is a program to run in the bed.
type command struct {
	args  []string
	env   []string   // besides bedEnv
	uid   uint32     // and gid, without further groups
	stdin *os.File   // none is /dev/null
	log   *os.File   // where its output goes; none keeps it in the job
	files []*os.File // descriptors from 3 on
	net   bool       // in the network namespace of the clients
}

// A job is a program running in the bed.
type job struct {
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	done           chan struct{}
	started        time.Time
	took           time.Duration
}

// start starts a program in the bed, which ends with the test at the latest.
func (b *bed) start(c command) *job {
	b.t.Helper()
	path := bedAgent // there only inside
	if !slices.Contains([]string{bedAgent, bedCallsName, bedRefusedName, bedFloodName}, c.args[0]) {
		var err error
		if path, err = exec.LookPath(c.args[0]); err != nil {
			b.t.Fatal(err)
		}
	}
	j := &job{done: make(chan struct{}), started: time.Now()}
	j.cmd = &exec.Cmd{
		Path:        path,
		Args:        c.args,
		Env:         append(slices.Clone(bedEnv), c.env...),
		Dir:         "/",
		Stdout:      &j.stdout,
		Stderr:      &j.stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: c.stdin == nil},
		WaitDelay:   10 * time.Second,
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		j.cmd.Env = append(j.cmd.Env, "GOCOVERDIR="+dir)
	}
	if c.stdin != nil {
		j.cmd.Stdin = c.stdin
	}
	if c.log != nil {
		j.cmd.Stdout, j.cmd.Stderr = c.log, c.log
	}
	if c.uid != 0 {
		j.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.uid, Gid: c.uid}
	}
	j.cmd.ExtraFiles = c.files
	enter := b.inside
	if c.net {
		enter = b.amongClients
	}
	if err := enter(j.cmd.Start); err != nil {
		b.t.Fatalf("start %q: %v", c.args, err)
	}
	go func() {
		j.cmd.Wait()
		j.took = time.Since(j.started)
		close(j.done)
	}()
	b.t.Cleanup(func() {
		j.cmd.Process.Kill() // our own child, when it is still there
		<-j.done
	})
	return j
}

// wait waits for the end of the job and returns its exit status.
func (j *job) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-j.done:
		return j.cmd.ProcessState.ExitCode()
	case <-time.After(bedPatience):
		t.Fatalf("%q did not end in %v; standard error:\n%s", j.cmd.Args, bedPatience, j.stderr.String())
		return -1
	}
}

// pid is the job's pid in the bed.
func (j *job) pid(b *bed) int {
	b.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", j.cmd.Process.Pid))
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(list)
			pid, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				b.t.Fatal(err)
			}
			return pid
		}
	}
	b.t.Fatalf("%q has no NSpid", j.cmd.Args)
	return 0
}

// run runs a program in the bed to its end, which must be a good one.
func (b *bed) run(c command) string {
	b.t.Helper()
	j := b.start(c)
	if code := j.wait(b.t); code != 0 {
		b.t.Fatalf("%q: exit status %d: %s", c.args, code, j.stderr.String())
	}
	return j.stdout.String()
}

// bedPatience is how long anything is waited for: far more than it takes, for
// a machine that is busy with other things.
const bedPatience = 40 * time.Second

// until polls for a condition that says what it still waits for, nil when it
// has come.
func (b *bed) until(condition func() error) {
	b.t.Helper()
	for end := time.Now().Add(bedPatience); ; time.Sleep(5 * time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("after %v: %v", bedPatience, err)
		}
	}
}

// dial connects to an address in the bed: "127.0.0.1:80", or the path of a
// unix socket.
func (b *bed) dial(address string) (c net.Conn, err error) {
	err = b.amongClients(func() error { c, err = dialHere(address); return err })
	return c, err
}

func dialHere(address string) (net.Conn, error) {
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	return net.DialTimeout(network, address, 5*time.Second)
}

// lockedBuffer collects what a job writes, readable while it runs.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = &lockedBuffer{}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
