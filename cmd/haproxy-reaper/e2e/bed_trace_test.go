package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// traced are the system calls that a trace is made of: every way to a signal,
// pidfds, and what reads a fact of a process.
const traced = "trace=execve,kill,tkill,tgkill,rt_sigqueueinfo,rt_tgsigqueueinfo,pidfd_open,pidfd_send_signal," +
	"poll,ppoll,open,openat,readlink,readlinkat"

// trace is what strace saw of a program and its children.
type trace struct {
	programs []int            // those that were executed, by pid
	sent     map[int][]string // signals by the process they went to, however they were sent
	steps    map[int][]step   // what was done with each process, in order
}

// step is one thing done with a process: its pidfd opened or polled, a fact read
// (which one), a signal sent.
type step struct{ what, fact string }

// readTrace reads strace's output. A call that took its time is two lines: a
// fact is noted at both, the rest when it was done, a signal when it was begun.
func readTrace(t *testing.T, text string) trace {
	t.Helper()
	call := regexp.MustCompile(`^(\w+)\(([^)]*)\)? *(?:= (-?\d+))?`)
	ofProcess := regexp.MustCompile(`"/proc/(\d+)/([^"]+)"`)
	polled := regexp.MustCompile(`fd=(\d+)`)
	tr := trace{sent: map[int][]string{}, steps: map[int][]step{}}
	pidfds := map[int]int{}
	begun := map[string]string{}
	note := func(pid int, what, fact string) { tr.steps[pid] = append(tr.steps[pid], step{what, fact}) }
	for line := range strings.Lines(text) {
		thread, line, _ := strings.Cut(strings.TrimSpace(line), " ")
		line = strings.TrimSpace(line)
		begins, ends := true, true
		if head, found := strings.CutSuffix(line, " <unfinished ...>"); found {
			begun[thread], line, ends = head, head, false
		} else if strings.HasPrefix(line, "<... ") {
			_, tail, _ := strings.Cut(line, " resumed>")
			line, begins = begun[thread]+tail, false
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue // exits, signals received
		}
		args := strings.Split(m[2], ", ")
		first, _ := strconv.Atoi(args[0])
		result, _ := strconv.Atoi(m[3])
		switch m[1] {
		case "execve":
			if pid, _ := strconv.Atoi(thread); ends && !slices.Contains(tr.programs, pid) {
				tr.programs = append(tr.programs, pid)
			}
		case "pidfd_open":
			if ends {
				pidfds[result] = first
				note(first, "open", "")
			}
		case "poll", "ppoll":
			for _, fd := range polled.FindAllStringSubmatch(line, -1) {
				if number, _ := strconv.Atoi(fd[1]); ends && pidfds[number] > 0 {
					note(pidfds[number], "poll", "")
				}
			}
		case "open", "openat", "readlink", "readlinkat":
			if about := ofProcess.FindStringSubmatch(line); about != nil {
				pid, _ := strconv.Atoi(about[1])
				note(pid, "fact", about[2])
			}
		case "pidfd_send_signal":
			if !begins {
				continue
			}
			pid, known := pidfds[first]
			if !known {
				t.Errorf("a signal through a descriptor that no pidfd_open returned: %s", line)
			}
			if args[1] == "0" { // asks whether it may be signalled
				note(pid, "asked", "")
				continue
			}
			tr.sent[pid] = append(tr.sent[pid], args[1])
			note(pid, "signal", args[1])
		default: // by a bare pid
			if begins {
				tr.sent[first] = append(tr.sent[first], line)
			}
		}
	}
	for _, pid := range tr.programs {
		delete(tr.sent, pid) // Go tries out pidfds on itself, and wakes its own threads
	}
	return tr
}

// ordered says what is wrong with the order in which a process was dealt with:
// its pidfd is opened before the first fact that counts, each fact is read again
// through it, and a poll that finds it alive stands between the last fact and
// each signal.
func (tr trace) ordered(pid int) error {
	steps := tr.steps[pid]
	open := slices.Index(steps, step{"open", ""})
	for i, s := range steps {
		switch {
		// These two say whether a process is looked at, and when; both are read again.
		case s.what == "fact" && i < open && s.fact != "exe" && s.fact != "stat":
			return fmt.Errorf("%s of %d was read before its pidfd was opened", s.fact, pid)
		case s.what == "signal":
			before := steps[:i]
			last := len(before) - 1
			for last >= 0 && before[last].what == "poll" {
				last--
			}
			if last == len(before)-1 {
				return fmt.Errorf("no poll of %d between %v and %s", pid, before[max(0, last):], s.fact)
			}
		}
	}
	for _, fact := range []string{"stat", "status", "cmdline", "cgroup", "exe", "ns/pid", "ns/net", "fd"} {
		if open < 0 || !slices.Contains(steps[open:], step{"fact", fact}) {
			return fmt.Errorf("%s of %d was not read after its pidfd was opened: %v", fact, pid, steps)
		}
	}
	return nil
}
