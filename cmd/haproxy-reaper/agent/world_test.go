package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const (
	stateVariable = "HAPROXY_REAPER_STATE_DIR"
	defaultFile   = "/etc/haproxy-reaper/haproxy-reaper.conf"
)

// world is what a test puts around the program: a host that is a report, an
// environment, privileges and files. Its zero values are root's ordinary host.
type world struct {
	t      *testing.T
	env    map[string]string
	conf   string // content of the default configuration file, "" for none
	status string // /proc/self/status, "" for root's
	kernel fakeKernel
	hide   bool // other users' processes are hidden from us
	stdin  io.Reader
	stdout io.Writer // nil keeps it
	dir    string    // a directory of the test's own

	report judge.Report       // what the host looks like
	around check.Surroundings // what check sees besides
	err    error              // what a look fails with
	after  func(*judge.Report)
	engine *fakeEngine // the one that the run made
}

func newWorld(t *testing.T, report judge.Report) *world {
	t.Helper()
	return &world{t: t, env: map[string]string{}, stdin: bytes.NewReader(nil), dir: t.TempDir(), report: report}
}

// answers is what a run came to.
type answers struct {
	code           int
	stdout, stderr string
}

// run runs the program. Unless the test names one, the state is in a directory
// of its own.
func (w *world) run(args ...string) answers { return w.runContext(context.Background(), args...) }

func (w *world) runContext(ctx context.Context, args ...string) answers {
	w.t.Helper()
	env := maps.Clone(w.env)
	if env[stateVariable] == "" {
		env[stateVariable] = filepath.Join(w.dir, "state")
	}
	w.kernel.files = map[string]string{
		"/proc/self/status": w.status,
		defaultFile:         w.conf,
		"/proc/1/comm":      "systemd\n",
	}
	if w.hide {
		w.kernel.files["/proc/1/comm"] = ""
	}
	if w.status == "" {
		w.kernel.files["/proc/self/status"] = statusOf(0, inspect.CapSysPtrace, inspect.CapDACReadSearch, inspect.CapKill)
	}
	var stdout, stderr bytes.Buffer
	out := io.Writer(&stdout)
	if w.stdout != nil {
		out = w.stdout
	}
	p := program{
		lookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		stdin:     w.stdin,
		stdout:    out,
		stderr:    &stderr,
		kernel:    w.kernel,
		lockDir:   filepath.Join(w.dir, "lock"),
		newEngine: func(s passSettings) engine {
			w.engine = &fakeEngine{world: w, settings: s}
			return w.engine
		},
	}
	code := p.run(ctx, args)
	return answers{code, stdout.String(), stderr.String()}
}

// path is a file of the test's own.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// write makes such a file.
func (w *world) write(name, content string) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// statusOf is /proc/self/status of a process with that user and capabilities.
func statusOf(euid uint32, capabilities ...inspect.Capability) string {
	var caps uint64
	for _, c := range capabilities {
		caps |= 1 << c
	}
	return fmt.Sprintf("Name:\thaproxy-reaper\nUid:\t1000\t%d\t0\t0\nCapPrm:\t0\nCapEff:\t%016x\n", euid, caps)
}

// fakeEngine plays the world's report.
type fakeEngine struct {
	world    *world
	settings passSettings
	calls    []string // status, run, signal, close
}

func (e *fakeEngine) Status(context.Context) (judge.Report, error) {
	e.calls = append(e.calls, "status")
	return fixture.Cloned(e.world.report), e.world.err
}

func (e *fakeEngine) Run(context.Context) (judge.Report, error) {
	e.calls = append(e.calls, "run")
	report := fixture.Cloned(e.world.report)
	if e.world.err != nil {
		return report, e.world.err
	}
	if e.settings.approve != nil {
		if yes, err := e.settings.approve(report); err != nil || !yes {
			return report, err
		}
	}
	if e.settings.live {
		e.calls = append(e.calls, "signal")
	}
	if e.world.after != nil {
		e.world.after(&report)
	}
	return report, nil
}

func (e *fakeEngine) Surroundings(context.Context, judge.Report, inspect.Privileges) check.Surroundings {
	e.calls = append(e.calls, "surroundings")
	return e.world.around
}

func (e *fakeEngine) Remembered() judge.Memory {
	return judge.Memory{inspect.ProcID{PID: 6034, StartTicks: 4305}: {Residual: time.Minute}}
}

func (e *fakeEngine) Close() { e.calls = append(e.calls, "close") }

// fakeKernel is Linux but for some files, a clock that stands, and pidfd_open.
type fakeKernel struct {
	inspect.Linux
	files    map[string]string // "" is a file that is not there
	pidfdErr error
}

func (k fakeKernel) ReadFile(path string, limit int) ([]byte, error) {
	content, ok := k.files[path]
	switch {
	case !ok:
		return k.Linux.ReadFile(path, limit)
	case content == "":
		return nil, unix.ENOENT
	}
	return []byte(content), nil
}

func (k fakeKernel) PidfdOpen(pid int) (int, error) {
	if k.pidfdErr != nil {
		return -1, k.pidfdErr
	}
	return k.Linux.PidfdOpen(pid)
}

func (k fakeKernel) Boottime() time.Duration { return 10 * time.Hour }
