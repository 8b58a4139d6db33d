package text

import (
	"fmt"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// scheduleWords says of a residual process which rule decides it, and when.
func scheduleWords(i *judge.Instance, p *judge.Process, now time.Time) string {
	text := verdictWords(i, p)
	due := dueWords(p, now)
	if p.Verdict == judge.VerdictWait && p.Deadline != nil && p.Deadline.After(now) {
		text = spareWords(p, now)
	}
	if due != "" {
		text += ", " + due
	}
	if p.Due == nil || p.DueReason == p.Reason {
		return text
	}
	// What decides, where the verdict's own reason does not say it.
	switch p.DueReason {
	case "", judge.ReasonPastDeadline, judge.ReasonPastPortDeadline, judge.ReasonPastHardDeadline:
	default:
		text += ": " + words(p.DueReason)
	}
	return text
}

// spareWords says of a process that waits what puts its deadline off, and until
// when.
func spareWords(p *judge.Process, now time.Time) string {
	until := clock(*p.Deadline, now)
	switch p.Reason {
	case judge.ReasonWithinPortDeadline:
		return fmt.Sprintf("port %d spares it until %s", p.DeadlinePort, until)
	case judge.ReasonActiveClients:
		return fmt.Sprintf("past its deadline, active clients spare it until %s", until)
	case judge.ReasonJitter:
		return fmt.Sprintf("past its deadline, this host's jitter spares it until %s", until)
	}
	return words(p.Reason)
}

// idleWords says what would become of a process if no byte moved.
func idleWords(p *judge.Process, now time.Time) string {
	if p.IdleDue == nil || !p.IdleDue.After(now) || p.Due == nil || !p.Due.After(*p.IdleDue) {
		return ""
	}
	return "idle in " + Duration(roundUp(p.IdleDue.Sub(now))) + " if no byte moves"
}

// clock is a time of day, with its day where that is another than now's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Truncate(24 * time.Hour).Equal(now.Truncate(24 * time.Hour)) {
		return t.Format("15:04 UTC")
	}
	return t.Format("2 Jan 15:04 UTC")
}
