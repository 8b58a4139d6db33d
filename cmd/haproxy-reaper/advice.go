package main

import (
	"fmt"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// advice says what an operator can do about a process that will not leave when
// it should, "" when nothing is to be done.
func advice(i *reaper.Instance, p *reaper.Process) string {
	switch {
	case p.Role == reaper.RoleStranded && p.Wedge == reaper.WedgeNone && i.Model == reaper.ModelDaemon:
		return fmt.Sprintf("it may serve an old configuration: name it in the next reload (-sf %d), and it finishes", p.PID)
	case p.Role == reaper.RoleStranded && p.Wedge == reaper.WedgeNone:
		return "it may serve an old configuration: reload once more, and HAProxy's master tells it to finish"
	}
	switch p.Wedge {
	case reaper.WedgeStopped:
		return fmt.Sprintf("it is stopped and hears nothing but SIGKILL (--kill-after) until you let it go on: kill -CONT %d", p.PID)
	case reaper.WedgeTraced:
		return "a debugger holds it, and it hears nothing but SIGKILL (--kill-after): detach that"
	case reaper.WedgeBlocked:
		return fmt.Sprintf("it waits in the kernel, and no signal ends it until that is over: see /proc/%d/stack", p.PID)
	}
	if p.Outcome == reaper.OutcomeSurvived && !slices.Contains(p.Signals, "SIGKILL") {
		return "it does not act on SIGTERM: --kill-after has SIGKILL follow"
	}
	return ""
}
