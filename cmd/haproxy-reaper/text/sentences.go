package text

import (
	"fmt"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// sentences says, a line each, what a pass did to whom and what it left alone,
// in words that may be searched for. They are not wrapped.
func sentences(r *judge.Report) []string {
	var lines []string
	for i := range r.Instances {
		instance := &r.Instances[i]
		refused := 0
		var left []judge.Reason
		for j := range instance.Processes {
			p := &instance.Processes[j]
			if line := outcomeSentence(instance, p); line != "" {
				lines = append(lines, line)
			}
			switch {
			case !p.IsDue(r.Time) || p.Left():
			case p.Verdict == judge.VerdictRefuse:
				refused++
			case p.Verdict == judge.VerdictWait:
				left = append(left, p.Reason)
			}
		}
		name := Escape(instance.Name)
		if refused > 0 {
			lines = append(lines, fmt.Sprintf("refused %s: %s; %s left alone", name, RefusalWords(instance), dueProcesses(refused)))
		}
		lines = append(lines, leftSentences(name, left)...)
		if line := forecastSentence(instance); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// outcomeSentence says what became of a process, "" when nothing was to.
func outcomeSentence(i *judge.Instance, p *judge.Process) string {
	who := fmt.Sprintf("residual process %d of %s", p.PID, Escape(i.Name))
	whom := fmt.Sprintf("%s (%s)", who, connectionWords(p))
	switch p.Outcome {
	case judge.OutcomeDryRun:
		line := "would terminate " + whom
		if p.ResidualSeconds != nil {
			line += ", superseded " + superseded(p)
		}
		return line
	case judge.OutcomeTerminated:
		return "terminated " + whom
	case judge.OutcomeKilled:
		return "killed " + whom + ", which outlived SIGTERM"
	case judge.OutcomeDrained:
		return "drained " + whom
	case judge.OutcomeVanished:
		return who + " vanished before it was signalled"
	case judge.OutcomeSurvived:
		return whom + " survived its signals and is still there"
	case judge.OutcomeFailed:
		return "failed to signal " + whom + ": " + Escape(p.Error)
	}
	if len(p.Signals) > 0 { // interrupted while waiting
		return fmt.Sprintf("sent %s to %s and did not wait for its end", strings.Join(p.Signals, ", "), whom)
	}
	return ""
}

// leftSentences says which due processes a later pass will look at again, a
// line for each reason.
func leftSentences(name string, left []judge.Reason) []string {
	var lines []string
	counts := map[judge.Reason]int{}
	for _, reason := range left {
		counts[reason]++
	}
	for _, reason := range left {
		if n := counts[reason]; n > 0 {
			lines = append(lines, fmt.Sprintf("left %s of %s to a later pass: %s", dueProcesses(n), name, words(reason)))
			counts[reason] = 0
		}
	}
	return lines
}

func dueProcesses(n int) string { return Plural(n, "due process", "due processes") }
