package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
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
	return text.StatusLine(s.input.Load().Report)
}
