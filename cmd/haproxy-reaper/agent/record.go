package agent

import (
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/metrics"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// record is what a run takes from earlier ones and leaves to later ones and to
// Prometheus.
type record struct {
	kernel   inspect.Kernel
	stateDir string
	bootID   string
	// keep and textfile say what this run may write; "" is no textfile.
	keep     bool
	textfile string
	started  time.Duration // CLOCK_BOOTTIME
	before   judge.Memory  // what the run began with
	alone    bool          // the run holds the lock of live runs
}

// newRecord decides what a run may write: a live reap all that is configured, a
// dry run what its own command line names, so that a look by hand never
// replaces the metrics of the timer; status nothing.
func (p *program) newRecord(c *flags.Config) *record {
	r := &record{
		kernel:   p.kernel,
		stateDir: c.StateDir,
		started:  p.kernel.Boottime(),
	}
	// Without a boot id nothing remembered is believed, which delays and harms
	// nobody; the pass itself reports that it could not be read.
	r.bootID, _ = inspect.BootID(p.kernel)
	if c.Command != "reap" {
		return r
	}
	live := !c.DryRun
	r.keep = live || c.OnCommandLine("state-dir")
	if live || c.OnCommandLine("textfile") {
		r.textfile = c.Textfile
	}
	return r
}

// load reads what earlier runs left. A state that cannot be read costs a log line
// and some patience.
func (r *record) load(log *slog.Logger) state.State {
	kept, err := state.Load(r.stateDir, r.bootID, r.kernel.Now(), r.kernel.Boottime())
	if err != nil {
		log.Warn("load the state", "error", err)
	}
	r.before = maps.Clone(kept.Memory)
	return kept
}

// signalled puts a signal on record at once: whoever kills this run while it
// waits loses nothing by it. What cannot be written now is told at the end.
func (r *record) signalled(log *slog.Logger) func(judge.Memory, string, inspect.ProcID, string) {
	return func(m judge.Memory, instance string, id inspect.ProcID, signal string) {
		change := func(s *state.State) { s.Signalled(r.started, m, instance, id, signal) }
		if _, err := state.Update(r.stateDir, r.bootID, r.kernel.Now(), r.kernel.Boottime(), change); err != nil {
			log.Debug("put a signal on record", "error", err)
		}
	}
}

// write stores what this run leaves behind. The reaping is over by now, and
// whatever fails here changes nothing about it.
func (r *record) write(report judge.Report, memory judge.Memory, f *faults) {
	if !r.keep && r.textfile == "" {
		return
	}
	now, boottime := r.kernel.Now(), r.kernel.Boottime()
	ended := state.Ended{
		Report: report, Began: r.started, Before: r.before, After: memory,
		Failed: f.failed(), Alone: r.alone, Time: now, Duration: boottime - r.started,
	}
	change := func(s *state.State) { s.Add(ended) }
	var kept state.State
	var err error
	if r.keep {
		kept, err = state.Update(r.stateDir, r.bootID, now, boottime, change)
	} else {
		kept, err = state.Load(r.stateDir, r.bootID, now, boottime)
		change(&kept)
	}
	switch {
	case errors.Is(err, state.ErrReset):
		f.log.Warn("update the state", "error", err)
	case err != nil && r.keep:
		f.add(ExitFailed, "update the state", "error", err)
	case err != nil:
		f.log.Warn("load the state", "error", err)
	}
	if kept.Forgotten > 0 {
		f.log.Warn("state is full: first-seen times and counters of strangers are forgotten first", "entries", kept.Forgotten)
	}
	if r.textfile == "" {
		return
	}
	input := metrics.Input{
		Report: report, Counters: kept.Counters,
		Run: kept.LastRun, Success: kept.LastSuccess, Duration: kept.LastDuration,
	}
	if err := metrics.WriteTextfile(r.textfile, input); err != nil {
		f.add(ExitFailed, "write the metrics", "error", err)
	}
}
