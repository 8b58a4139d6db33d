package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// maxReport is far more than a report of a thousand processes, each with
// hundreds of peers.
const maxReport = 32 << 20

// whatIf decides a saved report again under the policy of this run, and looks at
// no host.
func (p *program) whatIf(c *flags.Config, log *slog.Logger) int {
	f := &faults{log: log}
	saved, err := p.readSaved(c.SavedReport)
	if err != nil {
		f.add(ExitFailed, "cannot decide again what was saved", "file", c.SavedReport, "error", err)
		return f.status()
	}
	report := judge.Foresee(judge.Reconsider(saved, c.Policy()), c.Policy(), c.Timing())
	p.print(&report, c, f)
	if c.Output == "text" {
		p.printChanges(&saved, &report, f)
	}
	return f.status()
}

// readSaved reads the report in a file, or on standard input for "-".
func (p *program) readSaved(path string) (judge.Report, error) {
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(p.stdin, maxReport+1))
	} else {
		b, err = p.kernel.ReadFile(path, maxReport)
	}
	switch {
	case errors.Is(err, unix.EFBIG), len(b) > maxReport:
		return judge.Report{}, fmt.Errorf("too large: more than %s", text.Size(maxReport))
	case err != nil:
		return judge.Report{}, err
	}
	return judge.ParseReport(b)
}

// printChanges says, a line each, which verdicts are others than in the file.
func (p *program) printChanges(saved, report *judge.Report, f *faults) {
	before := map[string]*judge.Process{}
	key := func(in *judge.Instance, q *judge.Process) string { return fmt.Sprint(in.Name, q.ProcID) }
	for i := range saved.Instances {
		for j := range saved.Instances[i].Processes {
			q := &saved.Instances[i].Processes[j]
			before[key(&saved.Instances[i], q)] = q
		}
	}
	for i := range report.Instances {
		in := &report.Instances[i]
		for j := range in.Processes {
			now := &in.Processes[j]
			then := before[key(in, now)]
			if then.Verdict == now.Verdict && then.Reason == now.Reason {
				continue
			}
			if _, err := fmt.Fprintf(p.stdout, "process %d of %s: %s (%s), in the file %s (%s)\n", now.PID, text.Escape(in.Name),
				text.Escape(string(now.Verdict)), text.Escape(string(now.Reason)), text.Escape(string(then.Verdict)), text.Escape(string(then.Reason))); err != nil {
				f.add(ExitFailed, "print the report", "error", err)
				return
			}
		}
	}
}
