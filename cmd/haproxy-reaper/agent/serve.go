package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// stopPatience is how long serve waits, once it was told to stop, for scrapes
// and for a pass under way, which is told too. systemd waits for 90s.
const stopPatience = 20 * time.Second

// serve runs a pass every --interval, each a child process, and tells of them
// over HTTP and to systemd. It touches no HAProxy itself.
func (p *program) serve(ctx context.Context, c *flags.Config, log *slog.Logger) int {
	signal.Ignore(syscall.SIGHUP) // there is nothing to load again: each pass reads its configuration
	if err := web.Validate(c.WebConfigFile); err != nil {
		log.Error("serve did not start", "error", fmt.Errorf("%s %s: %w", c.Source("web.config.file"), c.WebConfigFile, err))
		return ExitUsage
	}
	bootID, _ := inspect.BootID(p.kernel)
	s := newServing(p, c, bootID, log)
	told := newNotifier(log)

	// Whatever ends first, ends all of it.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := newWebServer(s, log)
	listening := make(chan struct{})
	var dropped error
	go func() {
		// A port below 1024 takes a capability. Whoever connects meets none.
		server.listenAndServe(c, log, func() error {
			if dropped = p.dropCapabilities(); dropped == nil {
				close(listening)
			}
			return dropped
		})
		stop()
	}()
	var passes sync.WaitGroup
	passes.Go(func() {
		select {
		case <-listening: // before that nothing is told
			told.ready()
			s.loop(ctx, func() { told.status(s.statusLine()) })
		case <-ctx.Done():
		}
	})
	passes.Go(func() { told.watchdog(ctx, s.isHealthy) })

	<-ctx.Done()
	told.stopping()
	grace, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	served := server.stop(grace, log)
	if !wait(grace, &passes) {
		log.Warn("a pass did not end and goes on by itself", "patience", stopPatience)
	}
	switch {
	case dropped != nil:
		log.Error("serve did not start", "error", fmt.Errorf("cannot drop its capabilities: %w", dropped))
		return ExitPrivilege // systemd starts it no second time
	case served != nil:
		log.Error("serve", "error", served)
		return ExitFailed
	}
	return ExitOK
}

// wait waits for the group; false when the context ended before.
func wait(ctx context.Context, group *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
