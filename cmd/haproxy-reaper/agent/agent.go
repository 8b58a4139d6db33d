// Package agent has the commands of haproxy-reaper, their exit statuses, the
// question before a live run by hand, and what a run records for the next one.
//
// Standard output carries the result, standard error the log. The packages below
// return what happened; this one alone prints, logs and chooses the exit status.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Main runs the program with the arguments, the environment and the standard
// streams of this process, and returns its exit status. serve drops its
// capabilities with dropCapabilities once it listens.
func Main(dropCapabilities func() error) int {
	// A reader that went away (`reap | head`) must not end a pass between a
	// signal and its report; the failed write is an error like any other.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the pass in order, the second one at once.
	context.AfterFunc(ctx, stop)
	nameBuild()
	p := program{
		lookupEnv:        os.LookupEnv,
		stdin:            os.Stdin,
		stdout:           os.Stdout,
		stderr:           os.Stderr,
		kernel:           inspect.Linux{},
		lockDir:          lockDir,
		self:             "/proc/self/exe", // also when the file was replaced: serve and its passes are one version
		dropCapabilities: dropCapabilities,
		newEngine:        newHostEngine,
	}
	return p.run(ctx, os.Args[1:])
}

// program is one run and the world around it, so that a test can put another
// world in place of each part.
type program struct {
	lookupEnv      func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	kernel         inspect.Kernel
	lockDir        string
	self           string // path of this program

	dropCapabilities func() error // of all threads of serve
	newEngine        func(passSettings) engine
	progress         *progress // of this run
}

// subcommand is the first word after the program's name.
type subcommand struct {
	name    string
	summary string
	run     func(*program, context.Context, *flags.Config, *slog.Logger) int
}

// commands are those that exist; the first is the default.
func commands() []subcommand {
	return []subcommand{
		{"status", "inspect and print; never signals, never writes, never waits (the default)", (*program).status},
		{"reap", "one pass: inspect, decide, terminate what is due, report", (*program).reap},
		{"serve", "run reap every --interval, and serve its metrics and a page over HTTP", (*program).serve},
		{"check", "preflight: privileges, kernel, HAProxy's configuration; changes nothing", (*program).check},
		{"version", "print the version", (*program).version},
	}
}

// commandNames returns the names of the commands, the default first.
func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

func (p *program) run(ctx context.Context, args []string) int {
	c, err := flags.Parse(args, commandNames(), p.lookupEnv, p.kernel.ReadFile)
	switch {
	case errors.Is(err, flags.ErrHelp):
		if _, err := io.WriteString(p.stdout, usage()); err != nil {
			return ExitFailed
		}
		return ExitOK
	case err != nil:
		fmt.Fprintf(p.stderr, "haproxy-reaper: %s\n", text.Escape(err.Error()))
		return settingsStatus(err)
	}
	p.progress = newProgress(p.stderr)
	log := newLogger(p.progress.log(), p.lookupEnv, c.LogLevel, c.LogFormat)
	known := commands()
	return known[slices.Index(commandNames(), c.Command)].run(p, ctx, c, log)
}
