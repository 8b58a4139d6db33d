package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
)

// stopPatience is how long serve waits, once it was told to stop, for scrapes
// and for a pass under way, which is told too. systemd waits for 90s.
const stopPatience = 20 * time.Second

// Options are what serve is told of its settings and of the program.
type Options struct {
	Interval time.Duration // between the starts of two passes

	// Run listens on these addresses, or else on the sockets that systemd hands over.
	ListenAddresses   []string
	SystemdSocket     bool
	SystemdSocketFrom string // what asked for systemd's sockets, for an error
	WebConfigFile     string // TLS and basic auth, "" for none

	Pass     Pass
	StateDir string // of the passes
	BootID   string
	Clock    Clock
	Wanted   []string // the instances that the passes are about, none for all

	// DropCapabilities drops the capabilities of all threads. It is called once, when
	// serve listens: a port below 1024 takes a capability.
	DropCapabilities func() error

	Log *slog.Logger
}

// Pass is how a pass is started.
type Pass struct {
	Program string    // path of this program
	Args    []string  // arguments of a pass that prints its report as JSON
	Stderr  io.Writer // where its log goes
	Busy    int       // exit status of a pass that found another live run under way
}

// Clock is the kernel's clock: the time of day, and CLOCK_BOOTTIME.
type Clock interface {
	Now() time.Time
	Boottime() time.Duration
}

// ErrCapabilities says that serve did not start, since it could not drop its
// capabilities.
var ErrCapabilities = errors.New("cannot drop its capabilities")

// CheckWebConfig tells whether Run can use a file as Options.WebConfigFile, as an error
// that says what is wrong with it. "" is no file, and no error.
func CheckWebConfig(path string) error { return web.Validate(path) }

// Run runs a pass every interval, each a child process, and tells of them over HTTP
// and to systemd, until the context ends. It touches no HAProxy itself. The error is
// why it could not start or go on, nil when the context ended.
func Run(ctx context.Context, o Options) error {
	log := o.Log
	s := newServing(o)
	told := newNotifier(log)

	// Whatever ends first, ends all of it.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := newWebServer(s)
	listening := make(chan struct{})
	var dropped error
	go func() {
		// A port below 1024 takes a capability. Whoever connects meets none.
		server.listenAndServe(o, func() error {
			if dropped = o.DropCapabilities(); dropped == nil {
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
	if dropped != nil {
		return fmt.Errorf("%w: %w", ErrCapabilities, dropped)
	}
	return served
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
