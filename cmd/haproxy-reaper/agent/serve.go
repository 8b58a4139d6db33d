package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/serve"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// serve runs passes and serves what they tell, until a signal ends it.
func (p *program) serve(ctx context.Context, c *flags.Config, log *slog.Logger) int {
	signal.Ignore(syscall.SIGHUP) // there is nothing to load again: each pass reads its configuration
	if err := serve.CheckWebConfig(c.WebConfigFile); err != nil {
		log.Error("serve did not start", "error", fmt.Errorf("%s %s: %w", c.Source("web.config.file"), c.WebConfigFile, err))
		return ExitUsage
	}
	bootID, _ := inspect.BootID(p.kernel)
	err := serve.Run(ctx, serve.Options{
		Interval:          c.Interval,
		ListenAddresses:   c.ListenAddresses,
		SystemdSocket:     c.SystemdSocket,
		SystemdSocketFrom: c.Source("web.systemd-socket"),
		WebConfigFile:     c.WebConfigFile,
		Pass:              serve.Pass{Program: p.self, Args: c.PassArgs, Stderr: p.stderr, Busy: ExitBusy},
		StateDir:          c.StateDir,
		BootID:            bootID,
		Clock:             p.kernel,
		Wanted:            c.Instances,
		DropCapabilities:  p.dropCapabilities,
		Log:               log,
	})
	switch {
	case errors.Is(err, serve.ErrCapabilities):
		log.Error("serve did not start", "error", err)
		return ExitPrivilege // systemd starts it no second time
	case err != nil:
		log.Error("serve", "error", err)
		return ExitFailed
	}
	return ExitOK
}
