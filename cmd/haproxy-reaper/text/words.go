package text

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// reasonWords says each reason to people. Those of a refusal read on from
// "refused: ", the others stand alone.
var reasonWords = map[judge.Reason]string{
	judge.ReasonMaster:   "the master, never signalled",
	judge.ReasonActive:   "the current worker",
	judge.ReasonStarting: "a worker is starting",
	judge.ReasonPaused:   "a worker runs without a listener, and may come back",
	judge.ReasonDraining: "the whole service drains: it takes no new clients",
	judge.ReasonStranded: "superseded, and not proven to be residual: never signalled",
	judge.ReasonStray:    "a process that HAProxy would not have here",
	judge.ReasonProgram:  "a program of the master, never signalled",
	judge.ReasonCheck:    "child of a worker, never signalled",

	judge.ReasonPastDeadline:     "past its deadline",
	judge.ReasonPastPortDeadline: "past the deadline of its port",
	judge.ReasonPastHardDeadline: "past the hard deadline, with clients that are active",
	judge.ReasonEmpty:            "no client connection is left",
	judge.ReasonIdle:             "all of its clients are idle",
	judge.ReasonMaxResidual:      "more residual processes than may be",
	judge.ReasonLowMemory:        "memory is short, and it frees most for each client",

	judge.ReasonWithinDeadline:     "within its deadline",
	judge.ReasonWithinPortDeadline: "within the deadline of its port",
	judge.ReasonActiveClients:      "past its deadline, spared for clients that are active",
	judge.ReasonJitter:             "past its deadline, spared by this host's jitter",
	judge.ReasonMaxTerminations:    "over the cap of one pass",
	judge.ReasonPassTimeout:        "the pass ran out of time",
	judge.ReasonInterrupted:        "the pass was interrupted",
	judge.ReasonDeclined:           "declined",

	judge.ReasonNoActive:         "no worker is ready",
	judge.ReasonNotListening:     "the youngest worker holds no listening socket",
	judge.ReasonNoStreamListener: "the youngest worker listens on UDP only",
	judge.ReasonActiveStopped:    "the youngest worker is stopped or traced",
	judge.ReasonReloading:        "the master is in the middle of a reload",
	judge.ReasonTie:              "two generations started in one tick",
	judge.ReasonUnreadable:       "a fact could not be read",
	judge.ReasonUnclassified:     "a socket is of no known kind",
	judge.ReasonApart:            "a thread of a worker has descriptors of its own",
	judge.ReasonNamespace:        "its processes are not in one namespace",
	judge.ReasonWitness:          "the master CLI disagrees",
	judge.ReasonTooMany:          "it has more processes than one pass looks at",
	judge.ReasonChanged:          "two looks did not agree",
	judge.ReasonPrivilege:        "the agent may not signal a process that is due",
}

// strandedWords says why each stranded process is left alone. They read on from
// the process's listeners, and from its pid.
var strandedWords = map[judge.StrandedReason]string{
	judge.StrandedListening:  "superseded, and still listening",
	judge.StrandedNotTold:    "superseded, and not known to have been told to stop",
	judge.StrandedUnreadable: "superseded, with sockets that could not be read",
	judge.StrandedNoInstance: "it holds no listener, and nothing ties it to a service",
	judge.StrandedOtherUser:  "superseded by a process of another user, and not known to have been told to stop",
}

// Stranded says why a process is stranded. The words read on from the pid.
func Stranded(why judge.StrandedReason) string {
	if w, known := strandedWords[why]; known {
		return w
	}
	return words(judge.ReasonStranded)
}

// roleWords says why a process is kept.
func roleWords(p *judge.Process) string {
	switch w, known := strandedWords[p.StrandedReason]; {
	case p.Role == judge.RoleStranded && known:
		return w + ": never signalled"
	case p.Role == judge.RolePaused:
		return "runs without a listener: paused, or told to finish"
	case p.Role == judge.RoleDraining:
		return "takes no new clients, and leaves when its last client does"
	}
	return words(p.Reason)
}

// evidenceWords are those words of evidence that read better in another way.
var evidenceWords = map[string]string{
	"stopping":    "Stopping: 1",
	"connections": "by its connections",
}

// evidenceText says what stands for a process having been told to stop, "" where
// nothing does.
func evidenceText(p *judge.Process) string {
	if len(p.Evidence) == 0 {
		return ""
	}
	var list []string
	for _, e := range p.Evidence {
		list = append(list, cmp.Or(evidenceWords[e], Escape(e)))
	}
	if p.Role == judge.RoleMaster {
		return "replaced: " + strings.Join(list, ", ")
	}
	return "evidence: " + strings.Join(list, ", ")
}

// words says a reason, or the reason itself where it is of a later version.
func words(reason judge.Reason) string {
	if w, ok := reasonWords[reason]; ok {
		return w
	}
	return Escape(string(reason))
}

// RefusalWords says why an instance is refused, with the detail at hand. The words read
// on from "refused: ".
func RefusalWords(i *judge.Instance) string {
	if i.RefusalDetail == "" {
		return words(i.Refusal)
	}
	return words(i.Refusal) + " (" + Escape(i.RefusalDetail) + ")"
}

// dueWords says when a process is due, "" when it never is.
func dueWords(p *judge.Process, now time.Time) string {
	if p.Due == nil {
		return ""
	}
	switch wait := p.Due.Sub(now); {
	case wait > 0:
		return "due in " + Duration(roundUp(wait))
	case wait > -time.Second:
		return "due now"
	default:
		return "overdue by " + Duration(-wait)
	}
}

// connectionWords is the number of clients that a termination cuts off.
func connectionWords(p *judge.Process) string {
	c := p.Connections
	if c.Client == nil {
		return "client connections unknown"
	}
	line := Plural(*c.Client, "client connection", "client connections")
	if c.Former != nil && *c.Former > 0 {
		line += fmt.Sprintf(", %d of a former listener", *c.Former)
	}
	switch {
	case c.Unknown == nil:
		line += ", perhaps more"
	case *c.Unknown > 0:
		line += fmt.Sprintf(", %d unknown", *c.Unknown)
	}
	return line
}

// otherClientWords says of which clients the count of clients does not tell; "" where
// there are none.
func otherClientWords(p *judge.Process) string {
	c := p.Connections
	if c.Client == nil || !isOldWorker(p) {
		return ""
	}
	var list []string
	if c.Former != nil && *c.Former > 0 {
		list = append(list, Plural(*c.Former, "client", "clients")+" of a listener that the active no longer has")
	}
	switch {
	case c.Unknown == nil:
		list = append(list, "connections that may be clients' or lead to servers")
	case *c.Unknown > 0:
		list = append(list, Plural(*c.Unknown, "client", "clients")+" that no socket tells apart")
	}
	if len(list) == 0 {
		return ""
	}
	return "besides: " + strings.Join(list, ", ")
}

// Duration returns a duration in its two largest units, as in 3d2h, 2h10m, 12m, 9s. What
// is negative is 0s.
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d >= 1000*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// roundUp takes a duration that lies ahead to the next whole unit that is shown
// of it: what is due in half an hour is not due in 29 minutes.
func roundUp(d time.Duration) time.Duration {
	unit := time.Second
	switch {
	case d > 24*time.Hour:
		unit = time.Hour
	case d > time.Minute:
		unit = time.Minute
	}
	return (d + unit - 1).Truncate(unit)
}

// count is a number in at most seven columns.
func count(n int) string {
	if n < 10_000_000 {
		return strconv.Itoa(n)
	}
	unit := 0
	for n >= 1_000_000 {
		n, unit = n/1000, unit+1
	}
	return strconv.Itoa(n) + string(" kMGTPE"[unit])
}

// Size returns a number of bytes in at most ten columns, as in 8.5 MiB.
func Size(bytes uint64) string {
	value, units := float64(bytes)/1024, []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for value >= 999.95 && len(units) > 1 {
		value, units = value/1024, units[1:]
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}

// Plural returns a number with the noun for one or for many: "1 peer", "2 peers".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Processes returns "1 process" or "2 processes".
func Processes(n int) string { return Plural(n, "process", "processes") }
