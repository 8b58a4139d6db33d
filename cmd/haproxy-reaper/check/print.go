package check

import (
	"fmt"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
)

// findingIndent is how far what follows a finding's name stands in: the longest
// name is hard_stop_after_unbound.
const findingIndent = 37

// Text returns a report for people: the host, then each instance, a line for
// each finding, and the sums.
func Text(r *Report) string {
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
		fmt.Fprintln(&b, text.Wrap(fmt.Sprintf("  %-8s %-24s  ", f.Status, f.Name), strings.Repeat(" ", findingIndent), line))
	}
	fmt.Fprintf(&b, "\n%s, %s, %d ok\n", text.Plural(r.Summary.Failure, "failure", "failures"), text.Plural(r.Summary.Warning, "warning", "warnings"), r.Summary.OK)
	return b.String()
}
