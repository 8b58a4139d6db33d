package agent

import "time"

// This file holds the closed sets of words that the report of check is made of.
// A word is added here and in the README, never changed. Of the host, as of an
// instance, there is one finding of each name where it applies.

// FindingName says what was checked.
type FindingName string

// Of the host.
const (
	FindPidfdOpen       FindingName = "pidfd_open"          // kernel: signals at all (Linux 5.3)
	FindPidfdSendSignal FindingName = "pidfd_send_signal"   // kernel: the same (Linux 5.1)
	findPidfdGetfd      FindingName = "pidfd_getfd"         // kernel: sockets one by one (Linux 5.6)
	findPidfdInfo       FindingName = "pidfd_get_info"      // kernel: told only (Linux 6.13)
	FindSocketClass     FindingName = "socket_class"        // whether pidfd_getfd would change HAProxy's sockets (cgroup v1)
	FindCapSysPtrace    FindingName = "cap_sys_ptrace"      // privilege to look
	FindCapDACRead      FindingName = "cap_dac_read_search" // privilege to look
	FindCapKill         FindingName = "cap_kill"            // privilege to signal
	FindReadable        FindingName = "readable"            // whether the look itself was whole
	findInstances       FindingName = "instances"           // whether there is any HAProxy
	findServiceUser     FindingName = "service_user"        // User= of our own systemd services; none without such a unit
	FindActiveConfirmed FindingName = "active_confirmed"    // of an instance, as all that follow: one active worker, nothing against it
	FindStranded        FindingName = "stranded"            // superseded processes that are not residual, and why
	FindNamespaces      FindingName = "namespaces"          // ours against HAProxy's
	FindMasterCLI       FindingName = "master_cli"          // whether that witness answers; no daemons
	FindConfiguration   FindingName = "configuration"       // whether its files could be read

	FindHardStopAfter   FindingName = "hard_stop_after"         // set, and in the active worker
	FindHardStopUnbound FindingName = "hard_stop_after_unbound" // residual processes that it does not bind
	FindMaxReloads      FindingName = "mworker_max_reloads"     // how near each residual is to it; no daemons
	FindExposeFD        FindingName = "expose_fd_listeners"     // whether a reload hands listeners over

	findUnit         FindingName = "unit"           // the systemd unit could not be read
	findUnitType     FindingName = "unit_type"      // Type=
	findUnitKillMode FindingName = "unit_kill_mode" // KillMode=
	findUnitRestart  FindingName = "unit_restart"   // Restart=
)

// findingNames is every name, in the order of the report.
var findingNames = []FindingName{
	FindPidfdOpen, FindPidfdSendSignal, findPidfdGetfd, findPidfdInfo, FindSocketClass, FindCapSysPtrace, FindCapDACRead, FindCapKill, FindReadable, findInstances, findServiceUser,
	FindActiveConfirmed, FindStranded, FindNamespaces, FindMasterCLI, FindConfiguration,
	FindHardStopAfter, FindHardStopUnbound, FindMaxReloads, FindExposeFD,
	findUnit, findUnitType, findUnitKillMode, findUnitRestart,
}

// privilegeFindings are those whose failure is a missing privilege or kernel
// feature, exit status 4. The failure of any other is exit status 1.
var privilegeFindings = []FindingName{FindPidfdOpen, FindPidfdSendSignal, FindCapSysPtrace, FindCapDACRead, FindCapKill, FindReadable, FindConfiguration}

// FindingStatus says how it stands.
type FindingStatus string

const (
	FindingOK      FindingStatus = "ok"
	FindingWarning FindingStatus = "warning" // works, and will not do all that an operator may expect
	FindingFailure FindingStatus = "failure" // reap could not do its work
)

// Finding is one thing checked.
type Finding struct {
	Name     FindingName   `json:"name"`
	Instance string        `json:"instance"` // "" for the host
	Status   FindingStatus `json:"status"`
	Message  string        `json:"message"` // what was found; for people, its words may change
	Advice   string        `json:"advice"`  // what to do; "" when nothing is to be done
	PIDs     []int         `json:"pids"`    // the processes that it is about
}

// CheckReport is the document of `check -o json`. Fields are added to version 1,
// never changed.
type CheckReport struct {
	Version  int           `json:"version"`
	Host     string        `json:"host"`
	Time     time.Time     `json:"time"`
	Status   FindingStatus `json:"status"` // the worst of the findings
	Findings []Finding     `json:"findings"`
	Summary  checkSummary  `json:"summary"`
}

// checkSummary counts the findings.
type checkSummary struct {
	OK      int `json:"ok"`
	Warning int `json:"warning"`
	Failure int `json:"failure"`
}
