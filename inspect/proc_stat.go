package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// stat is what is used of /proc/PID/stat (proc(5)).
type stat struct {
	pid        int
	comm       string
	state      byte
	ppid       int
	session    int
	exiting    bool // the leader of its threads is; the others may live on
	forked     bool // it runs the program of the process that forked it
	threads    int  // those that were not buried yet, the leader included
	startTicks uint64
}

// Indexes of the fields that follow the command name; proc(5) counts from the
// pid as 1, which makes the state 3.
const (
	statPPID       = 4 - 3
	statSession    = 6 - 3
	statFlags      = 9 - 3
	statThreads    = 20 - 3
	statStartTicks = 22 - 3
)

// Flags of a task, of linux/sched.h: the same bits in every kernel that has pidfds.
const (
	flagExiting    = 1 << 2 // PF_EXITING, from the beginning of its exit on
	flagForkNoExec = 1 << 6 // PF_FORKNOEXEC, until it executes a program of its own
)

// parseStat reads /proc/PID/stat. A process chooses its own command name, with
// blanks and parentheses, but no field after it can hold a ')': the last one in
// the file ends the name. A file cut short anywhere in the fields that are used
// is an error, never a smaller number.
func parseStat(b []byte) (stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 2 || end < open || b[open-1] != ' ' {
		return stat{}, errors.New("parse stat: no command name in parentheses")
	}
	// One field more than needed shows that the last one used is whole.
	fields := bytes.Fields(b[end+1:])
	if len(fields) <= statStartTicks+1 {
		return stat{}, fmt.Errorf("parse stat: cut short, %d fields after the command name", len(fields))
	}
	if len(fields[0]) != 1 || !isLetter(fields[0][0]) {
		return stat{}, fmt.Errorf("parse stat: state %q is no letter", fields[0])
	}
	s := stat{comm: string(b[open+1 : end]), state: fields[0][0]}
	for _, f := range []struct {
		name  string
		text  []byte
		value *int
	}{
		{"pid", b[:open-1], &s.pid},
		{"parent", fields[statPPID], &s.ppid},
		{"session", fields[statSession], &s.session},
		{"threads", fields[statThreads], &s.threads},
	} {
		n, err := strconv.ParseUint(string(f.text), 10, 31)
		if err != nil {
			return stat{}, fmt.Errorf("parse stat: %s: %w", f.name, err)
		}
		*f.value = int(n)
	}
	flags, err := strconv.ParseUint(string(fields[statFlags]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse stat: flags: %w", err)
	}
	s.exiting, s.forked = flags&flagExiting != 0, flags&flagForkNoExec != 0
	ticks, err := strconv.ParseUint(string(fields[statStartTicks]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("parse stat: start time: %w", err)
	}
	s.startTicks = ticks
	return s, nil
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
