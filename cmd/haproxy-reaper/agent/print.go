package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// printReport prints a report in the form asked for, in one write.
func printReport(w io.Writer, r *reaper.Report, c *config) error {
	var out []byte
	switch c.output {
	case "none":
		return nil
	case "json":
		var err error
		if out, err = renderJSON(r); err != nil {
			return err
		}
	default:
		out = []byte(renderText(r, c))
	}
	_, err := w.Write(out)
	return err
}

// renderJSON is a report as its document of version 1. Lists that are empty are written as
// such; only what could not be read is null.
func renderJSON(r any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return b.Bytes(), nil
}

// renderText is the report for people: what holds for all, the table, what was
// done, and the sums.
func renderText(r *reaper.Report, c *config) string {
	var b strings.Builder
	fmt.Fprintln(&b, wrap("", wordIndent, headLine(r, c)))
	for _, e := range r.Errors {
		fmt.Fprintln(&b, wrap("", wordIndent, "could not read "+escape(e)))
	}
	if len(r.Instances) == 0 {
		fmt.Fprintln(&b, wrap("", wordIndent, emptyLine(r, c)))
		return b.String()
	}
	fmt.Fprintln(&b)
	writeTable(&b, r)
	for _, line := range sentences(r) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintln(&b, summaryLine(r))
	return b.String()
}

// emptyLine says why there is no instance to show.
func emptyLine(r *reaper.Report, c *config) string {
	switch {
	case len(r.Errors) > 0:
		return "no HAProxy process could be told from the others"
	case len(c.instances) > 0:
		return "no HAProxy instance of that name found: " + escape(strings.Join(c.instances, ", "))
	default:
		return "no HAProxy process found"
	}
}

func headLine(r *reaper.Report, c *config) string {
	line := ""
	if r.WhatIf {
		line = fmt.Sprintf("what if: as seen at %s (%s), decided again; ", r.Time.UTC().Format("2006-01-02 15:04:05 UTC"), escape(c.savedReport))
	}
	line += fmt.Sprintf("host %s, deadline %s (%s)", escape(r.Host), &c.deadline, escape(c.source("deadline")))
	line += policyWords(c, r)
	if r.DryRun && !r.WhatIf {
		line += fmt.Sprintf(", dry run (%s): nobody is signalled", escape(c.source("dry-run")))
	}
	if !r.CanSignal {
		line += ", no process can be signalled: the kernel or a filter refuses pidfd_open or pidfd_send_signal"
	}
	return line
}

func summaryLine(r *reaper.Report) string {
	s := r.Summary
	return fmt.Sprintf("%s: %d active, %d residual, %d due, %d terminated, %d refused",
		plural(len(r.Instances), "instance", "instances"), s.Active, s.Residual, s.Due, s.Terminated, s.Refused)
}

// print prints a report; that it could not be is a fault of the run.
func (p *program) print(r *reaper.Report, c *config, f *faults) {
	if err := printReport(p.stdout, r, c); err != nil {
		f.add(ExitFailed, "print the report", "error", err)
	}
}
