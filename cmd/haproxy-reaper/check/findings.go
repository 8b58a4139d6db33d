package check

import (
	"slices"
	"time"
)

// This file holds the closed sets of words that the report of check is made of.
// A word is added here and in cmd/haproxy-reaper/README.md, never changed. Of the host, as of an
// instance, there is one finding of each name where it applies.

// Name is the machine word for what was checked.
type Name string

// Of the host.
const (
	FindPidfdOpen       Name = "pidfd_open"          // kernel: signals at all (Linux 5.3)
	FindPidfdSendSignal Name = "pidfd_send_signal"   // kernel: the same (Linux 5.1)
	FindPidfdGetfd      Name = "pidfd_getfd"         // kernel: sockets one by one (Linux 5.6)
	FindSocketClass     Name = "socket_class"        // whether pidfd_getfd would change HAProxy's sockets (cgroup v1)
	FindCapSysPtrace    Name = "cap_sys_ptrace"      // privilege to look
	FindCapDACRead      Name = "cap_dac_read_search" // privilege to look
	FindCapKill         Name = "cap_kill"            // privilege to signal
	FindReadable        Name = "readable"            // whether the look itself was whole
	FindInstances       Name = "instances"           // whether there is any HAProxy
	FindServiceUser     Name = "service_user"        // User= of our own systemd services; none without such a unit
	FindActiveConfirmed Name = "active_confirmed"    // of an instance, as all that follow: one active worker, nothing against it
	FindStranded        Name = "stranded"            // superseded processes that are not residual, and why
	FindNamespaces      Name = "namespaces"          // ours against HAProxy's
	FindMasterCLI       Name = "master_cli"          // whether that witness answers; no daemons
	FindConfiguration   Name = "configuration"       // whether its files could be read

	FindHardStopAfter   Name = "hard_stop_after"         // set, and in the active worker
	FindHardStopUnbound Name = "hard_stop_after_unbound" // residual processes that it does not bind
	FindMaxReloads      Name = "mworker_max_reloads"     // how near each residual is to it; no daemons
	FindExposeFD        Name = "expose_fd_listeners"     // whether a reload hands listeners over

	FindUnit         Name = "unit"           // the systemd unit could not be read
	FindUnitType     Name = "unit_type"      // Type=
	FindUnitKillMode Name = "unit_kill_mode" // KillMode=
	FindUnitRestart  Name = "unit_restart"   // Restart=
)

// findingNames is every name, in the order of the report.
var findingNames = []Name{
	FindPidfdOpen, FindPidfdSendSignal, FindPidfdGetfd, FindSocketClass, FindCapSysPtrace, FindCapDACRead, FindCapKill, FindReadable, FindInstances, FindServiceUser,
	FindActiveConfirmed, FindStranded, FindNamespaces, FindMasterCLI, FindConfiguration,
	FindHardStopAfter, FindHardStopUnbound, FindMaxReloads, FindExposeFD,
	FindUnit, FindUnitType, FindUnitKillMode, FindUnitRestart,
}

// privilegeFindings are the findings whose failure is a missing privilege or kernel
// feature.
var privilegeFindings = []Name{FindPidfdOpen, FindPidfdSendSignal, FindCapSysPtrace, FindCapDACRead, FindCapKill, FindReadable, FindConfiguration}

// Status says how a finding stands.
type Status string

// The statuses, the worst last.
const (
	OK      Status = "ok"
	Warning Status = "warning" // works, and will not do all that an operator may expect
	Failure Status = "failure" // reap could not do its work
)

// Finding is the outcome of one thing that was checked.
type Finding struct {
	Name     Name   `json:"name"`
	Instance string `json:"instance"` // "" for the host
	Status   Status `json:"status"`
	Message  string `json:"message"` // what was found; for people, its words may change
	Advice   string `json:"advice"`  // what to do; "" when nothing is to be done
	PIDs     []int  `json:"pids"`    // the processes that it is about
}

// Report is the document of `check -o json`. Fields are added to version 1,
// never changed.
type Report struct {
	Version  int       `json:"version"`
	Host     string    `json:"host"`
	Time     time.Time `json:"time"`
	Status   Status    `json:"status"` // the worst of the findings
	Findings []Finding `json:"findings"`
	Summary  Summary   `json:"summary"`
}

// Summary is the number of findings of each status.
type Summary struct {
	OK      int `json:"ok"`
	Warning int `json:"warning"`
	Failure int `json:"failure"`
}

// Failures tells whether a finding failed for want of a privilege or a kernel feature,
// and whether another one failed.
func (r Report) Failures() (privilege, other bool) {
	for _, f := range r.Findings {
		switch {
		case f.Status != Failure:
		case slices.Contains(privilegeFindings, f.Name):
			privilege = true
		default:
			other = true
		}
	}
	return privilege, other
}
