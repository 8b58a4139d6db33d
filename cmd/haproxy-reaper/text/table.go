package text

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// rowFormat is a row of the table. The widths add up to the 100 columns of a
// terminal.
const rowFormat = "  %-8s %7s  %-8s  %7s  %-11s %7s  %7s  %7s  %10s  %s"

// Indent begins what stands under a row of the table, and the further lines of a
// text that is wrapped.
const Indent = "    "

// Headings are the headings of the table, a heading for each of the cells of a row.
var Headings = [...]string{"ROLE", "PID", "USER", "AGE", "SUPERSEDED", "CLIENTS", "SERVERS", "IDLE", "MEMORY", "VERDICT"}

// Cells returns the row of a process, a cell for each of the Headings. A fact that is
// unknown is "?", and a fact that such a process does not have is "-".
func Cells(p *judge.Process) [len(Headings)]string {
	return [...]string{
		string(p.Role), fmt.Sprint(p.PID), userName(p), Duration(judge.Seconds(p.AgeSeconds)), superseded(p),
		clientCount(p), connectionCount(p, p.Connections.Server), idleCell(p), memoryCell(p), verdictCell(p),
	}
}

// writeTable writes the instances of a report: a line for each instance, a row for each
// of its processes, and under the row what it listens on and its verdict in words.
func writeTable(b *strings.Builder, r *judge.Report) {
	for i := range r.Instances {
		instance := &r.Instances[i]
		fmt.Fprintln(b, Wrap("", Indent, instanceLine(instance)))
		writeRow(b, Headings)
		for j := range instance.Processes {
			p := &instance.Processes[j]
			writeRow(b, Cells(p))
			for _, text := range Explain(instance, p, r.Time) {
				fmt.Fprintln(b, Wrap(Indent, Indent+"  ", text))
			}
			writeClients(b, p)
		}
		fmt.Fprintln(b)
	}
}

func writeRow(b *strings.Builder, cells [len(Headings)]string) {
	var values []any
	for _, cell := range cells {
		values = append(values, cell)
	}
	line := fmt.Sprintf(rowFormat, values...)
	b.WriteString(strings.TrimRight(line, " "))
	b.WriteByte('\n')
}

// instanceLine says what the processes of an instance share.
func instanceLine(i *judge.Instance) string {
	if i.Model == "" {
		return InstanceState(i)
	}
	return Escape(i.Name) + " " + InstanceState(i)
}

// InstanceState says how an instance stands: its model, whether its active worker is
// confirmed or why the instance is refused, and the witnesses. Its name is left out.
func InstanceState(i *judge.Instance) string {
	if i.Model == "" {
		return "processes of no instance"
	}
	state := "active confirmed"
	switch {
	case i.Refusal != "":
		state = "refused: " + RefusalWords(i)
	case !i.Confirmed:
		state = "active not confirmed"
	}
	line := fmt.Sprintf("(%s): %s", i.Model, state)
	if len(i.Witnesses) > 0 {
		line += "; checked by " + Escape(strings.Join(i.Witnesses, ", "))
	}
	return line + cliWords(i)
}

// cliWords says why the master CLI was not read, or of which workers it gave no
// answer; "" where there is none, or it told all.
func cliWords(i *judge.Instance) string {
	switch text := Escape(i.CLIError); {
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

// Explain returns the sentences that stand under the row of a process: what the columns
// leave open. Times are relative to now.
func Explain(i *judge.Instance, p *judge.Process, now time.Time) []string {
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
		texts = append(texts, "error: "+Escape(p.Error))
	}
	return texts
}

func verdictWords(i *judge.Instance, p *judge.Process) string {
	switch {
	case p.Verdict == judge.VerdictRefuse && p.Reason == i.Refusal:
		return "refused, as its instance is"
	case p.Verdict == judge.VerdictRefuse:
		return "refused: " + words(p.Reason)
	case p.Verdict == judge.VerdictKeep:
		return roleWords(p)
	default:
		return words(p.Reason)
	}
}

// verdictCell is what became of a process, or is to be done with it.
func verdictCell(p *judge.Process) string {
	if p.Outcome != "" && p.Outcome != judge.OutcomeDryRun {
		return string(p.Outcome)
	}
	return string(p.Verdict)
}

// maxListeners is how many listeners of a process are written out.
const maxListeners = 3

func listenerWords(p *judge.Process) string {
	switch {
	case p.Listeners == nil && IsWorker(p):
		return "listeners unknown"
	case len(p.Listeners) == 0:
		return ""
	}
	shown := p.Listeners[:min(len(p.Listeners), maxListeners)]
	text := "listens on " + Escape(strings.Join(shown, ", "))
	if more := len(p.Listeners) - len(shown); more > 0 {
		text += fmt.Sprintf(", +%d more", more)
	}
	return text
}

// IsWorker tells whether a process carries traffic. A fact of such a process that is
// missing is unknown; other processes do not have the fact.
func IsWorker(p *judge.Process) bool {
	switch p.Role {
	case judge.RoleActive, judge.RolePaused, judge.RoleDraining, judge.RoleResidual, judge.RoleStranded:
		return true
	}
	return false
}

const (
	unknown = "?"
	none    = "-"
)

// absent is what stands for a fact that is not there.
func absent(p *judge.Process) string {
	if IsWorker(p) {
		return unknown
	}
	return none
}

func superseded(p *judge.Process) string {
	switch {
	case p.ResidualSeconds != nil:
		return Duration(judge.Seconds(*p.ResidualSeconds)) + " ago"
	case p.Role == judge.RoleResidual:
		return unknown
	}
	return none
}

// isOldWorker tells those whose connections are looked at one by one.
func isOldWorker(p *judge.Process) bool {
	return p.Role == judge.RoleResidual || p.Role == judge.RoleStranded
}

// clientCount has those beside the counted ones that something tells of, as 3+2.
func clientCount(p *judge.Process) string {
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

func connectionCount(p *judge.Process, n *int) string {
	if n == nil {
		return absent(p)
	}
	return count(*n)
}

func idleCell(p *judge.Process) string {
	switch {
	case p.IdleSeconds != nil:
		return Duration(judge.Seconds(*p.IdleSeconds))
	case p.Role == judge.RoleResidual && p.Connections.Client == nil:
		return unknown
	}
	return none
}

func memoryCell(p *judge.Process) string {
	if p.PrivateBytes == nil {
		return absent(p)
	}
	return Size(*p.PrivateBytes)
}

// userName is a name cut as ps(1) cuts it.
func userName(p *judge.Process) string {
	const width = 8
	name := Escape(p.User)
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
