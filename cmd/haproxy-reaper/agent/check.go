package agent

import (
	"context"
	"log/slog"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
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
	facts := check.Facts{
		Report: report, Have: have, HaveErr: haveErr, Hidden: have.Hidden(p.kernel), DryRun: c.DryRun, Wanted: c.Instances,
		Surroundings: e.Surroundings(ctx, report, have),
	}
	checked := check.Judge(facts)
	f.addFindings(checked)
	p.printAs(c.Output, &checked, func() string { return check.Text(&checked) }, f)
	return f.status()
}

// addFindings adds the failures, which the report tells.
func (f *faults) addFindings(r check.Report) {
	privilege, other := r.Failures()
	if privilege {
		f.statuses = append(f.statuses, ExitPrivilege)
	}
	if other {
		f.statuses = append(f.statuses, ExitFailed)
	}
}
