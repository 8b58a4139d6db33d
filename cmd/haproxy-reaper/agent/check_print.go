package agent

import (
	"fmt"
	"io"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
)

// printCheck prints what was found in the form asked for, in one write.
func printCheck(w io.Writer, r *CheckReport, c *flags.Config) error {
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
		out = []byte(renderCheck(r))
	}
	_, err := w.Write(out)
	return err
}

// checkIndent is how far what follows a finding's name stands in: the longest
// name is hard_stop_after_unbound.
const checkIndent = 37

// renderCheck is the report for people: the host, then each instance, a line for
// each finding, and the sums.
func renderCheck(r *CheckReport) string {
	var b strings.Builder
	group := "\x00"
	for _, f := range r.Findings {
		if f.Instance != group {
			if group = f.Instance; group == "" {
				fmt.Fprintln(&b, text.Wrap("", text.Indent, "host "+text.Escape(r.Host)))
			} else {
				fmt.Fprintf(&b, "\n%s\n", text.Wrap("", text.Indent, text.Escape(group)))
			}
		}
		line := text.Escape(f.Message)
		if f.Advice != "" {
			line += " -> " + text.Escape(f.Advice)
		}
		fmt.Fprintln(&b, text.Wrap(fmt.Sprintf("  %-8s %-24s  ", f.Status, f.Name), strings.Repeat(" ", checkIndent), line))
	}
	fmt.Fprintf(&b, "\n%s, %s, %d ok\n", text.Plural(r.Summary.Failure, "failure", "failures"), text.Plural(r.Summary.Warning, "warning", "warnings"), r.Summary.OK)
	return b.String()
}
