package reaper_test

import (
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// To read /proc/PID/cmdline waits for whoever holds the lock of that memory map.
func TestALookThatTheKernelHoldsUpEndsWithThePass(t *testing.T) {
	for _, tt := range []struct {
		name string
		held int // which reading of the active's arguments
		want []string
	}{
		{"the first look", 1, []string{}},
		{"the second look", 2, []string{}},
		{"the last word on the active before a signal", 3, []string{}},
		{"the same before another signal", 4, []string{"101 terminated"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := reloaded()
				ended := make(chan struct{})
				var readings atomic.Int64
				w.Before = func(_ int, _, about string) error {
					if about == "/proc/103/cmdline" {
						if readings.Add(1) == int64(tt.held) {
							<-ended
						}
					}
					return nil
				}
				p := pass(t, w)
				began := time.Now()
				r, err := p.Run(t.Context())
				if took := time.Since(began); took < p.Timing.PassTimeout || took > p.Timing.PassTimeout+time.Second {
					t.Errorf("took %v of %v", took, p.Timing.PassTimeout)
				}
				if got := signalled(w); !equal(got, tt.want) {
					t.Errorf("signalled %v, want %v", got, tt.want)
				}
				if tt.held == 1 {
					if err == nil || len(r.Errors) == 0 {
						t.Errorf("error %v, reported %q", err, r.Errors)
					}
				} else if got := process(t, r, 102); err != nil || got.Verdict != judge.VerdictWait || got.Reason != judge.ReasonPassTimeout {
					t.Errorf("of 102: %s/%s, error %v", got.Verdict, got.Reason, err)
				}
				close(ended)
				synctest.Wait()
			})
		})
	}

	t.Run("the look before a SIGKILL", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, s := reloaded()
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).Ignores = []syscall.Signal{syscall.SIGTERM}
			ended := make(chan struct{})
			var held atomic.Bool
			w.Before = func(_ int, _, about string) error {
				if about == "/proc/103/cmdline" && len(w.Signals()) == 2 && held.CompareAndSwap(false, true) {
					<-ended
				}
				return nil
			}
			p := pass(t, w)
			p.Timing.KillAfter = time.Second
			began := time.Now()
			r := run(t, p)
			if took := time.Since(began); !held.Load() || took > p.Timing.PassTimeout+time.Second {
				t.Errorf("took %v of %v, held up: %v", took, p.Timing.PassTimeout, held.Load())
			}
			if got := process(t, r, 101).Outcome; got != judge.OutcomeSurvived {
				t.Errorf("outcome %q", got)
			}
			for _, s := range w.Signals() {
				if s.Signal == syscall.SIGKILL {
					t.Errorf("killed %v", s.ID)
				}
			}
			close(ended)
			synctest.Wait()
		})
	})
}

// A look that was left behind takes hold of nobody once the host was let go.
func TestALookThatWasLeftBehindOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := reloaded()
		ended := make(chan struct{})
		var held atomic.Bool
		w.Before = func(_ int, _, about string) error {
			if about == "/proc/100/cmdline" && held.CompareAndSwap(false, true) { // the first of four
				<-ended
			}
			return nil
		}
		p := pass(t, w)
		if _, err := p.Run(t.Context()); err == nil {
			t.Error("the pass did not fail")
		}
		p.Host.Close()
		close(ended)
		synctest.Wait()
		if n := w.Open(); n != 0 {
			t.Errorf("%d descriptors are open", n)
		}
	})
}
