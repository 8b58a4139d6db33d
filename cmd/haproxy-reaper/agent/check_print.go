package agent

import (
	"fmt"
	"io"
	"strings"
)

// printCheck prints what was found in the form asked for, in one write.
func printCheck(w io.Writer, r *CheckReport, c *config) error {
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
				fmt.Fprintln(&b, wrap("", wordIndent, "host "+escape(r.Host)))
			} else {
				fmt.Fprintf(&b, "\n%s\n", wrap("", wordIndent, escape(group)))
			}
		}
		text := escape(f.Message)
		if f.Advice != "" {
			text += " -> " + escape(f.Advice)
		}
		fmt.Fprintln(&b, wrap(fmt.Sprintf("  %-8s %-24s  ", f.Status, f.Name), strings.Repeat(" ", checkIndent), text))
	}
	fmt.Fprintf(&b, "\n%s, %s, %d ok\n", plural(r.Summary.Failure, "failure", "failures"), plural(r.Summary.Warning, "warning", "warnings"), r.Summary.OK)
	return b.String()
}
