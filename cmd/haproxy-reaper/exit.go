package main

import (
	"errors"
	"log/slog"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Exit statuses. They are part of the contract with units and scripts.
const (
	exitOK        = 0
	exitFailed    = 1  // could not inspect, act or report
	exitUsage     = 2  // bad input, or a question that nobody could answer
	exitRefused   = 3  // refused, and so withheld a termination that was due
	exitPrivilege = 4  // missing privilege or kernel feature
	exitSurvivor  = 5  // a signalled process is still there at the end of its wait
	exitBusy      = 75 // another run holds the lock (EX_TEMPFAIL of sysexits(3))
)

// exitStatus is one of them in the words of --help and of the manual.
type exitStatus struct {
	Status  int
	Meaning string
}

// exitStatuses are all that there are.
func exitStatuses() []exitStatus {
	return []exitStatus{
		{exitOK, "done"},
		{exitFailed, "could not inspect, act or report"},
		{exitUsage, "usage"},
		{exitRefused, "refused, and so withheld a termination that was due"},
		{exitPrivilege, "missing privilege or kernel feature"},
		{exitSurvivor, "a signalled process is still alive"},
		{exitBusy, "another run holds the lock"},
	}
}

// severity is the order in which one exit status hides another: a question that
// nobody answered means that nothing was done, then what kept the run from its
// work, then what the run could not achieve.
var severity = [...]int{exitUsage, exitPrivilege, exitFailed, exitSurvivor, exitForbidden, exitRefused}

// exitForbidden becomes exitPrivilege. It stands for an instance that was refused for
// want of a privilege. Any account can bring that about with processes of its own, so
// it hides nothing that went wrong elsewhere.
const exitForbidden = -1

// worst is the exit status for several at once.
func worst(statuses []int) int {
	for _, status := range severity {
		if slices.Contains(statuses, status) {
			return status
		}
	}
	return exitOK
}

// faults collects what went wrong in a run: a log line each, and the exit
// status of the worst.
type faults struct {
	log      *slog.Logger
	statuses []int
}

// add logs one fault.
func (f *faults) add(status int, message string, args ...any) {
	f.log.Error(message, args...)
	f.statuses = append(f.statuses, status)
}

func (f *faults) status() int {
	if status := worst(f.statuses); status != exitForbidden {
		return status
	}
	return exitPrivilege
}

// failed tells whether the run counts as failed (run_failures_total): a refusal
// and a survivor are outcomes of a run that worked.
func (f *faults) failed() bool {
	status := worst(f.statuses)
	return status == exitFailed || status == exitPrivilege
}

// addLook adds what a look could not see. What is unreadable is a privilege
// that is missing, and never "no HAProxy".
func (f *faults) addLook(r judge.Report, err error, have privileges, kernel inspect.Kernel) {
	status := exitFailed
	var args []any
	if missing := have.missing(capSysPtrace, capDACReadSearch); len(missing) > 0 {
		args = append(args, "missing", names(missing))
	}
	if err != nil {
		if inspect.IsPermission(err) {
			status = exitPrivilege
		}
		f.add(status, "the host could not be inspected", append(args, "error", err)...)
		return
	}
	unseen := len(r.Errors) > 0 || len(r.Instances) == 0 && hidden(have, kernel)
	if unseen || len(args) > 0 && slices.ContainsFunc(r.Instances, isUnreadable) {
		f.add(exitPrivilege, "not everything could be read", args...)
	}
}

// settingsStatus is that of settings that could not be taken: the caller's fault,
// but for a file that the machine was in no state to read.
func settingsStatus(err error) int {
	if slices.ContainsFunc([]unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO}, func(e unix.Errno) bool { return errors.Is(err, e) }) {
		return exitFailed
	}
	return exitUsage
}

// addApproval adds why a pass was not allowed to act.
func (f *faults) addApproval(err error) {
	status := exitFailed
	if errors.Is(err, errUnanswered) {
		status = exitUsage
	}
	f.add(status, "nobody was signalled", "error", err)
}

// addOutcomes adds what came of a pass.
func (f *faults) addOutcomes(r judge.Report, have privileges) {
	for _, instance := range r.Instances {
		if instance.Refusal == judge.ReasonPrivilege {
			args := []any{"instance", instance.Name, "detail", instance.RefusalDetail}
			if missing := have.missing(capKill); len(missing) > 0 {
				args = append(args, "missing", names(missing))
			}
			f.add(exitForbidden, "an instance may not be signalled", args...)
		}
		for _, process := range instance.Processes {
			switch process.Outcome {
			case judge.OutcomeFailed:
				f.statuses = append(f.statuses, exitFailed)
			case judge.OutcomeSurvived:
				f.statuses = append(f.statuses, exitSurvivor)
			}
		}
	}
	if r.Summary.Refused > 0 {
		f.statuses = append(f.statuses, exitRefused)
	}
}

// isUnreadable tells an instance, or the processes of none, of which some fact
// could not be read.
func isUnreadable(i judge.Instance) bool {
	return i.Refusal == judge.ReasonUnreadable || i.Model == "" &&
		slices.ContainsFunc(i.Processes, func(p judge.Process) bool { return p.Error != "" })
}

// hidden tells whether /proc hides other users' processes from us (hidepid of
// proc(5), ProtectProc= of systemd.exec(5)): then an empty list says nothing.
func hidden(have privileges, kernel inspect.Kernel) bool {
	if len(have.missing(capSysPtrace)) == 0 {
		return false
	}
	_, err := kernel.ReadFile("/proc/1/comm", 64)
	return err != nil
}
