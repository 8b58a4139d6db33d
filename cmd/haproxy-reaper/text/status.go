package text

import (
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// StatusLine returns a report in one line, as systemctl status and the page show it:
// "2 residual, 37 client connections, next due in 12m".
func StatusLine(r judge.Report) string {
	if len(r.Instances) == 0 {
		if len(r.Errors) > 0 {
			return "the host could not be inspected"
		}
		return "no HAProxy found"
	}
	residual, clients, known := 0, 0, true
	var refused []string
	var next *time.Time
	for i := range r.Instances {
		in := &r.Instances[i]
		withheld := false
		for j := range in.Processes {
			p := &in.Processes[j]
			if p.Role != judge.RoleResidual || p.Left() {
				continue
			}
			residual++
			if p.Connections.Client == nil {
				known = false
			} else {
				clients += *p.Connections.Client
			}
			if p.Due != nil && (next == nil || p.Due.Before(*next)) {
				next = p.Due
			}
			withheld = withheld || p.Verdict == judge.VerdictRefuse && p.IsDue(r.Time)
		}
		if withheld {
			refused = append(refused, Escape(in.Name))
		}
	}
	parts := []string{fmt.Sprintf("%d residual", residual)}
	if residual > 0 {
		connections := "client connections unknown"
		if known {
			connections = Plural(clients, "client connection", "client connections")
		}
		parts = append(parts, connections)
	}
	if next != nil {
		if wait := next.Sub(r.Time); wait > 0 {
			parts = append(parts, "next due in "+Duration(roundUp(wait)))
		} else {
			parts = append(parts, "overdue by "+Duration(-wait))
		}
	}
	if len(refused) > 0 {
		parts = append(parts, "refused: "+strings.Join(refused, " "))
	}
	if r.DryRun {
		parts = append(parts, "dry run")
	}
	return strings.Join(parts, ", ")
}
