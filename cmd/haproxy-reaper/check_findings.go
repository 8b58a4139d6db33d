package main

import "time"

// This file holds the closed sets of words that the report of check is made of.
// A word is added here and in README.md, never changed. Of the host, as of an
// instance, there is one finding of each name where it applies.

// findingName says what was checked.
type findingName string

// Of the host.
const (
	findPidfdOpen       findingName = "pidfd_open"          // kernel: signals at all (Linux 5.3)
	findPidfdSendSignal findingName = "pidfd_send_signal"   // kernel: the same (Linux 5.1)
	findPidfdGetfd      findingName = "pidfd_getfd"         // kernel: sockets one by one (Linux 5.6)
	findPidfdInfo       findingName = "pidfd_get_info"      // kernel: told only (Linux 6.13)
	findSocketClass     findingName = "socket_class"        // whether pidfd_getfd would change HAProxy's sockets (cgroup v1)
	findCapSysPtrace    findingName = "cap_sys_ptrace"      // privilege to look
	findCapDACRead      findingName = "cap_dac_read_search" // privilege to look
	findCapKill         findingName = "cap_kill"            // privilege to signal
	findReadable        findingName = "readable"            // whether the look itself was whole
	findInstances       findingName = "instances"           // whether there is any HAProxy
	findServiceUser     findingName = "service_user"        // User= of our own systemd services; none without such a unit
	findActiveConfirmed findingName = "active_confirmed"    // of an instance, as all that follow: one active worker, nothing against it
	findStranded        findingName = "stranded"            // superseded processes that are not residual, and why
	findNamespaces      findingName = "namespaces"          // ours against HAProxy's
	findMasterCLI       findingName = "master_cli"          // whether that witness answers; no daemons
	findConfiguration   findingName = "configuration"       // whether its files could be read

	findHardStopAfter   findingName = "hard_stop_after"         // set, and in the active worker
	findHardStopUnbound findingName = "hard_stop_after_unbound" // residual processes that it does not bind
	findMaxReloads      findingName = "mworker_max_reloads"     // how near each residual is to it; no daemons
	findExposeFD        findingName = "expose_fd_listeners"     // whether a reload hands listeners over

	findUnit         findingName = "unit"           // the systemd unit could not be read
	findUnitType     findingName = "unit_type"      // Type=
	findUnitKillMode findingName = "unit_kill_mode" // KillMode=
	findUnitRestart  findingName = "unit_restart"   // Restart=
)

// findingNames is every name, in the order of the report.
var findingNames = []findingName{
	findPidfdOpen, findPidfdSendSignal, findPidfdGetfd, findPidfdInfo, findSocketClass, findCapSysPtrace, findCapDACRead, findCapKill, findReadable, findInstances, findServiceUser,
	findActiveConfirmed, findStranded, findNamespaces, findMasterCLI, findConfiguration,
	findHardStopAfter, findHardStopUnbound, findMaxReloads, findExposeFD,
	findUnit, findUnitType, findUnitKillMode, findUnitRestart,
}

// privilegeFindings are those whose failure is a missing privilege or kernel
// feature, exit status 4. The failure of any other is exit status 1.
var privilegeFindings = []findingName{findPidfdOpen, findPidfdSendSignal, findCapSysPtrace, findCapDACRead, findCapKill, findReadable, findConfiguration}

// findingStatus says how it stands.
type findingStatus string

const (
	findingOK      findingStatus = "ok"
	findingWarning findingStatus = "warning" // works, and will not do all that an operator may expect
	findingFailure findingStatus = "failure" // reap could not do its work
)

// finding is one thing checked.
type finding struct {
	Name     findingName   `json:"name"`
	Instance string        `json:"instance"` // "" for the host
	Status   findingStatus `json:"status"`
	Message  string        `json:"message"` // what was found; for people, its words may change
	Advice   string        `json:"advice"`  // what to do; "" when nothing is to be done
	PIDs     []int         `json:"pids"`    // the processes that it is about
}

// checkReport is the document of `check -o json`. Fields are added to version 1,
// never changed.
type checkReport struct {
	Version  int           `json:"version"`
	Host     string        `json:"host"`
	Time     time.Time     `json:"time"`
	Status   findingStatus `json:"status"` // the worst of the findings
	Findings []finding     `json:"findings"`
	Summary  checkSummary  `json:"summary"`
}

// checkSummary counts the findings.
type checkSummary struct {
	OK      int `json:"ok"`
	Warning int `json:"warning"`
	Failure int `json:"failure"`
}
