package reaper_test

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func equal(got, want []string) bool { return slices.Equal(got, want) }

func TestAPassTerminatesWhatIsDueAndNothingElse(t *testing.T) {
	w, _ := reloaded()
	p := pass(t, w)
	p.Policy.Deadline = 20 * time.Minute
	r := run(t, p)
	if got, want := signalled(w), []string{"101 terminated"}; !equal(got, want) {
		t.Errorf("signalled %v, want %v", got, want)
	}
	if got := process(t, r, 101); got.Outcome != judge.OutcomeTerminated || !equal(got.Signals, []string{"SIGTERM"}) {
		t.Errorf("outcome %q after %v", got.Outcome, got.Signals)
	}
	if got := process(t, r, 102); got.Verdict != judge.VerdictWait || got.Outcome != "" {
		t.Errorf("the one within its deadline: %q, %q", got.Verdict, got.Outcome)
	}
	want := judge.Summary{Active: 1, Residual: 1, Terminated: 1}
	if diff := cmp.Diff(want, r.Summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestADryRunPlansTheSameAndSignalsNobody(t *testing.T) {
	live, _ := reloaded()
	dry, _ := reloaded()
	liveReport := run(t, pass(t, live))
	p := pass(t, dry)
	p.Terminator = reaper.DryRun{}
	dryReport := run(t, p)
	for _, pid := range []int{100, 101, 102, 103} {
		a, b := process(t, liveReport, pid), process(t, dryReport, pid)
		if a.Verdict != b.Verdict || a.Reason != b.Reason {
			t.Errorf("%d: live %s/%s, dry %s/%s", pid, a.Verdict, a.Reason, b.Verdict, b.Reason)
		}
	}
	if got := process(t, dryReport, 101).Outcome; got != judge.OutcomeDryRun {
		t.Errorf("outcome %q", got)
	}
	if got := signalled(dry); len(got) != 0 {
		t.Errorf("the dry run signalled %v", got)
	}
	if got := signalled(live); !equal(got, []string{"101 terminated", "102 terminated"}) {
		t.Errorf("the live run signalled %v", got)
	}
}

func TestTheSecondLookMustBearOutTheFirst(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World, s *fakehost.Service)
		want   []string
		of101  string // its outcome, or else why it has none
	}{
		{"one that has left between the looks is not signalled", func(w *fakehost.World, s *fakehost.Service) { w.Exit(101) }, []string{"102 terminated"}, "vanished"},
		{"nor is whoever has its pid by then", func(w *fakehost.World, s *fakehost.Service) {
			w.Exit(101)
			w.Start(fakehost.Proc{PID: 101, PPID: 1, Ticks: ticks(0), Exe: "/usr/sbin/sshd", Comm: "sshd", Args: []string{"sshd"}})
		}, []string{"102 terminated"}, "vanished"},
		{"nor a new worker of that pid", func(w *fakehost.World, s *fakehost.Service) {
			w.Exit(101)
			s.Worker(101, ticks(0), []int{102, 103}, fakehost.Listen(443))
		}, []string{"102 terminated"}, "is not in the report"},
		{"nor is one that nothing ties to the instance any more", func(w *fakehost.World, s *fakehost.Service) {
			p := s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute))
			w.Change(func() { p.PPID, p.PIDNS, p.Args = 1, 7, []string{"haproxy", "-f", "/other.cfg"} })
		}, []string{"102 terminated"}, "refuse changed"},
		{"one that listens again is not signalled", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(443))
		}, []string{"102 terminated"}, "keep stranded"},
		{"nobody is when the active has stopped listening", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101})
		}, []string{}, "refuse not_listening"},
		{"nobody is when the master has begun a reload", func(w *fakehost.World, s *fakehost.Service) {
			w.Change(func() { s.Master.Masks = fakehost.ReloadingMasks })
		}, []string{}, "refuse reloading"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			done := false
			w.Before = func(_ int, call, about string) error {
				if call == "Sleep" && about == "1s" && !done {
					done = true
					tt.change(w, s)
				}
				return nil
			}
			r := run(t, pass(t, w))
			if got := signalled(w); !equal(got, tt.want) {
				t.Errorf("signalled %v, want %v", got, tt.want)
			}
			p := r.Instances[0].Find(inspect.ProcID{PID: 101, StartTicks: ticks(49 * time.Minute)})
			got := "is not in the report"
			if p != nil && p.Outcome != "" {
				got = string(p.Outcome)
			} else if p != nil {
				got = fmt.Sprintf("%s %s", p.Verdict, p.Reason)
			}
			if got != tt.of101 {
				t.Errorf("process 101: %s, want %s", got, tt.of101)
			}
		})
	}
}

// A daemon amid a storm of checks has its signals blocked for moments, and a
// look that catches all of a lineage so finds no lineage.
func TestAnInstanceOutOfSightForOneLookIsLookedAtAgain(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	both := []*fakehost.Proc{
		fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 101, ticks(40*time.Minute), nil, fakehost.Client(443, 1, 0)),
		fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 102, ticks(10*time.Minute), []int{101}, fakehost.Listen(443)),
	}
	looks := 0
	w.Before = func(_ int, call, about string) error {
		if call != "Sleep" || about != "1s" && looks == 0 {
			return nil
		}
		masks := fakehost.WorkerMasks
		if looks++; looks == 1 {
			masks = fakehost.ReloadingMasks
		}
		w.Change(func() { both[0].Masks, both[1].Masks = masks, masks })
		return nil
	}
	r := run(t, pass(t, w))
	if got, want := signalled(w), []string{"101 terminated"}; !equal(got, want) {
		t.Errorf("signalled %v, want %v", got, want)
	}
	if got := process(t, r, 101).Outcome; got != judge.OutcomeTerminated {
		t.Errorf("outcome %q", got)
	}
}

func TestTheActiveIsConfirmedAgainBeforeEachSignal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World, s *fakehost.Service)
	}{
		{"it has died", func(w *fakehost.World, _ *fakehost.Service) { w.Exit(103) }},
		{"it no longer listens", func(w *fakehost.World, s *fakehost.Service) { s.Worker(103, ticks(10*time.Minute), []int{102, 101}) }},
		{"its master has begun a reload", func(w *fakehost.World, s *fakehost.Service) {
			w.Change(func() { s.Master.Masks = fakehost.ReloadingMasks })
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			w.Before = func(_ int, call, about string) error {
				if call == "PidfdSendSignal" && about != noSignal && len(w.Signals()) == 0 {
					defer tt.change(w, s)
				}
				return nil
			}
			r := run(t, pass(t, w))
			if got := signalled(w); !equal(got, []string{"101 terminated"}) {
				t.Errorf("signalled %v, want only the first", got)
			}
			if got := process(t, r, 102); got.Verdict != judge.VerdictRefuse {
				t.Errorf("verdict on the second is %q", got.Verdict)
			}
			if got := process(t, r, 101); got.Outcome != judge.OutcomeTerminated {
				t.Errorf("outcome of the first is %q", got.Outcome)
			}
		})
	}
}

// A search for a listener ends before listeners that stand above many connections: there the
// active is looked at in full, also before each signal.
func TestTheActiveIsConfirmedThoughItsListenersStandAboveItsConnections(t *testing.T) {
	w, s := reloaded()
	var sockets []fakehost.Socket
	for n := range 1100 {
		sockets = append(sockets, fakehost.Client(443, 100+n, 0))
	}
	s.Worker(103, ticks(10*time.Minute), []int{102, 101}, append(sockets, fakehost.Listen(443))...)
	r := run(t, pass(t, w))
	if got := signalled(w); !equal(got, []string{"101 terminated", "102 terminated"}) {
		t.Errorf("signalled %v; refused for %q", got, r.Instances[0].Refusal)
	}
}

func TestAWedgedProcess(t *testing.T) {
	wedged := func() (*fakehost.World, *fakehost.Service) {
		w, s := reloaded()
		s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).Ignores = []syscall.Signal{syscall.SIGTERM}
		return w, s
	}
	t.Run("survives when it may not be killed", func(t *testing.T) {
		w, _ := wedged()
		r := run(t, pass(t, w))
		if got := process(t, r, 101).Outcome; got != judge.OutcomeSurvived {
			t.Errorf("outcome %q", got)
		}
		if got := process(t, r, 102).Outcome; got != judge.OutcomeTerminated {
			t.Errorf("outcome of its sibling %q", got)
		}
	})
	t.Run("is killed after the time given, and only after a SIGTERM", func(t *testing.T) {
		w, _ := wedged()
		p := pass(t, w)
		p.Timing.KillAfter = 3 * time.Second
		r := run(t, p)
		got := process(t, r, 101)
		if got.Outcome != judge.OutcomeKilled || !equal(got.Signals, []string{"SIGTERM", "SIGKILL"}) {
			t.Errorf("outcome %q after %v", got.Outcome, got.Signals)
		}
		if want := []string{"101 terminated", "102 terminated", "101 killed"}; !equal(signalled(w), want) {
			t.Errorf("signalled %v, want %v", signalled(w), want)
		}
	})
	t.Run("is killed though no other process is of its instance but the active", func(t *testing.T) {
		w := fakehost.New()
		ordinary(w)
		fakehost.Daemon(w, "/etc/d.cfg", 201, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0)).Ignores = []syscall.Signal{syscall.SIGTERM}
		fakehost.Daemon(w, "/etc/d.cfg", 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
		p := pass(t, w)
		p.Timing.KillAfter = 3 * time.Second
		if got := process(t, run(t, p), 201); got.Outcome != judge.OutcomeKilled || !equal(got.Signals, []string{"SIGTERM", "SIGKILL"}) {
			t.Errorf("outcome %q after %v", got.Outcome, got.Signals)
		}
	})
	t.Run("costs nobody time who is not wedged", func(t *testing.T) {
		w, _ := reloaded()
		p := pass(t, w)
		p.Timing.KillAfter = 3 * time.Second
		began := w.Boottime()
		run(t, p)
		if got := w.Boottime() - began; got != time.Second { // between two looks
			t.Errorf("it took %v", got)
		}
	})
	t.Run("is not killed when the checks no longer hold", func(t *testing.T) {
		w, s := wedged()
		w.Before = func(_ int, call, about string) error {
			if call == "PidfdSendSignal" && about != noSignal {
				defer func() { s.Worker(104, ticks(0), []int{103}).Masks = fakehost.ReloadingMasks }()
			}
			return nil
		}
		p := pass(t, w)
		p.Timing.KillAfter = 3 * time.Second
		r := run(t, p)
		if got := process(t, r, 101); got.Outcome != judge.OutcomeSurvived {
			t.Errorf("outcome %q", got.Outcome)
		}
		for _, s := range w.Signals() {
			if s.Signal == syscall.SIGKILL {
				t.Errorf("killed %v while a reload was in progress", s.ID)
			}
		}
	})
}

// Of a pass that runs out of time, what would leave has been signalled.
func TestAStuckProcessIsSignalledAfterTheOthersAndOutsideTheCap(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(s *fakehost.Service, p *reaper.Pass)
	}{
		{"stopped", func(s *fakehost.Service, _ *reaper.Pass) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).State = 'T'
		}},
		{"signalled by an earlier pass", func(s *fakehost.Service, p *reaper.Pass) {
			p.Memory, p.MemoryOwner = judge.Memory{inspect.ProcID{PID: 101, StartTicks: ticks(49 * time.Minute)}: {Signals: []string{"SIGTERM"}}}, new(uint32)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			p := pass(t, w)
			p.Policy.MaxTerminations = 1
			tt.make(s, p)
			r := run(t, p)
			if got, want := signalled(w), []string{"102 terminated", "101 terminated"}; !equal(got, want) {
				t.Errorf("signalled %v, want %v", got, want)
			}
			if got, want := process(t, r, 101).SignalledBefore, tt.name != "stopped"; got != want {
				t.Errorf("101 was signalled by an earlier pass: %v, want %v", got, want)
			}
		})
	}
}

func TestInstancesDoNotDelayOrInfluenceEachOther(t *testing.T) {
	w, _ := reloaded()
	other := fakehost.NewService(w, "edge", 500, ticks(50*time.Minute))
	other.Worker(501, ticks(49*time.Minute), nil, fakehost.Client(22, 1, 0))
	other.Worker(502, ticks(time.Minute), []int{501}) // younger than all, and not listening
	r := run(t, pass(t, w))
	if want := []string{"101 terminated", "102 terminated"}; !equal(signalled(w), want) {
		t.Errorf("signalled %v, want %v", signalled(w), want)
	}
	if got := process(t, r, 501).Reason; got != judge.ReasonNotListening {
		t.Errorf("reason for the other's residual is %q", got)
	}
}

func TestOnlyTheNamedInstancesAreActedOn(t *testing.T) {
	w, _ := reloaded()
	other := fakehost.NewService(w, "edge", 500, ticks(50*time.Minute))
	other.Worker(501, ticks(49*time.Minute), nil, fakehost.Client(22, 1, 0))
	other.Worker(502, ticks(time.Minute), []int{501}, fakehost.Listen(22))
	p := pass(t, w)
	p.Policy.Instances = []string{"edge.service"}
	r := run(t, p)
	if want := []string{"501 terminated"}; !equal(signalled(w), want) {
		t.Errorf("signalled %v, want %v", signalled(w), want)
	}
	if len(r.Instances) != 1 {
		t.Errorf("%d instances reported", len(r.Instances))
	}
}

func TestALookAtOneInstanceForgetsNoOther(t *testing.T) {
	w, _ := reloaded()
	p := pass(t, w)
	p.Policy = judge.Policy{Instances: []string{"edge.service"}, Deadline: time.Hour}
	run(t, p)
	if len(p.Memory) != 2 {
		t.Errorf("after a look at one instance it remembers of the other %v, want its two residual processes", p.Memory)
	}
}

func TestWhatWasNotShownIsNotSignalled(t *testing.T) {
	for _, reads := range []time.Duration{0, 10 * time.Minute} {
		t.Run(fmt.Sprintf("the operator reads for %v", reads), func(t *testing.T) {
			w, s := reloaded()
			p := pass(t, w)
			p.Approve = func(r judge.Report) (bool, error) {
				// While the operator reads, a reload makes 103 residual too.
				s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 7, 0))
				s.Worker(104, ticks(0), []int{103, 102, 101}, fakehost.Listen(443))
				w.Pass(reads)
				return true, nil
			}
			run(t, p)
			if want := []string{"101 terminated", "102 terminated"}; !equal(signalled(w), want) {
				t.Errorf("signalled %v, want %v", signalled(w), want)
			}
		})
	}

	t.Run("and nothing is when the answer is no", func(t *testing.T) {
		w, _ := reloaded()
		p := pass(t, w)
		p.Approve = func(judge.Report) (bool, error) { return false, nil }
		r := run(t, p)
		if got := process(t, r, 101); got.Verdict != judge.VerdictWait || got.Reason != judge.ReasonDeclined || len(w.Signals()) != 0 {
			t.Errorf("%s/%s, %d signals", got.Verdict, got.Reason, len(w.Signals()))
		}
	})
	t.Run("and nobody is asked when nothing is due", func(t *testing.T) {
		w, _ := reloaded()
		p := pass(t, w)
		p.Policy.Deadline = time.Hour
		p.Approve = func(judge.Report) (bool, error) { t.Error("asked"); return true, nil }
		run(t, p)
	})
}

// A client was idle when the operator was asked, and is not any more when the answer
// comes. What the policy spares is spared at the signal.
func TestAClientThatMovesWhileTheOperatorReadsIsNotIdle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		policy judge.Policy
	}{
		{"--idle-after", judge.Policy{Deadline: 24 * time.Hour, IdleAfter: 15 * time.Minute}},
		{"--hard-deadline", judge.Policy{Deadline: time.Minute, HardDeadline: 24 * time.Hour, ActiveWithin: 15 * time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
			old := s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 20*time.Minute))
			s.Worker(103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443))
			p := pass(t, w)
			p.Policy = tt.policy
			asked := false
			p.Approve = func(judge.Report) (bool, error) {
				asked = true
				w.Pass(10 * time.Minute)
				w.Change(func() { old.Sockets[0].IdleMillisecond = 10 })
				return true, nil
			}
			r := run(t, p)
			if got := process(t, r, 101); !asked || got.Verdict != judge.VerdictWait || len(signalled(w)) != 0 {
				t.Errorf("asked %v, %s/%s, signalled %v", asked, got.Verdict, got.Reason, signalled(w))
			}
		})
	}
}

func TestAnInterruptedPassSignalsNobodyMore(t *testing.T) {
	w, _ := reloaded()
	ctx, cancel := context.WithCancel(t.Context())
	w.Before = func(_ int, call, about string) error {
		if call == "PidfdSendSignal" && about != noSignal {
			cancel()
		}
		return nil
	}
	r, err := pass(t, w).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"101 terminated"}; !equal(signalled(w), want) {
		t.Errorf("signalled %v, want %v", signalled(w), want)
	}
	if got := process(t, r, 102); got.Reason != judge.ReasonInterrupted {
		t.Errorf("the other one: %s/%s", got.Verdict, got.Reason)
	}
}

func TestFailuresToSignal(t *testing.T) {
	failing := func(err error) judge.Report {
		w, _ := reloaded()
		w.Before = func(_ int, call, about string) error {
			if call == "PidfdSendSignal" && about != noSignal {
				return err
			}
			return nil
		}
		return run(t, pass(t, w))
	}
	if got := process(t, failing(unix.EPERM), 101); got.Outcome != judge.OutcomeFailed || got.Error == "" {
		t.Errorf("EPERM: outcome %q, error %q", got.Outcome, got.Error)
	}
	if got := process(t, failing(unix.ESRCH), 101); got.Outcome != judge.OutcomeVanished {
		t.Errorf("ESRCH: outcome %q", got.Outcome)
	}
}

func TestWithoutPidfdsItObserves(t *testing.T) {
	w, _ := reloaded()
	w.Before = func(_ int, call, _ string) error {
		if call == "PidfdOpen" {
			return unix.ENOSYS
		}
		return nil
	}
	r := run(t, pass(t, w))
	if r.CanSignal || len(w.Signals()) != 0 {
		t.Errorf("can signal: %v, signals %v", r.CanSignal, w.Signals())
	}
	if got := process(t, r, 101); got.Verdict != judge.VerdictRefuse {
		t.Errorf("verdict %q", got.Verdict)
	}
}

func TestThePidfdIsOpenedBeforeTheFirstFactAndPolledAfterTheLast(t *testing.T) {
	w, _ := reloaded()
	var of101 []string
	w.Before = func(_ int, call, about string) error {
		switch {
		case call == "PidfdOpen" && about == "101":
			of101 = append(of101, "open")
		case about == "/proc/101/stat", about == "/proc/101/ns/net":
			of101 = append(of101, "fact")
		case call == "Poll":
			of101 = append(of101, "poll")
		}
		return nil
	}
	host := inspect.NewHost(w, []string{"haproxy"})
	defer host.Close()
	if _, err := host.Observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := slices.Index(of101, "open")
	if first < 0 || slices.Index(of101, "fact") < first {
		t.Errorf("order of calls: %v", of101)
	}
	last := len(of101) - 1 - slices.Index(reversed(of101), "fact")
	if last+1 >= len(of101) || of101[last+1] != "poll" {
		t.Errorf("no poll follows the last fact: %v", of101)
	}
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// TestAnyErrorAtAnyCallIsHarmless puts each errno behind each call of a whole
// pass, one at a time: it may end in nothing, in a refusal or in the right
// signals, never in another signal, a panic or a leaked descriptor.
func TestAnyErrorAtAnyCallIsHarmless(t *testing.T) {
	w, s := reloaded()
	s.Answer(map[int]bool{101: true, 102: true, 103: false})
	run(t, pass(t, w))
	calls := w.Calls()
	for _, errno := range []unix.Errno{unix.EACCES, unix.EPERM, unix.ENOENT, unix.ESRCH, unix.EINTR, unix.EMFILE, unix.ENOMEM, unix.EIO, unix.ENOBUFS, unix.ENOSYS} {
		for k := range calls {
			w, s := reloaded()
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
			var failed string
			w.Before = func(n int, call, about string) error {
				if n == k && call != "Close" && call != "Sleep" {
					failed = call + " " + about
					return errno
				}
				return nil
			}
			_, err := pass(t, w).Run(t.Context())
			if err != nil && len(w.Signals()) > 0 {
				t.Errorf("%v at call %d (%s): signalled and then failed: %v", errno, k, failed, err)
			}
			for _, sent := range w.Signals() {
				if sent.ID.PID != 101 && sent.ID.PID != 102 {
					t.Errorf("%v at call %d (%s): signalled %v", errno, k, failed, sent)
				}
			}
		}
	}
	if calls < 100 {
		t.Errorf("the pass made %d calls only", calls)
	}
}
