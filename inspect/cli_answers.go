package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// procTable is what a master lists of itself and its children, with pids of its
// own PID namespace. "Old" is the master's word: after a failed reload it can
// mean the active worker (1.9 to 2.4, 3.1 and later).
type procTable struct {
	master                 int
	current, old, programs []int
}

// unlisted is 1 for a worker that is not in the list, and 0 for one that is.
func (t procTable) unlisted(w *Process) int {
	if slices.Contains(t.current, w.NSPID) || slices.Contains(t.old, w.NSPID) {
		return 0
	}
	return 1
}

// parseShowProc reads the answer to `show proc`. The columns after the type
// changed with every few versions, and some hold blanks; the sections did not:
//
//	1.9        workers, old workers
//	2.0 - 3.0  and programs, always; old programs, when there are
//	3.1 - 3.2  programs only when there are
//	3.3 on     workers, old workers
//
// Masters list no more than some 202 processes and do not say so, so what is
// missing proves nothing. What is cut within a row is an error.
func parseShowProc(b []byte) (procTable, error) {
	var t procTable
	var section *[]int
	sections := map[string]*[]int{
		"# workers":      &t.current,
		"# old workers":  &t.old,
		"# programs":     &t.programs,
		"# old programs": &t.programs,
	}
	for line := range bytes.Lines(b) {
		text, whole := strings.CutSuffix(string(line), "\n")
		if !whole {
			return procTable{}, errors.New("parse show proc: last row cut short")
		}
		text = strings.TrimRight(text, " \t\r")
		fields := strings.Fields(text)
		switch {
		case len(fields) == 0, strings.HasPrefix(text, "#<PID>"):
			continue
		case text[0] == '#':
			if section = sections[text]; section == nil {
				return procTable{}, fmt.Errorf("parse show proc: unknown section %q", firstLine([]byte(text)))
			}
			continue
		}
		pid, err := strconv.ParseUint(fields[0], 10, 31)
		if err != nil || pid == 0 || len(fields) < 4 {
			return procTable{}, fmt.Errorf("parse show proc: no process in %q", firstLine([]byte(text)))
		}
		switch {
		case section == nil && fields[1] == "master" && t.master == 0:
			t.master = int(pid)
		case section == &t.programs, section != nil && fields[1] == "worker":
			*section = append(*section, int(pid))
		default:
			return procTable{}, fmt.Errorf("parse show proc: unexpected %q", firstLine([]byte(text)))
		}
	}
	if t.master == 0 {
		return procTable{}, fmt.Errorf("parse show proc: no master in %q", firstLine(b))
	}
	return t, nil
}

// parseShowInfo reads the answer to `show info`, and after it that to `show cli
// sockets`. Every key counts once, at its first line: node and description are
// free text of the configuration.
func parseShowInfo(b []byte) (pid int, answer CLIAnswer, err error) {
	values := map[string]int{}
	for line := range bytes.Lines(b) {
		key, value, ok := strings.Cut(string(line), ": ")
		if !ok || key != "Pid" && key != "Stopping" && key != "CurrConns" && key != "ConnRate" && key != "Listeners" {
			continue
		}
		if _, seen := values[key]; seen {
			continue
		}
		value, whole := strings.CutSuffix(value, "\n")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
		if err != nil || !whole {
			return 0, CLIAnswer{}, fmt.Errorf("parse show info: %s is %q", key, value)
		}
		values[key] = int(n)
	}
	for _, key := range []string{"Pid", "Stopping", "CurrConns"} {
		if _, ok := values[key]; !ok {
			return 0, CLIAnswer{}, fmt.Errorf("parse show info: no %s in %q", key, firstLine(b))
		}
	}
	if values["Stopping"] > 1 {
		return 0, CLIAnswer{}, fmt.Errorf("parse show info: Stopping is %d", values["Stopping"])
	}
	answer = CLIAnswer{Stopping: values["Stopping"] == 1, CurrConns: values["CurrConns"], ConnRate: -1, Listeners: -1}
	if n, told := values["Listeners"]; told {
		answer.Listeners = n
	}
	if rate, told := values["ConnRate"]; told {
		answer.ConnRate = rate
	}
	answer.Sockets = parseCLISockets(b)
	return values["Pid"], answer, nil
}

// parseCLISockets reads the answer to `show cli sockets` within a longer one: the
// addresses, without the level and the processes behind each. It is none where
// the last line is cut short.
func parseCLISockets(b []byte) []string {
	_, rows, _ := bytes.Cut(b, []byte("\n# socket lvl processes\n"))
	var list []string
	for line := range bytes.Lines(rows) {
		text, whole := strings.CutSuffix(string(line), "\n")
		if text == "" {
			break
		}
		address, _ := cutLastWord(text)
		address, level := cutLastWord(address)
		if !whole || level == "" {
			return nil
		}
		list = append(list, address)
	}
	return list
}

// cutLastWord cuts the last word off, and the blanks before it.
func cutLastWord(text string) (before, word string) {
	text = strings.TrimRight(text, " ")
	i := strings.LastIndexByte(text, ' ')
	return strings.TrimRight(text[:max(i, 0)], " "), text[i+1:]
}

// firstLine is where the CLI puts its error messages; at most 100 bytes of it.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	return string(line[:min(len(line), 100)])
}
