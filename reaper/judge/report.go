package judge

import (
	"strconv"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Report is the one document of a pass. It is filled in three stages, each a
// function of the one before: Classify writes what is there, Decide the
// verdicts, Execute the outcomes. `-o json` prints it, so a saved one can be
// decided again under another policy.
//
// Fields are added to version 1, never changed. A value that could not be read
// is null, never 0.
type Report struct {
	Version int       `json:"version"`
	Host    string    `json:"host"`
	BootID  string    `json:"boot_id"`
	Time    time.Time `json:"time"`
	DryRun  bool      `json:"dry_run"`
	// WhatIf is set in a saved report that was decided again.
	WhatIf               bool    `json:"what_if"`
	DeadlineSeconds      float64 `json:"deadline_seconds"`
	MemoryAvailableBytes *uint64 `json:"memory_available_bytes"`
	MemoryTotalBytes     *uint64 `json:"memory_total_bytes"`
	// HostShare is where from 0 to below 1 this host stands in its fleet, always
	// the same: what --deadline-jitter is multiplied by. Null when not known.
	HostShare *float64   `json:"host_share"`
	CanSignal bool       `json:"can_signal"`
	Instances []Instance `json:"instances"`
	Summary   Summary    `json:"summary"`
	// Errors are what could not be read of the host as a whole.
	Errors []string `json:"errors"`

	// Qualified are the names that are qualified, for the next pass.
	Qualified Qualified `json:"-"`

	Boottime time.Duration `json:"-"` // CLOCK_BOOTTIME of the look; 0 in a saved report
}

// Instance is one HAProxy service: a master and its workers, or one lineage of
// daemon processes. Nothing is ever decided across instances.
type Instance struct {
	Name string `json:"name"`
	Owner
	Model Model `json:"model"`
	// Confirmed is set when the youngest generation is ready and holds a socket
	// in LISTEN.
	Confirmed bool `json:"confirmed"`
	// Refusal says why nothing of this instance may be signalled now; empty
	// when nothing stands against it.
	Refusal       Reason `json:"refusal"`
	RefusalDetail string `json:"refusal_detail"`
	// Witnesses are those that answered: sockets, arguments, cli.
	Witnesses []string `json:"witnesses"`
	// CLIError says why the master CLI, although there is one, is no witness (not
	// readable for us, say), or of which workers it gave no answer, and why. It
	// stands against nothing.
	CLIError string `json:"cli_error"`
	// MemoryLimitBytes is the limit of the memory cgroup that the active runs in,
	// or of one above it, and MemoryLimitAvailableBytes what is left of it; null
	// where there is none, or none could be read.
	MemoryLimitBytes          *uint64 `json:"memory_limit_bytes"`
	MemoryLimitAvailableBytes *uint64 `json:"memory_limit_available_bytes"`
	// ConnectionRate is the new client connections of the active in the second
	// before, by the master CLI (ConnRate); null where that does not tell.
	ConnectionRate *int `json:"connection_rate"`
	// Forecast is null when nothing is to be terminated.
	Forecast *Forecast `json:"forecast"`

	Processes []Process `json:"processes"`

	key   string                     // what stays the same from look to look, see group.go
	sides map[inspect.ProcID]*teller // of the processes whose connections were counted
}

// Process is one process of an instance with its role, and what became of it.
type Process struct {
	inspect.ProcID
	Role  Role     `json:"role"`
	User  string   `json:"user"`
	UID   UID      `json:"uid"`
	Args  []string `json:"args"`  // up to 16 KiB of them, then "..."
	State string   `json:"state"` // letter of proc(5): T is stopped, D uninterruptible
	Wedge Wedge    `json:"wedge"` // residual and stranded processes only
	// SignalledBefore is set when an earlier pass of this boot sent the process a
	// signal. It is still there. False in a report saved before the field was.
	SignalledBefore bool `json:"signalled_before"`

	// StrandedReason is why a stranded process is not residual; "" for every other
	// role, and in a report saved before the field was.
	StrandedReason StrandedReason `json:"stranded_reason"`

	// Evidence is what says that it was told to stop: "told by PID", the process
	// whose list names it; "stopping", the master CLI; "remembered", an earlier
	// pass; "connections", in daemon mode, its clients on an address of the active.
	// Of a master it says that it was replaced.
	Evidence []string `json:"evidence"`

	Started    *time.Time `json:"started"`
	Superseded *time.Time `json:"superseded"` // residual processes only
	// Due is when it comes due as things stand, by whichever rule is first, and
	// DueReason the reason that it will then have; residual processes only.
	Due       *time.Time `json:"due"`
	DueReason Reason     `json:"due_reason"`
	// Deadline is when its deadline comes, with all that puts it off, and
	// DeadlinePort the port whose own deadline that is; 0 is none's.
	Deadline     *time.Time `json:"deadline"`
	DeadlinePort uint16     `json:"deadline_port"`
	// IdleDue is when it would be due as idle if no byte moved until then; null
	// where that rule is off, or cannot be asked.
	IdleDue    *time.Time `json:"idle_due"`
	AgeSeconds float64    `json:"age_seconds"`
	// ResidualSeconds is the time since it was superseded; null for every role
	// but residual. Deadlines are counted on it.
	ResidualSeconds *float64 `json:"residual_seconds"`

	// Listeners is null when its sockets could not be read, and for a process
	// whose sockets tell nothing (a program, a check).
	Listeners   []string    `json:"listeners"`
	Connections Connections `json:"connections"`
	Ports       []PortUse   `json:"ports"`
	// Clients are who holds a residual process, by peer and local port, those
	// with the most connections first; null when it was not asked for.
	Clients []Client `json:"clients"`
	// IdleSeconds is the time since any byte moved on its least idle client
	// connection, of those of which that is known; null without one.
	IdleSeconds  *float64 `json:"idle_seconds"`
	PrivateBytes *uint64  `json:"private_bytes"`

	Verdict Verdict  `json:"verdict"`
	Reason  Reason   `json:"reason"`
	Outcome Outcome  `json:"outcome"`
	Signals []string `json:"signals"` // names, in the order they were sent
	// DrainedConnections are the client connections that were closed one by one
	// before any signal.
	DrainedConnections int    `json:"drained_connections"`
	Error              string `json:"error"`

	// Stranger is that of inspect.Process.
	Stranger bool `json:"-"`
	// Heir is the active of the instance, or the master that replaced this one. It is
	// for Remember.
	Heir Heir `json:"-"`
}

// UID is an effective uid; in JSON null where it could not be read (inspect.NoUID).
type UID uint32

// MarshalJSON implements json.Marshaler.
func (u UID) MarshalJSON() ([]byte, error) {
	if u == inspect.NoUID {
		return []byte("null"), nil
	}
	return strconv.AppendUint(nil, uint64(u), 10), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (u *UID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*u = inspect.NoUID
		return nil
	}
	n, err := strconv.ParseUint(string(b), 10, 32)
	*u = UID(n)
	return err
}

// InCharge tells whether the instance stands on this process: it is of the active
// generation, or the master that no other has replaced.
func (p *Process) InCharge() bool {
	return p.Role == RoleActive || p.Role == RoleMaster && len(p.Evidence) == 0
}

// Connections counts connections by side; null when not known. A connection counts
// as long as one side may still send. Each counts once.
type Connections struct {
	Client *int `json:"client"` // on an address that the active listens on
	Server *int `json:"server"` // towards backends
	Other  *int `json:"other"`  // neither: HAProxy's own CLI, resolvers, unix sockets without a name
	// Former are clients of a listener that the active no longer has: connections
	// that the process accepted, on an address where the active does not listen.
	Former *int `json:"former"`
	// Unknown are clients that something says are there and that could not be
	// counted: those that the master CLI has more (reverse HTTP), or, where there
	// is none, connections that may be clients' as well as towards backends. 0
	// where all were counted.
	Unknown *int `json:"unknown"`
}

// PortUse sums up the client connections of one local port. The times are since
// the last byte moved; null where that of some of them is not known, as of QUIC and
// MPTCP.
type PortUse struct {
	Port           uint16   `json:"port"`
	Clients        int      `json:"clients"`
	MinIdleSeconds *float64 `json:"min_idle_seconds"`
	MaxIdleSeconds *float64 `json:"max_idle_seconds"`
}

// Client sums up the client connections of one peer on one local port or path.
// The peer is the kernel's: behind a balancer that is the balancer.
type Client struct {
	Peer        string `json:"peer"` // address; "" for a unix socket
	Port        uint16 `json:"port"` // local; 0 for a unix socket
	Path        string `json:"path"` // local path of a unix socket, else ""
	Connections int    `json:"connections"`
	// OldestSeconds is the age of the oldest connection that the master CLI
	// knows a stream of; null where it knows none, or is not there.
	OldestSeconds *float64 `json:"oldest_seconds"`
	// MinIdleSeconds and MaxIdleSeconds are the times since the last byte on the
	// busiest and on the idlest; null for unix sockets, QUIC and MPTCP.
	MinIdleSeconds *float64 `json:"min_idle_seconds"`
	MaxIdleSeconds *float64 `json:"max_idle_seconds"`
	// Bytes moved on them, both ways, since they were made; null as above.
	Bytes *uint64 `json:"bytes"`
}

// Summary counts over all instances at the end of the pass.
type Summary struct {
	Active     int `json:"active"`
	Residual   int `json:"residual"`
	Due        int `json:"due"`        // residual processes whose time has come, by any rule
	Terminated int `json:"terminated"` // left after a signal of this pass, or drained by it
	Refused    int `json:"refused"`    // due, and withheld by a refusal
}

// Left tells whether the process is gone at the end of the pass.
func (p *Process) Left() bool {
	switch p.Outcome {
	case OutcomeTerminated, OutcomeKilled, OutcomeDrained, OutcomeVanished:
		return true
	}
	return false
}

// Withheld is the reason for which a termination that was due did not take
// place, or "".
func (in *Instance) Withheld(at time.Time) Reason {
	for i := range in.Processes {
		p := &in.Processes[i]
		if p.Verdict == VerdictRefuse && p.IsDue(at) {
			if in.Refusal != "" {
				return in.Refusal
			}
			return p.Reason
		}
	}
	return ""
}

// IsDue tells whether a residual process is due by any rule, whatever the
// verdict made of that.
func (p *Process) IsDue(at time.Time) bool {
	return p.Role == RoleResidual && p.Due != nil && !p.Due.After(at)
}
