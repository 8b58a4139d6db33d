package judge

// This file holds the closed sets of words that reports, logs and metric labels
// are made of. A word is added here and in reaper/README.md, never changed.

// Model is how an instance runs.
type Model string

const (
	ModelMasterWorker Model = "master-worker" // -W, -Ws, master-worker
	ModelDaemon       Model = "daemon"        // -D with -sf or -st; also -db, a lineage of one
)

// Role is what a process is to its instance (reaper/README.md, "Roles").
type Role string

const (
	RoleMaster   Role = "master"
	RoleActive   Role = "active"
	RoleStarting Role = "starting"
	RolePaused   Role = "paused"
	RoleDraining Role = "draining" // told to stop, holds no listener, and nothing younger has taken over
	RoleResidual Role = "residual"
	RoleStranded Role = "stranded"
	RoleStray    Role = "stray"
	RoleProgram  Role = "program"
	RoleCheck    Role = "check"
)

// Roles is every role, in the order reports list them.
var Roles = []Role{RoleMaster, RoleActive, RoleStarting, RolePaused, RoleDraining, RoleResidual, RoleStranded, RoleStray, RoleProgram, RoleCheck}

// Verdict is what is to be done with a process. Each has exactly one.
type Verdict string

const (
	VerdictKeep      Verdict = "keep"      // not residual: never signalled
	VerdictWait      Verdict = "wait"      // residual, and its time has not come
	VerdictTerminate Verdict = "terminate" // residual and due
	VerdictRefuse    Verdict = "refuse"    // residual, and something stands against it
)

// Reason says why a process has its verdict, or an instance its refusal.
type Reason string

// Reasons to keep are the roles themselves.
const (
	ReasonMaster   = Reason(RoleMaster)
	ReasonActive   = Reason(RoleActive)
	ReasonStarting = Reason(RoleStarting)
	ReasonPaused   = Reason(RolePaused)
	ReasonDraining = Reason(RoleDraining)
	ReasonStranded = Reason(RoleStranded)
	ReasonStray    = Reason(RoleStray)
	ReasonProgram  = Reason(RoleProgram)
	ReasonCheck    = Reason(RoleCheck)
)

// Reasons to terminate, and to wait.
const (
	ReasonPastDeadline     Reason = "past_deadline"
	ReasonPastPortDeadline Reason = "past_port_deadline" // --deadline-for
	ReasonPastHardDeadline Reason = "past_hard_deadline" // --hard-deadline, with clients that are active
	ReasonEmpty            Reason = "empty"              // --empty-after
	ReasonIdle             Reason = "idle"               // --idle-after
	ReasonMaxResidual      Reason = "max_residual"       // --max-residual
	ReasonLowMemory        Reason = "low_memory"         // --min-available-memory

	ReasonWithinDeadline     Reason = "within_deadline"
	ReasonWithinPortDeadline Reason = "within_port_deadline" // --deadline-for
	ReasonActiveClients      Reason = "active_clients"       // spared until --hard-deadline
	ReasonJitter             Reason = "jitter"               // spared by --deadline-jitter

	ReasonMaxTerminations Reason = "max_terminations" // over the cap of this pass
	ReasonPassTimeout     Reason = "pass_timeout"     // the pass ended first
	ReasonInterrupted     Reason = "interrupted"      // SIGTERM or SIGINT to us
	ReasonDeclined        Reason = "declined"         // the operator said no
)

// Reasons to refuse an instance. starting, paused, draining and stray are among
// them, under the names above.
const (
	ReasonNoActive         Reason = "no_active"            // no worker is ready
	ReasonNotListening     Reason = "not_listening"        // the youngest holds no socket in LISTEN
	ReasonNoStreamListener Reason = "no_stream_listener"   // the youngest listens on UDP only
	ReasonActiveStopped    Reason = "active_stopped"       // the youngest is stopped or traced
	ReasonReloading        Reason = "reloading"            // the master is in the middle of a reload
	ReasonTie              Reason = "tie"                  // two generations started in one tick
	ReasonUnreadable       Reason = "unreadable"           // a fact could not be read
	ReasonUnclassified     Reason = "unclassified_socket"  // a socket of no known kind
	ReasonApart            Reason = "thread_descriptors"   // a thread has a table of descriptors of its own
	ReasonNamespace        Reason = "namespace"            // PID or network namespace differs
	ReasonWitness          Reason = "witness_disagreement" // the master CLI says otherwise
	ReasonTooMany          Reason = "too_many"             // more processes than one pass looks at
	ReasonChanged          Reason = "changed"              // two looks did not agree in time
	ReasonPrivilege        Reason = "privilege"            // this program may not signal a process that is due
)

// Refusals is every reason that an instance can be refused for, in the order
// the metrics and reaper/README.md list them.
var Refusals = []Reason{
	ReasonNoActive, ReasonNotListening, ReasonNoStreamListener, ReasonActiveStopped,
	ReasonStarting, ReasonReloading, ReasonPaused, ReasonDraining, ReasonStray, ReasonTie,
	ReasonUnreadable, ReasonUnclassified, ReasonApart, ReasonNamespace, ReasonWitness, ReasonTooMany, ReasonChanged, ReasonPrivilege,
}

// StrandedReason says which fact keeps a superseded process from being residual.
type StrandedReason string

const (
	StrandedListening  StrandedReason = "listening"  // it holds a listening stream or datagram socket
	StrandedNotTold    StrandedReason = "not_told"   // nothing says that it was told to stop
	StrandedUnreadable StrandedReason = "unreadable" // its sockets could not be read
	StrandedOtherUser  StrandedReason = "other_user" // daemon mode: its user is not the active's
	// In no instance: it holds no listener, and nothing ties it to a process that does.
	StrandedNoInstance StrandedReason = "no_instance"
)

// StrandedReasons is every one of them.
var StrandedReasons = []StrandedReason{StrandedListening, StrandedNotTold, StrandedUnreadable, StrandedOtherUser, StrandedNoInstance}

// Outcome is what became of a process that was to be terminated.
type Outcome string

const (
	OutcomeDryRun     Outcome = "dry_run"    // would have been signalled
	OutcomeTerminated Outcome = "terminated" // left after SIGTERM
	OutcomeKilled     Outcome = "killed"     // needed SIGKILL
	OutcomeDrained    Outcome = "drained"    // left by itself after draining
	OutcomeVanished   Outcome = "vanished"   // left before we acted
	OutcomeSurvived   Outcome = "survived"   // still there at the end of the wait for it
	OutcomeFailed     Outcome = "failed"     // the signal could not be sent
)
