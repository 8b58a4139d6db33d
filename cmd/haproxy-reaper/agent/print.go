package agent

import (
	"io"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// printReport prints a report in the form asked for, in one write.
func printReport(w io.Writer, r *reaper.Report, c *flags.Config) error {
	var out []byte
	switch c.Output {
	case "none":
		return nil
	case "json":
		var err error
		if out, err = text.JSON(r); err != nil {
			return err
		}
	default:
		out = []byte(text.Report(r, headOf(r, c)))
	}
	_, err := w.Write(out)
	return err
}

// headOf returns what the head of a report says of the settings.
func headOf(r *reaper.Report, c *flags.Config) text.Head {
	return text.Head{
		Policy: c.PolicyWords(r.HostShare), DryRunFrom: c.Source("dry-run"), SavedReport: c.SavedReport, Instances: c.Instances,
	}
}

// print prints a report; that it could not be is a fault of the run.
func (p *program) print(r *reaper.Report, c *flags.Config, f *faults) {
	if err := printReport(p.stdout, r, c); err != nil {
		f.add(ExitFailed, "print the report", "error", err)
	}
}
