package agent

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
	ExitOK        = 0
	ExitFailed    = 1  // could not inspect, act or report
	ExitUsage     = 2  // bad input, or a question that nobody could answer
	ExitRefused   = 3  // refused, and so withheld a termination that was due
	ExitPrivilege = 4  // missing privilege or kernel feature
	ExitSurvivor  = 5  // a signalled process is still there at the end of its wait
	ExitBusy      = 75 // another run holds the lock (EX_TEMPFAIL of sysexits(3))
)

// exitStatus is one of them in the words of --help and of the manual.
type exitStatus struct {
	Status  int
	Meaning string
}

// exitStatuses are all that there are.
func exitStatuses() []exitStatus {
	return []exitStatus{
		{ExitOK, "done"},
		{ExitFailed, "could not inspect, act or report"},
		{ExitUsage, "usage"},
		{ExitRefused, "refused, and so withheld a termination that was due"},
		{ExitPrivilege, "missing privilege or kernel feature"},
		{ExitSurvivor, "a signalled process is still alive"},
		{ExitBusy, "another run holds the lock"},
	}
}

// severity is the order in which one exit status hides another: a question that
// nobody answered means that nothing was done, then what kept the run from its
// work, then what the run could not achieve.
var severity = [...]int{ExitUsage, ExitPrivilege, ExitFailed, ExitSurvivor, exitForbidden, ExitRefused}

// exitForbidden becomes ExitPrivilege. It stands for an instance that was refused for
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
	return ExitOK
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
	return ExitPrivilege
}

// failed tells whether the run counts as failed (run_failures_total): a refusal
// and a survivor are outcomes of a run that worked.
func (f *faults) failed() bool {
	status := worst(f.statuses)
	return status == ExitFailed || status == ExitPrivilege
}

// addLook adds what a look could not see. What is unreadable is a privilege
// that is missing, and never "no HAProxy".
func (f *faults) addLook(r judge.Report, err error, have inspect.Privileges, kernel inspect.Kernel) {
	status := ExitFailed
	var args []any
	if missing := have.Missing(inspect.CapSysPtrace, inspect.CapDACReadSearch); len(missing) > 0 {
		args = append(args, "missing", missing.String())
	}
	if err != nil {
		if inspect.IsPermission(err) {
			status = ExitPrivilege
		}
		f.add(status, "the host could not be inspected", append(args, "error", err)...)
		return
	}
	unseen := len(r.Errors) > 0 || len(r.Instances) == 0 && have.Hidden(kernel)
	if unseen || len(args) > 0 && slices.ContainsFunc(r.Instances, isUnreadable) {
		f.add(ExitPrivilege, "not everything could be read", args...)
	}
}

// settingsStatus is that of settings that could not be taken: the caller's fault,
// but for a file that the machine was in no state to read.
func settingsStatus(err error) int {
	if slices.ContainsFunc([]unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO}, func(e unix.Errno) bool { return errors.Is(err, e) }) {
		return ExitFailed
	}
	return ExitUsage
}

// addApproval adds why a pass was not allowed to act.
func (f *faults) addApproval(err error) {
	status := ExitFailed
	if errors.Is(err, errUnanswered) {
		status = ExitUsage
	}
	f.add(status, "nobody was signalled", "error", err)
}

// addOutcomes adds what came of a pass.
func (f *faults) addOutcomes(r judge.Report, have inspect.Privileges) {
	for _, instance := range r.Instances {
		if instance.Refusal == judge.ReasonPrivilege {
			args := []any{"instance", instance.Name, "detail", instance.RefusalDetail}
			if missing := have.Missing(inspect.CapKill); len(missing) > 0 {
				args = append(args, "missing", missing.String())
			}
			f.add(exitForbidden, "an instance may not be signalled", args...)
		}
		for _, process := range instance.Processes {
			switch process.Outcome {
			case judge.OutcomeFailed:
				f.statuses = append(f.statuses, ExitFailed)
			case judge.OutcomeSurvived:
				f.statuses = append(f.statuses, ExitSurvivor)
			}
		}
	}
	if r.Summary.Refused > 0 {
		f.statuses = append(f.statuses, ExitRefused)
	}
}

// isUnreadable tells an instance, or the processes of none, of which some fact
// could not be read.
func isUnreadable(i judge.Instance) bool {
	return i.Refusal == judge.ReasonUnreadable || i.Model == "" &&
		slices.ContainsFunc(i.Processes, func(p judge.Process) bool { return p.Error != "" })
}
