package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// runChild runs one pass as a child process and returns its report. When the
// context ends, the child is sent SIGTERM, ends its pass in order, and is waited
// for. The error is state.ErrLocked when another live run goes on.
func (s *serving) runChild(ctx context.Context) (*judge.Report, error) {
	steps, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a pass: %w", err)
	}
	defer steps.Close()
	pass := s.options.Pass
	var stdout bytes.Buffer
	child := &exec.Cmd{
		Path: pass.Program, Args: append([]string{"haproxy-reaper"}, pass.Args...), Env: childEnv(),
		Stdout: &stdout, Stderr: pass.Stderr,
		ExtraFiles: []*os.File{theirs},
		// The kernel sends this when the thread that started the child ends: in
		// good order, see below, and also when serve itself is killed.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM},
	}
	ended := make(chan struct{})
	started := make(chan error)
	go onThreadOfItsOwn(func() {
		err := child.Start()
		started <- err
		if err != nil {
			return
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
	})
	err = <-started
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("start a pass: %w", err)
	}
	go s.follow(steps)
	err = child.Wait()
	close(ended)
	return readReport(stdout.Bytes(), child.ProcessState, pass.Busy, err)
}

// onThreadOfItsOwn runs f on a thread that ends with it. The first thread of a
// process does not end, so there f goes to another.
func onThreadOfItsOwn(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		onThreadOfItsOwn(f)
		close(done)
	}()
	<-done
	runtime.UnlockOSThread()
}

// follow counts a step for each sign of life on the pipe, until the child and
// whoever it started have closed it.
func (s *serving) follow(steps *os.File) {
	buf := make([]byte, 64)
	for {
		if _, err := steps.Read(buf); err != nil {
			return
		}
		s.stepped()
	}
}

// readReport reads what a pass has printed; its exit status says less, but for
// one that did not start.
func readReport(stdout []byte, ended *os.ProcessState, busy int, err error) (*judge.Report, error) {
	if ended != nil && ended.ExitCode() == busy {
		return nil, state.ErrLocked
	}
	var report judge.Report
	if jsonErr := json.Unmarshal(stdout, &report); jsonErr != nil || report.Version != 1 {
		if err == nil {
			err = errors.New("exit status 0")
		}
		return nil, fmt.Errorf("a pass ended without a report: %w", err)
	}
	return &report, nil
}

// childEnv is the environment without what systemd said to serve alone.
func childEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
			return true
		}
		return false
	})
	return append(env, stepsVariable+"=3")
}
