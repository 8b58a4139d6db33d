package text

import (
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// advice says what an operator can do about a process that will not leave when
// it should, "" when nothing is to be done.
func advice(i *judge.Instance, p *judge.Process) string {
	if p.Role == judge.RoleDraining {
		return "if this was not meant, start HAProxy again"
	}
	if p.Role == judge.RoleStranded && p.Wedge == judge.WedgeNone {
		return StrandedAdvice(i.Model, p.StrandedReason, p.PID)
	}
	switch p.Wedge {
	case judge.WedgeStopped:
		text := fmt.Sprintf("it is frozen (state T), and hears nothing but SIGKILL (--kill-after). To let it go on: kill -CONT %d", p.PID)
		if p.SignalledBefore || len(p.Signals) > 0 {
			text += "; the SIGTERM that waits then ends it at once, and cuts its clients off"
		}
		return text
	case judge.WedgeTraced:
		return "a debugger holds it, and it hears nothing but SIGKILL (--kill-after): detach that"
	case judge.WedgeBlocked:
		return fmt.Sprintf("it waits in the kernel, and no signal ends it until that is over: see /proc/%d/stack", p.PID)
	}
	if p.Outcome == judge.OutcomeSurvived && !slices.Contains(p.Signals, "SIGKILL") {
		return "it does not act on SIGTERM: --kill-after has SIGKILL follow"
	}
	return ""
}

// StrandedAdvice says what ends stranded processes of one reason without an outage. A
// process that listens serves. A process with unknown sockets may serve. Neither is to
// be ended by hand.
func StrandedAdvice(model judge.Model, why judge.StrandedReason, pids ...int) string {
	list := strings.Trim(fmt.Sprint(pids), "[]")
	reload := "reload once more: HAProxy's master then tells it to finish"
	if model == judge.ModelDaemon {
		reload = fmt.Sprintf("name it in the next reload (-sf %s), and it finishes", list)
	}
	switch why {
	case judge.StrandedListening:
		return "it serves an old configuration, so do not end it by hand; " + reload
	case judge.StrandedUnreadable:
		return "it may serve, so do not end it by hand; check says which privilege is missing"
	case judge.StrandedNoInstance:
		return "it finishes, or is paused (SIGTTOU)"
	case judge.StrandedOtherUser:
		return fmt.Sprintf("it leaves when its last client does; to end it at once, and cut its clients off: kill %s", list)
	}
	return "it may serve an old configuration; " + reload
}
