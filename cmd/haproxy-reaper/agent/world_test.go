package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
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

	report reaper.Report // what the host looks like
	around surroundings  // what check sees besides
	err    error         // what a look fails with
	after  func(*reaper.Report)
	engine *fakeEngine // the one that the run made
}

func newWorld(t *testing.T, report reaper.Report) *world {
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
	if env[variable("state-dir")] == "" {
		env[variable("state-dir")] = filepath.Join(w.dir, "state")
	}
	w.kernel.files = map[string]string{
		"/proc/self/status": w.status,
		defaultConfigFile:   w.conf,
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

func (e *fakeEngine) Status(context.Context) (reaper.Report, error) {
	e.calls = append(e.calls, "status")
	return cloned(e.world.report), e.world.err
}

func (e *fakeEngine) Run(context.Context) (reaper.Report, error) {
	e.calls = append(e.calls, "run")
	report := cloned(e.world.report)
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

func (e *fakeEngine) Surroundings(context.Context, reaper.Report, inspect.Privileges) surroundings {
	e.calls = append(e.calls, "surroundings")
	return e.world.around
}

func (e *fakeEngine) Remembered() reaper.Memory {
	return reaper.Memory{inspect.ProcID{PID: 6034, StartTicks: 4305}: {Residual: time.Minute}}
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

// noon is when the reports of these tests were made.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ptr[T any](v T) *T { return &v }

// oldWorker is an old worker superseded so long ago, under a deadline of 30m.
func oldWorker(pid int, since time.Duration, clients int) reaper.Process {
	p := reaper.Process{
		ProcID: inspect.ProcID{PID: pid, StartTicks: uint64(pid)}, Role: reaper.RoleResidual, User: "haproxy", UID: 106, State: "S",
		Args: []string{"haproxy", "-Ws"}, Evidence: []string{"told by 6050", "stopping"}, Started: ptr(noon.Add(-since - time.Hour)), Superseded: ptr(noon.Add(-since)), Due: ptr(noon.Add(30*time.Minute - since)),
		AgeSeconds: (since + time.Hour).Seconds(), ResidualSeconds: ptr(since.Seconds()),
		Listeners: []string{}, Connections: reaper.Connections{Client: ptr(clients), Server: ptr(clients), Other: ptr(0), Former: ptr(0), Unknown: ptr(0)},
		Ports: []reaper.PortUse{}, IdleSeconds: ptr(12.4), PrivateBytes: ptr(uint64(8912896)), Signals: []string{},
		Verdict: reaper.VerdictWait, Reason: reaper.ReasonWithinDeadline,
	}
	if since >= 30*time.Minute {
		p.Verdict, p.Reason = reaper.VerdictTerminate, reaper.ReasonPastDeadline
	}
	return p
}

// reportOf is a report of one instance: a master, an active worker, and these.
func reportOf(residuals ...reaper.Process) reaper.Report {
	master := reaper.Process{
		ProcID: inspect.ProcID{PID: 6001, StartTicks: 100}, Role: reaper.RoleMaster, User: "root", State: "S", Args: []string{"haproxy", "-Ws"},
		Evidence: []string{}, Started: ptr(noon.Add(-74 * time.Hour)), AgeSeconds: (74 * time.Hour).Seconds(), Ports: []reaper.PortUse{}, Signals: []string{},
		Verdict: reaper.VerdictKeep, Reason: reaper.ReasonMaster,
	}
	active := reaper.Process{
		ProcID: inspect.ProcID{PID: 6050, StartTicks: 9000}, Role: reaper.RoleActive, User: "haproxy", UID: 106, State: "S", Args: []string{"haproxy", "-sf", "6034"},
		Evidence: []string{}, Started: ptr(noon.Add(-time.Hour)), AgeSeconds: time.Hour.Seconds(),
		Listeners:   []string{"tcp 0.0.0.0:80", "tcp 0.0.0.0:443", "tcp [::]:80", "tcp [::]:443", "unix /run/haproxy/admin.sock"},
		Connections: reaper.Connections{Client: ptr(1204)}, Ports: []reaper.PortUse{}, PrivateBytes: ptr(uint64(120 << 20)), Signals: []string{},
		Verdict: reaper.VerdictKeep, Reason: reaper.ReasonActive,
	}
	r := reaper.Report{
		Version: 1, Host: "fe-01", BootID: "b00t", Time: noon, DeadlineSeconds: 1800, CanSignal: true, MemoryAvailableBytes: ptr(uint64(1 << 30)),
		Instances: []reaper.Instance{{
			Name: "haproxy.service", Model: reaper.ModelMasterWorker, Confirmed: true, Witnesses: []string{"sockets", "arguments", "cli"},
			Processes: slices.Concat([]reaper.Process{master}, residuals, []reaper.Process{active}),
		}},
		Errors: []string{},
	}
	r.Summary = reaper.Summarize(r)
	return r
}

// refusedReport is such a report, refused.
func refusedReport(reason reaper.Reason, detail string, residuals ...reaper.Process) reaper.Report {
	r := reportOf(residuals...)
	in := &r.Instances[0]
	in.Refusal, in.RefusalDetail = reason, detail
	for i := range in.Processes {
		if p := &in.Processes[i]; p.Role == reaper.RoleResidual {
			p.Verdict, p.Reason = reaper.VerdictRefuse, reason
		}
	}
	r.Summary = reaper.Summarize(r)
	return r
}

// outcomes gives the residual processes of a report an outcome each, in order.
func outcomes(list ...reaper.Outcome) func(*reaper.Report) {
	return func(r *reaper.Report) {
		n := 0
		for i := range r.Instances {
			for j := range r.Instances[i].Processes {
				if p := &r.Instances[i].Processes[j]; p.Role == reaper.RoleResidual && n < len(list) {
					p.Outcome, n = list[n], n+1
				}
			}
		}
		r.Summary = reaper.Summarize(*r)
	}
}

// cloned is a report that may be changed and leaves the other as it is.
func cloned(r reaper.Report) reaper.Report {
	r.Instances = slices.Clone(r.Instances)
	for i := range r.Instances {
		r.Instances[i].Processes = slices.Clone(r.Instances[i].Processes)
	}
	return r
}

// emptyReport is that of a host without HAProxy.
func emptyReport(errs ...string) reaper.Report {
	return reaper.Report{Version: 1, Host: "fe-01", Time: noon, CanSignal: true, Instances: []reaper.Instance{}, Errors: append([]string{}, errs...)}
}
