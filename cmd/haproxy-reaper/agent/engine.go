package agent

import (
	"context"
	"log/slog"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// engine looks at the host and acts on it, once.
type engine interface {
	// Status looks and decides.
	Status(context.Context) (judge.Report, error)
	// Run is a whole pass.
	Run(context.Context) (judge.Report, error)
	// Surroundings reads what check wants to know besides a look.
	Surroundings(context.Context, judge.Report, inspect.Privileges) check.Surroundings
	// Remembered is what the next pass should know, after either.
	Remembered() judge.Memory
	Close()
}

// passSettings are what an engine is made of.
type passSettings struct {
	kernel  inspect.Kernel
	config  *flags.Config
	live    bool // false: nothing is ever signalled
	have    inspect.Privileges
	earlier state.State // what earlier runs left
	approve func(judge.Report) (bool, error)
	log     *slog.Logger

	step      func()                                             // as reaper.Pass.Step
	drained   func(instance string, closed, of int)              // as reaper.Pass.Drained
	signalled func(judge.Memory, string, inspect.ProcID, string) // as reaper.Pass.Signalled
}

// hostEngine is the engine for the host we run on.
type hostEngine struct{ *reaper.Pass }

func newHostEngine(s passSettings) engine {
	c := s.config
	isStatus := c.Command == "status"
	host := inspect.NewHost(s.kernel, c.Exes)
	host.Rights = s.have.Rights()
	var terminator reaper.Terminator = reaper.DryRun{}
	if s.live {
		terminator = reaper.Signaller{Host: host}
	}
	return hostEngine{&reaper.Pass{
		Host:          host,
		Policy:        c.Policy(),
		Timing:        c.Timing(),
		Terminator:    terminator,
		MasterSocket:  c.MasterSocket,
		Clients:       c.Clients && isStatus,
		ActiveClients: isStatus,
		Memory:        s.earlier.Memory,
		MemoryOwner:   s.earlier.Owner,
		Qualified:     s.earlier.Qualified,
		MaySignal:     s.have.MaySignal,
		Approve:       s.approve,
		Step:          s.step,
		Drained:       s.drained,
		Signalled:     s.signalled,
		Log:           s.log,
	}}
}

func (e hostEngine) Surroundings(ctx context.Context, r judge.Report, have inspect.Privileges) check.Surroundings {
	return check.Look(ctx, e.Host, e.MasterSocket, r, have)
}

func (e hostEngine) Remembered() judge.Memory { return e.Memory }

func (e hostEngine) Close() { e.Host.Close() }
