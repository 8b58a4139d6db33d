package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/serve"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// reap is one pass. A live one that lacks a privilege looks and reports all the
// same, and signals nobody.
func (p *program) reap(ctx context.Context, c *flags.Config, log *slog.Logger) int {
	f := &faults{log: log}
	live := !c.DryRun
	have, err := inspect.ReadPrivileges(p.kernel)
	if err != nil {
		f.add(ExitFailed, "what this process may do is unknown", "error", err)
	}
	able := err == nil
	if live && able {
		if err := mayAct(have, p.kernel); err != nil {
			f.add(ExitPrivilege, "reap may not act", "error", err)
			able = false
		}
	}
	if live && able {
		release, err := lock(p.lockDir)
		switch {
		case errors.Is(err, state.ErrLocked):
			log.Error("reap did not start", "error", err)
			return ExitBusy
		case inspect.IsPermission(err): // as shipped the lock is root's, and takes CAP_DAC_READ_SEARCH
			f.add(ExitPrivilege, "reap may not act", "error", err)
			able = false
		case err != nil:
			f.add(ExitFailed, "reap may not act", "error", err)
			able = false
		default:
			defer release()
		}
	}

	records := p.newRecord(c)
	approval := &approval{program: p, config: c, ask: !c.Yes && p.byHand()}
	settings := passSettings{kernel: p.kernel, config: c, have: have, live: live && able, earlier: records.load(log), log: log}
	records.alone = settings.live
	settings.step = serve.Stepper(p.lookupEnv, p.kernel.Boottime)
	if settings.live {
		settings.signalled = records.signalled(log)
		settings.drained = p.progress.drained
		settings.approve = func(r judge.Report) (bool, error) { return approval.approve(ctx, r) }
	}
	e := p.newEngine(settings)
	defer e.Close()
	pass := e.Run
	if live && !able {
		pass = e.Status
	}
	report, err := pass(ctx)
	p.progress.end()
	report.DryRun = !live
	if approval.err != nil {
		f.addApproval(approval.err)
		err = nil // the look itself was good
	}
	f.addLook(report, err, have, p.kernel)
	f.addOutcomes(report, have)
	records.write(report, e.Remembered(), f)
	p.print(&report, c, f)
	return f.status()
}

// errPrivilege is a missing privilege or kernel feature.
var errPrivilege = errors.New("missing privilege")

// mayAct says what a live reap lacks before it has looked at anything: it must
// be able to prove what a process is, and to signal what it proved.
func mayAct(have inspect.Privileges, kernel inspect.Kernel) error {
	if missing := have.Missing(inspect.CapSysPtrace); len(missing) > 0 {
		return fmt.Errorf("%w: %s", errPrivilege, missing)
	}
	fd, err := kernel.PidfdOpen(os.Getpid())
	if err != nil {
		return fmt.Errorf("%w: pidfd_open(2), Linux 5.3: %w", errPrivilege, err)
	}
	return kernel.Close(fd)
}
