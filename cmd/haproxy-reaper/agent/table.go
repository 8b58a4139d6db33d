package agent

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// The table: a line for each instance, a row for each of its processes, and
// under the row what it listens on and its verdict in words. The widths add up
// to the 100 columns of a terminal.
const (
	rowFormat  = "  %-8s %7s  %-8s  %7s  %-11s %7s  %7s  %7s  %10s  %s"
	wordIndent = "    "
)

// headings are those of the cells of a row.
var headings = [...]string{"ROLE", "PID", "USER", "AGE", "SUPERSEDED", "CLIENTS", "SERVERS", "IDLE", "MEMORY", "VERDICT"}

// cells are a process, a cell for each of the headings.
func cells(p *reaper.Process) [len(headings)]string {
	return [...]string{
		string(p.Role), fmt.Sprint(p.PID), userName(p), duration(seconds(p.AgeSeconds)), superseded(p),
		clientCount(p), connectionCount(p, p.Connections.Server), idle(p), memory(p), verdict(p),
	}
}

// writeTable writes the instances of a report, whose words are all escaped.
func writeTable(b *strings.Builder, r *reaper.Report) {
	for i := range r.Instances {
		instance := &r.Instances[i]
		fmt.Fprintln(b, wrap("", wordIndent, instanceLine(instance)))
		row(b, headings)
		for j := range instance.Processes {
			p := &instance.Processes[j]
			row(b, cells(p))
			for _, text := range explain(instance, p, r.Time) {
				fmt.Fprintln(b, wrap(wordIndent, wordIndent+"  ", text))
			}
			writeClients(b, p)
		}
		fmt.Fprintln(b)
	}
}

func row(b *strings.Builder, cells [len(headings)]string) {
	var values []any
	for _, cell := range cells {
		values = append(values, cell)
	}
	line := fmt.Sprintf(rowFormat, values...)
	b.WriteString(strings.TrimRight(line, " "))
	b.WriteByte('\n')
}

// instanceLine says of an instance what its processes share.
func instanceLine(i *reaper.Instance) string {
	if i.Model == "" {
		return instanceState(i)
	}
	return escape(i.Name) + " " + instanceState(i)
}

// instanceState is that without its name.
func instanceState(i *reaper.Instance) string {
	if i.Model == "" {
		return "processes of no instance"
	}
	state := "active confirmed"
	switch {
	case i.Refusal != "":
		state = "refused: " + refusalWords(i)
	case !i.Confirmed:
		state = "active not confirmed"
	}
	line := fmt.Sprintf("(%s): %s", i.Model, state)
	if len(i.Witnesses) > 0 {
		line += "; checked by " + escape(strings.Join(i.Witnesses, ", "))
	}
	return line + cliWords(i)
}

// cliWords says why the master CLI was not read, or of which workers it gave no
// answer; "" where there is none, or it told all.
func cliWords(i *reaper.Instance) string {
	switch text := escape(i.CLIError); {
	case text == "":
		return ""
	case strings.HasPrefix(text, "ask master CLI"):
		return "; cannot " + text
	case strings.HasPrefix(text, inspect.ErrNoCLI.Error()), strings.HasPrefix(text, "master CLI"):
		return "; " + text
	default:
		return "; cannot read the master CLI: " + text
	}
}

// explain says what the columns of a row leave open.
func explain(i *reaper.Instance, p *reaper.Process, now time.Time) []string {
	var texts []string
	if listeners := listenerWords(p); listeners != "" {
		texts = append(texts, listeners)
	}
	if evidence := evidenceText(p); evidence != "" {
		texts = append(texts, evidence)
	}
	text := scheduleWords(i, p, now)
	if idle := idleWords(p, now); idle != "" {
		text += "; " + idle
	}
	texts = append(texts, text)
	if text := otherClientWords(p); text != "" {
		texts = append(texts, text)
	}
	if text := advice(i, p); text != "" {
		texts = append(texts, text)
	}
	if p.Error != "" {
		texts = append(texts, "error: "+escape(p.Error))
	}
	return texts
}

func verdictWords(i *reaper.Instance, p *reaper.Process) string {
	switch {
	case p.Verdict == reaper.VerdictRefuse && p.Reason == i.Refusal:
		return "refused, as its instance is"
	case p.Verdict == reaper.VerdictRefuse:
		return "refused: " + words(p.Reason)
	case p.Verdict == reaper.VerdictKeep:
		return roleWords(p)
	default:
		return words(p.Reason)
	}
}

// verdict is what became of a process, or is to be done with it.
func verdict(p *reaper.Process) string {
	if p.Outcome != "" && p.Outcome != reaper.OutcomeDryRun {
		return string(p.Outcome)
	}
	return string(p.Verdict)
}

// maxListeners is how many listeners of a process are written out.
const maxListeners = 3

func listenerWords(p *reaper.Process) string {
	switch {
	case p.Listeners == nil && isWorker(p):
		return "listeners unknown"
	case len(p.Listeners) == 0:
		return ""
	}
	shown := p.Listeners[:min(len(p.Listeners), maxListeners)]
	text := "listens on " + escape(strings.Join(shown, ", "))
	if more := len(p.Listeners) - len(shown); more > 0 {
		text += fmt.Sprintf(", +%d more", more)
	}
	return text
}

// isWorker tells those processes that carry traffic, so that a fact of theirs
// that is missing is unknown; of the others it is none.
func isWorker(p *reaper.Process) bool {
	switch p.Role {
	case reaper.RoleActive, reaper.RolePaused, reaper.RoleDraining, reaper.RoleResidual, reaper.RoleStranded:
		return true
	}
	return false
}

const (
	unknown = "?"
	none    = "-"
)

// absent is what stands for a fact that is not there.
func absent(p *reaper.Process) string {
	if isWorker(p) {
		return unknown
	}
	return none
}

func superseded(p *reaper.Process) string {
	switch {
	case p.ResidualSeconds != nil:
		return duration(seconds(*p.ResidualSeconds)) + " ago"
	case p.Role == reaper.RoleResidual:
		return unknown
	}
	return none
}

// isOldWorker tells those whose connections are looked at one by one.
func isOldWorker(p *reaper.Process) bool {
	return p.Role == reaper.RoleResidual || p.Role == reaper.RoleStranded
}

// clientCount has those beside the counted ones that something tells of, as 3+2.
func clientCount(p *reaper.Process) string {
	counted := connectionCount(p, p.Connections.Client)
	switch {
	case p.Connections.Client == nil || !isOldWorker(p):
		return counted
	case p.Connections.Unknown == nil:
		return counted + "+" + unknown
	case *p.Connections.Unknown > 0:
		return counted + "+" + count(*p.Connections.Unknown)
	}
	return counted
}

func connectionCount(p *reaper.Process, n *int) string {
	if n == nil {
		return absent(p)
	}
	return count(*n)
}

func idle(p *reaper.Process) string {
	switch {
	case p.IdleSeconds != nil:
		return duration(seconds(*p.IdleSeconds))
	case p.Role == reaper.RoleResidual && p.Connections.Client == nil:
		return unknown
	}
	return none
}

func memory(p *reaper.Process) string {
	if p.PrivateBytes == nil {
		return absent(p)
	}
	return size(*p.PrivateBytes)
}

// userName is a name cut as ps(1) cuts it.
func userName(p *reaper.Process) string {
	const width = 8
	name := escape(p.User)
	switch {
	case name == "" && p.UID == inspect.NoUID:
		name = "?"
	case name == "":
		name = fmt.Sprint(p.UID)
	}
	if utf8.RuneCountInString(name) > width {
		name = string([]rune(name)[:width-1]) + "+"
	}
	return name
}
