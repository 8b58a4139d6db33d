package agent

import (
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// headOf returns what the head of a report says of the settings.
func headOf(r *judge.Report, c *flags.Config) text.Head {
	return text.Head{
		Policy: c.PolicyWords(r.HostShare), DryRunFrom: c.Source("dry-run"), SavedReport: c.SavedReport, Instances: c.Instances,
	}
}

// print prints a report.
func (p *program) print(r *judge.Report, c *flags.Config, f *faults) {
	p.printAs(c.Output, r, func() string { return text.Report(r, headOf(r, c)) }, f)
}

// printAs prints a document of version 1, or the words for people, as --output says, in
// one write. That it could not be printed is a fault of the run.
func (p *program) printAs(output string, document any, words func() string, f *faults) {
	var out []byte
	var err error
	switch output {
	case "none":
		return
	case "json":
		out, err = text.JSON(document)
	default:
		out = []byte(words())
	}
	if err == nil {
		_, err = p.stdout.Write(out)
	}
	if err != nil {
		f.add(ExitFailed, "print the report", "error", err)
	}
}
