package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The hostile account is a user of the machine without privileges. Beside all
// that the soak does it starts processes that look like HAProxy, each of them at
// a limit that the kernel allows. Two tricks of it run at any time, so that it has
// at most 2 x 64 processes, of some 5 MiB each.
const (
	hostileUID    = 4000
	hostileDir    = "/tmp/hostile"
	hostileRole   = "SOAK_HOSTILE" // in the environment of a process: what it does
	tricksAtOnce  = 2
	manyArguments = 345_000 // 1 MiB in all
	manyGroups    = 12_000
	manyFiles     = 20_000
	manyNames     = 64
)

// Roles of a process of the account.
const (
	roleListen = "listen" // it listens, and catches what a ready worker catches
	roleFiles  = "files"  // it has many descriptors besides
	roleMaster = "master" // it starts a worker with its own arguments
	rolePair   = "pair"   // it reads a pid, and names that process from then on
)

// account is the hostile account at work.
type account struct {
	configurations []string // of the services
	masters        []string // sockets of their master CLIs
	doors          []string // addresses of the account's own
	out            chan string
}

// trick starts processes of the account, and returns those that it could start.
type trick struct {
	name string
	play func(a *account) []*exec.Cmd
}

var tricks = []trick{
	{"pairs that name each other", func(a *account) (all []*exec.Cmd) {
		for n := range 5 {
			file := fmt.Sprintf("/pair/%d", n)
			first := a.command(rolePair, nil, "-D", "-f", file)
			pid, err := first.StdinPipe()
			if err != nil || first.Start() != nil {
				continue
			}
			all = append(all, first)
			if second := a.start(roleListen, nil, "-D", "-f", file, "-sf", strconv.Itoa(first.Process.Pid)); second != nil {
				all = append(all, second)
				fmt.Fprintln(pid, second.Process.Pid)
			}
		}
		return all
	}},
	{"lists that name every HAProxy", func(a *account) (all []*exec.Cmd) {
		for _, file := range a.configurations {
			all = append(all, a.start(roleListen, nil, slices.Concat([]string{"-D", "-f", file, "-sf"}, everyHAProxy())...))
		}
		return all
	}},
	{"1 MiB of arguments", func(a *account) (all []*exec.Cmd) {
		args := slices.Repeat([]string{"-d"}, manyArguments)
		for range 5 {
			all = append(all, a.start(roleListen, nil, args...))
		}
		return all
	}},
	{"12,000 groups", func(a *account) (all []*exec.Cmd) {
		groups := make([]uint32, manyGroups)
		for i := range groups {
			groups[i] = uint32(100_000 + i)
		}
		for n := range 5 {
			all = append(all, a.start(roleListen, groups, "-D", "-f", fmt.Sprintf("/groups/%d", n)))
		}
		return all
	}},
	{"20,000 descriptors", func(a *account) (all []*exec.Cmd) {
		for n := range 20 {
			all = append(all, a.start(roleFiles, nil, "-D", "-f", fmt.Sprintf("/files/%d", n)))
		}
		return all
	}},
	{"names of control characters", func(a *account) (all []*exec.Cmd) {
		for range 30 {
			name := make([]byte, 200)
			for i := range name {
				name[i] = byte(1 + rand.IntN(31))
			}
			all = append(all, a.start(roleListen, nil, "-D", "-f", "/"+string(name)))
		}
		return all
	}},
	{"configurations of the services", func(a *account) (all []*exec.Cmd) {
		for _, file := range a.configurations {
			all = append(all, a.start(roleListen, nil, "-D", "-f", file))
		}
		return all
	}},
	{"64 names that sort first", func(a *account) (all []*exec.Cmd) {
		for n := range manyNames {
			all = append(all, a.start(roleListen, nil, "-D", "-f", fmt.Sprintf("/ %02d", n)))
		}
		return all
	}},
	{"master CLIs elsewhere", func(a *account) (all []*exec.Cmd) {
		for n, address := range a.doors {
			all = append(all, a.start(roleMaster, nil, "-W", "-f", fmt.Sprintf("/door/%d", n), "-S", address))
		}
		for n, socket := range a.masters {
			link := fmt.Sprintf("%s/link-%d", hostileDir, n)
			_ = os.Symlink(socket, link) // it is there from the time before
			all = append(all, a.start(roleMaster, nil, "-W", "-f", fmt.Sprintf("/link/%d", n), "-S", link))
		}
		return all
	}},
	{"configurations without an end", func(a *account) (all []*exec.Cmd) {
		for _, file := range []string{hostileDir + "/sparse", "/sys/kernel/tracing/trace_pipe", "/proc/kmsg"} {
			all = append(all, a.start(roleListen, nil, "-D", "-f", file), a.start(roleMaster, nil, "-W", "-f", file))
		}
		return all
	}},
}

// everyHAProxy are the pids of all processes called haproxy, 500 at the most.
func everyHAProxy() (pids []string) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && comm(pid) == "haproxy" && len(pids) < 500 {
			pids = append(pids, entry.Name())
		}
	}
	return pids
}

// command is a process of the account that is not started yet.
func (a *account) command(role string, groups []uint32, args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: hostileDir + "/haproxy", Args: append([]string{"haproxy"}, args...), Dir: "/",
		Env: []string{hostileRole + "=" + role, "GOMAXPROCS=1"},
		SysProcAttr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: hostileUID, Gid: hostileUID, Groups: groups},
			Pdeathsig:  unix.SIGKILL,
		},
	}
}

// start starts a process of the account; nil where the machine refuses it.
func (a *account) start(role string, groups []uint32, args ...string) *exec.Cmd {
	cmd := a.command(role, groups, args...)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "soak: hostile:", err)
		return nil
	}
	return cmd
}

// hostile is the account at work until standard input ends. Its arguments are
// the services' configurations, "--", and the sockets of their master CLIs. It
// runs as root, which the groups of its processes need, and writes a line for
// each trick, and one for each connection to a door of its own.
func hostile(args []string) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	a := &account{out: make(chan string)}
	at := slices.Index(args, "--")
	if at < 0 {
		return fmt.Errorf("no -- in %q", args)
	}
	a.configurations, a.masters = args[:at], args[at+1:]
	if err := a.prepare(); err != nil {
		return err
	}
	next, done := make(chan trick), make(chan struct{})
	go func() {
		for { // each of them before any comes again
			for _, i := range rand.Perm(len(tricks)) {
				next <- tricks[i]
			}
		}
	}()
	var all sync.WaitGroup
	for range tricksAtOnce {
		all.Go(func() { a.play(ctx, next) })
	}
	go func() {
		all.Wait()
		close(done)
	}()
	for {
		select {
		case line := <-a.out:
			if _, err := fmt.Println(line); err != nil {
				return err // its processes end with it
			}
		case <-done:
			return nil
		}
	}
}

// prepare makes the account's folder, its limits and its doors.
func (a *account) prepare() error {
	// Arguments may take a quarter of the stack, 6 MiB at the most (execve(2)).
	if err := unix.Setrlimit(unix.RLIMIT_STACK, &unix.Rlimit{Cur: 64 << 20, Max: unix.RLIM_INFINITY}); err != nil {
		return fmt.Errorf("raise the limit of the stack: %w", err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(hostileDir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(hostileDir+"/haproxy", self, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(hostileDir+"/sparse", nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(hostileDir+"/sparse", 63<<20); err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	local, err := net.Listen("unix", hostileDir+"/door")
	if err != nil {
		return err
	}
	a.doors = []string{tcp.Addr().String(), hostileDir + "/door"}
	for _, path := range []string{hostileDir, hostileDir + "/haproxy", hostileDir + "/sparse", hostileDir + "/door"} {
		if err := os.Lchown(path, hostileUID, hostileUID); err != nil {
			return err
		}
	}
	for _, door := range []net.Listener{tcp, local} {
		go a.open(door)
	}
	return nil
}

// open takes down who comes to a door, and never answers.
func (a *account) open(door net.Listener) {
	for {
		c, err := door.Accept()
		if err != nil {
			return
		}
		go io.Copy(io.Discard, c)
		a.out <- visited
	}
}

// visited is the line for a connection to a door.
const visited = "visited"

// play plays one trick after another, and ends the processes of each.
func (a *account) play(ctx context.Context, next <-chan trick) {
	runtime.LockOSThread() // for good: the end of the thread would end the processes
	for ctx.Err() == nil {
		trick := <-next
		a.out <- trick.name
		all := trick.play(a)
		select {
		case <-ctx.Done():
		case <-time.After(2*time.Second + rand.N(6*time.Second)):
		}
		for _, cmd := range all {
			if cmd != nil {
				cmd.Process.Kill()
			}
		}
		for _, cmd := range all {
			if cmd != nil {
				cmd.Wait()
			}
		}
	}
}

// intrude is a process of the account, until it is killed.
func intrude(role string) error {
	runtime.LockOSThread() // the main thread, whose masks /proc tells
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGUSR1, unix.SIGTTIN, unix.SIGTTOU)
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, new(unix.Sigset_t), nil); err != nil {
		return err
	}
	if role != roleMaster {
		// Go catches everything, as a master does. A worker does not catch these.
		for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGCHLD, unix.SIGUSR2} {
			var byDefault [4]uint64 // struct sigaction of the kernel, with SIG_DFL
			if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0); errno != 0 {
				return errno
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	listen := []string{hostileRole + "=" + roleListen, "GOMAXPROCS=1"}
	switch role {
	case rolePair:
		pid, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return err
		}
		return unix.Exec(self, append(os.Args, "-sf", strings.TrimSpace(pid)), listen)
	case roleMaster:
		worker := &exec.Cmd{Path: self, Args: os.Args, Env: listen, SysProcAttr: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}}
		if err := worker.Start(); err != nil {
			return err
		}
		return worker.Wait()
	}
	if _, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if _, err := net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return err
	}
	for n := 0; role == roleFiles && n < manyFiles; n++ {
		if _, err := unix.Dup(0); err != nil {
			break // its limit
		}
	}
	for range signals { // it outlives every soft stop
	}
	return nil
}

// startHostile lets the account loose in the machine until the soak ends.
func (r *run) startHostile(ctx context.Context, t *tester) {
	args := []string{soakPath, "hostile"}
	var masters []string
	for _, c := range r.cells {
		args = append(args, c.file(".cfg"))
		if !c.daemon() {
			masters = append(masters, filepath.Join(sharedDir, c.name()+"-master.sock"))
		}
	}
	cmd := r.m.Command(ctx, slices.Concat(args, []string{"--"}, masters)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.mu.Lock()
			r.played[lines.Text()]++
			r.mu.Unlock()
		}
		cmd.Wait()
	}()
	t.Cleanup(func() {
		in.Close()
		<-done
	})
}

// hostileWords are what the account did, in one line.
func hostileWords(played map[string]int) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(played)) {
		if name != visited {
			words = append(words, fmt.Sprintf("%d times %s", played[name], name))
		}
	}
	return "A hostile account beside it: " + strings.Join(words, ", ") + "."
}
