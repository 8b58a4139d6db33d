package text

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// forecastSentence says what a reap would do to the clients of an instance; ""
// when there is nothing to reap, and when it has been done.
func forecastSentence(in *judge.Instance) string {
	f := in.Forecast
	ahead := func(p judge.Process) bool {
		return p.Verdict == judge.VerdictTerminate && (p.Outcome == "" || p.Outcome == judge.OutcomeDryRun)
	}
	if f == nil || !slices.ContainsFunc(in.Processes, ahead) {
		return ""
	}
	line := fmt.Sprintf("forecast for %s: ", Escape(in.Name))
	if f.Clients == 0 && f.Uncounted == 0 {
		return line + "no client would have to reconnect"
	}
	line += Plural(f.Clients, "client", "clients")
	if f.Uncounted > 0 {
		line += fmt.Sprintf(" and those of %s that could not be counted", Plural(f.Uncounted, "process", "processes"))
	}
	line += fmt.Sprintf(" would have to reconnect%s, %s", portWords(f), paceWords(f))
	if in.ConnectionRate != nil {
		line += fmt.Sprintf("; the active takes %d new ones a second now", *in.ConnectionRate)
	}
	return line
}

// portWords are the clients port by port, in brackets.
func portWords(f *judge.Forecast) string {
	var list []string
	others := f.Clients
	for _, p := range f.Ports {
		if p.Clients > 0 {
			list = append(list, fmt.Sprintf("port %d: %d", p.Port, p.Clients))
			others -= p.Clients
		}
	}
	if others > 0 {
		list = append(list, fmt.Sprintf("elsewhere: %d", others))
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// paceWords say how fast they go.
func paceWords(f *judge.Forecast) string {
	if f.RatePerSecond == nil {
		return "all at once"
	}
	line := fmt.Sprintf("%s a second for %s", strconv.FormatFloat(*f.RatePerSecond, 'f', -1, 64), Duration(roundUp(f.Drain())))
	if f.AtOnce > 0 {
		line += fmt.Sprintf(" and then %d at once", f.AtOnce)
	}
	return line
}
