package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// notifier tells systemd what goes on, as sd_notify(3) has it; without a
// NOTIFY_SOCKET nobody.
type notifier struct{ log *slog.Logger }

func newNotifier(log *slog.Logger) notifier { return notifier{log} }

func (n notifier) ready()             { n.send(daemon.SdNotifyReady) }
func (n notifier) stopping()          { n.send(daemon.SdNotifyStopping) }
func (n notifier) status(text string) { n.send("STATUS=" + text) }

func (n notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("notify systemd", "error", err)
	}
}

// watchdog tells systemd twice in each WatchdogSec= that all is well, while it
// is.
func (n notifier) watchdog(ctx context.Context, healthy func() bool) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("the watchdog's interval", "error", err)
	}
	if every <= 0 {
		return
	}
	ticker := time.NewTicker(every / 2)
	defer ticker.Stop()
	for {
		if healthy() {
			n.send(daemon.SdNotifyWatchdog)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// statusLine is what `systemctl status` shows: "2 residual, 37 client
// connections, next due in 12m".
func (s *serving) statusLine() string {
	if !s.isHealthy() {
		return "no pass has ended in three intervals"
	}
	return statusLine(s.input.Load().Report)
}

func statusLine(r reaper.Report) string {
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
			if p.Role != reaper.RoleResidual || p.Left() {
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
			withheld = withheld || p.Verdict == reaper.VerdictRefuse && p.IsDue(r.Time)
		}
		if withheld {
			refused = append(refused, escape(in.Name))
		}
	}
	parts := []string{fmt.Sprintf("%d residual", residual)}
	if residual > 0 {
		connections := "client connections unknown"
		if known {
			connections = plural(clients, "client connection", "client connections")
		}
		parts = append(parts, connections)
	}
	if next != nil {
		if wait := next.Sub(r.Time); wait > 0 {
			parts = append(parts, "next due in "+duration(roundUp(wait)))
		} else {
			parts = append(parts, "overdue by "+duration(-wait))
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
