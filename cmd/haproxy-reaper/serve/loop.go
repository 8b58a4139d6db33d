package serve

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/metrics"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// serving is what serve knows: the last pass, and whether passes go on.
type serving struct {
	options Options
	log     *slog.Logger

	input atomic.Pointer[metrics.Input] // of the last pass, or of earlier runs
	first chan struct{}                 // closed when the first pass has ended
	once  sync.Once
	alive atomic.Int64 // when a pass last got on, in nanoseconds since began
	began time.Time
}

func newServing(o Options) *serving {
	s := &serving{options: o, log: o.Log, first: make(chan struct{}), began: time.Now()}
	s.input.Store(&metrics.Input{})
	s.load(judge.Report{})
	return s
}

// loop runs passes until the context ends, never two at once. The first comes at
// once, the second after a part of the interval that differs from host to host,
// so that a fleet that was restarted in one second does not work in step.
func (s *serving) loop(ctx context.Context, after func()) {
	pause := time.Duration(rand.Int64N(int64(s.options.Interval)) + 1)
	for ctx.Err() == nil {
		started := time.Now()
		s.pass(ctx)
		s.once.Do(func() { close(s.first) })
		after()
		next := time.NewTimer(max(pause-time.Since(started), s.options.Interval/10))
		select {
		case <-ctx.Done():
			next.Stop()
		case <-next.C:
		}
		pause = s.options.Interval
	}
}

// pass runs one pass and takes up what it tells.
func (s *serving) pass(ctx context.Context) {
	report, err := s.runChild(ctx)
	switch {
	case errors.Is(err, state.ErrLocked):
		s.log.Info("no pass now", "error", err)
		s.stepped() // somebody else's goes on
		s.load(s.input.Load().Report)
	case err != nil && ctx.Err() != nil:
		s.log.Info("a pass was interrupted", "error", err)
	case err != nil:
		s.log.Error("a pass failed", "error", err)
		s.countFailure()
		s.load(s.input.Load().Report)
	default:
		s.stepped()
		s.load(*report)
	}
}

// load lays the counters of the state beside a report. The state has everything
// that outlives a process: ours, and that of a pass.
func (s *serving) load(report judge.Report) {
	o := &s.options
	kept, err := state.Load(o.StateDir, o.BootID, o.Clock.Now(), o.Clock.Boottime())
	if err != nil {
		s.log.Warn("load the state", "error", err)
		last := *s.input.Load()
		last.Report = report
		s.input.Store(&last)
		return
	}
	s.input.Store(&metrics.Input{
		Report: report, Counters: kept.Counters,
		Run: kept.LastRun, Success: kept.LastSuccess, Duration: kept.LastDuration,
	})
}

// countFailure counts a pass that died before it could count itself.
func (s *serving) countFailure() {
	o := &s.options
	now := o.Clock.Now()
	if _, err := state.Update(o.StateDir, o.BootID, now, o.Clock.Boottime(), func(s *state.State) { s.AddDied(now) }); err != nil {
		s.log.Warn("update the state", "error", err)
	}
}

// stepped says that a pass got on.
func (s *serving) stepped() { s.alive.Store(int64(time.Since(s.began))) }

// leastPatience is how long passes may stand still whatever the interval: a busy
// machine may not give a child its turn for so long.
const leastPatience = 3 * time.Second

// isHealthy tells whether a pass has ended or got on within three intervals.
func (s *serving) isHealthy() bool {
	return time.Since(s.began)-time.Duration(s.alive.Load()) <= max(3*s.options.Interval, leastPatience)
}

// isReady tells whether the first pass has ended.
func (s *serving) isReady() bool {
	select {
	case <-s.first:
		return true
	default:
		return false
	}
}
