package agent

import (
	"context"
	"log/slog"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// check tells an operator whether reap could do its work here, and what HAProxy
// itself does about old workers. It looks as status does, and changes nothing.
func (p *program) check(ctx context.Context, c *flags.Config, log *slog.Logger) int {
	f := &faults{log: log}
	have, haveErr := inspect.ReadPrivileges(p.kernel)
	e := p.newEngine(passSettings{kernel: p.kernel, config: c, have: have, earlier: p.newRecord(c).load(log), log: log})
	defer e.Close()
	report, err := e.Status(ctx)
	if err != nil {
		status := ExitFailed
		if inspect.IsPermission(err) {
			status = ExitPrivilege
		}
		f.add(status, "the host could not be inspected", "error", err)
	}
	facts := preflight{
		report: report, have: have, haveErr: haveErr, hidden: have.Hidden(p.kernel), dryRun: c.DryRun, wanted: c.Instances,
		surroundings: e.Surroundings(ctx, report, have),
	}
	checked := judge(facts)
	f.addFindings(checked)
	if err := printCheck(p.stdout, &checked, c); err != nil {
		f.add(ExitFailed, "print the report", "error", err)
	}
	return f.status()
}

// addFindings adds the failures, which the report tells.
func (f *faults) addFindings(r CheckReport) {
	for _, found := range r.Findings {
		switch {
		case found.Status != FindingFailure:
		case slices.Contains(privilegeFindings, found.Name):
			f.statuses = append(f.statuses, ExitPrivilege)
		default:
			f.statuses = append(f.statuses, ExitFailed)
		}
	}
}
