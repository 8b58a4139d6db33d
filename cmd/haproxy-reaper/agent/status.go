package agent

import (
	"context"
	"log/slog"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// status looks once, or reads what was seen, and prints that and what it decides.
func (p *program) status(ctx context.Context, c *flags.Config, log *slog.Logger) int {
	if c.SavedReport != "" {
		return p.whatIf(c, log)
	}
	f := &faults{log: log}
	have, err := inspect.ReadPrivileges(p.kernel)
	if err != nil {
		f.add(ExitFailed, "what this process may do is unknown", "error", err)
	}
	e := p.newEngine(passSettings{kernel: p.kernel, config: c, have: have, earlier: p.newRecord(c).load(log), log: log})
	defer e.Close()
	report, err := e.Status(ctx)
	report.DryRun = c.DryRun
	f.addLook(report, err, have, p.kernel)
	p.print(&report, c, f)
	return f.status()
}
