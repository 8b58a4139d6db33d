package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Head is what the first lines of a report say of the settings that it was made
// under.
type Head struct {
	Policy      string   // which policy decides, as in "deadline 30m (default)"
	DryRunFrom  string   // what made it a dry run, where it is one: a flag, a variable, a line of a file
	SavedReport string   // the file that was decided again, where one was
	Instances   []string // the instances that were asked for, none for all
}

// JSON returns a report, of a pass or of a check, as its document of version 1. An empty
// list is written as such; only what could not be read is null.
func JSON(r any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return b.Bytes(), nil
}

// Report returns a report for people: what holds for all, the table, what was
// done, and the sums.
func Report(r *judge.Report, h Head) string {
	var b strings.Builder
	fmt.Fprintln(&b, Wrap("", Indent, headLine(r, h)))
	for _, e := range r.Errors {
		fmt.Fprintln(&b, Wrap("", Indent, "could not read "+Escape(e)))
	}
	if len(r.Instances) == 0 {
		fmt.Fprintln(&b, Wrap("", Indent, EmptyLine(r, h.Instances)))
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

// EmptyLine says why there is no instance to show. The wanted are the instances
// that were asked for, none for all.
func EmptyLine(r *judge.Report, wanted []string) string {
	switch {
	case len(r.Errors) > 0:
		return "no HAProxy process could be told from the others"
	case len(wanted) > 0:
		return "no HAProxy instance of that name found: " + Escape(strings.Join(wanted, ", "))
	default:
		return "no HAProxy process found"
	}
}

func headLine(r *judge.Report, h Head) string {
	line := ""
	if r.WhatIf {
		line = fmt.Sprintf("what if: as seen at %s (%s), decided again; ", r.Time.UTC().Format("2006-01-02 15:04:05 UTC"), Escape(h.SavedReport))
	}
	line += fmt.Sprintf("host %s, %s", Escape(r.Host), Escape(h.Policy))
	if r.DryRun && !r.WhatIf {
		line += fmt.Sprintf(", dry run (%s): nobody is signalled", Escape(h.DryRunFrom))
	}
	if !r.CanSignal {
		line += ", no process can be signalled: the kernel or a filter refuses pidfd_open or pidfd_send_signal"
	}
	return line
}

func summaryLine(r *judge.Report) string {
	s := r.Summary
	return fmt.Sprintf("%s: %d active, %d residual, %d due, %d terminated, %d refused",
		Plural(len(r.Instances), "instance", "instances"), s.Active, s.Residual, s.Due, s.Terminated, s.Refused)
}
