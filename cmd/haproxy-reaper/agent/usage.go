package agent

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
)

// usage is the text of --help: every command and flag, its variable, its
// default and the exit statuses.
func usage() string {
	var b strings.Builder
	b.WriteString("haproxy-reaper terminates residual HAProxy processes: old workers that a reload left behind.\n\n")
	b.WriteString("Usage: haproxy-reaper [command] [flags]\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.summary)
	}
	b.WriteString("\nFlags, each with its environment variable and default:\n")
	for _, f := range flags.Table() {
		writeFlag(&b, f)
	}
	b.WriteString("  -h, --help\n        print this\n")
	b.WriteString(`
A flag beats its variable, a variable beats the configuration file (NAME=value lines of the same
names), the file beats the default. An empty variable is not set. A list in a variable or the file
is separated by commas.

`)
	var statuses []string
	for _, e := range exitStatuses() {
		statuses = append(statuses, fmt.Sprintf("%d %s", e.Status, e.Meaning))
	}
	b.WriteString(text.Wrap("Exit status: ", "", strings.Join(statuses, "; ")+".") + "\n")
	return b.String()
}

func writeFlag(b *strings.Builder, f flags.Flag) {
	short := "    "
	if f.Short != "" {
		short = "-" + f.Short + ", "
	}
	kind := ""
	if f.Kind != "bool" {
		kind = " " + f.Kind
	}
	fmt.Fprintf(b, "  %s--%s%s\n        %s\n        %s, default %s\n", short, f.Name, kind, f.Help, f.Variable, cmp.Or(f.Default, "unset"))
}
