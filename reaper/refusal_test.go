package reaper_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// TestRefusals has a row for each reason to leave an instance alone: in each,
// two processes are due, nobody is signalled, and the report says why.
func TestRefusals(t *testing.T) {
	fail := func(w *fakehost.World, call, about string, err error) {
		w.Before = func(_ int, c, a string) error {
			if c == call && a == about {
				return err
			}
			return nil
		}
	}
	seen := map[judge.Reason]bool{}
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World, s *fakehost.Service)
		want   judge.Reason
		detail string
	}{
		{"no worker is ready", func(w *fakehost.World, s *fakehost.Service) {
			for _, pid := range []int{101, 102, 103} {
				s.Worker(pid, ticks(time.Duration(150-pid)*time.Minute), nil).Masks = fakehost.StartingMasks
			}
		}, judge.ReasonNoActive, "ready"},
		{"the youngest does not listen", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 4, 0))
		}, judge.ReasonNotListening, "103"},
		{"the youngest listens on UDP only", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.DatagramListener(443))
		}, judge.ReasonNoStreamListener, "UDP"},
		{"the youngest is stopped", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443)).State = 'T'
		}, judge.ReasonActiveStopped, "103"},
		{"a new worker is starting", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(time.Second), []int{103}).Masks = fakehost.ReloadingMasks
		}, judge.ReasonStarting, "104"},
		{"the master is in the middle of a reload", func(w *fakehost.World, s *fakehost.Service) {
			s.Master.Masks = fakehost.ReloadingMasks
		}, judge.ReasonReloading, "100"},
		{"an older worker is paused", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Paused(443))
		}, judge.ReasonPaused, "443"},
		{"a stray is in the unit", func(w *fakehost.World, s *fakehost.Service) {
			w.Start(fakehost.Proc{PID: 104, PPID: 1, Ticks: ticks(time.Minute), Masks: fakehost.StartingMasks, Args: []string{"haproxy", "-c"}, Cgroup: s.Cgroup})
		}, judge.ReasonStray, "104"},
		{"two generations started in one tick", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(102, ticks(10*time.Minute), []int{101}, fakehost.Client(443, 3, 0))
		}, judge.ReasonTie, "102"},
		{"the descriptors of an old worker may not be read", func(w *fakehost.World, s *fakehost.Service) {
			w.Before = func(_ int, call, about string) error {
				if call == "PidfdGetfd" || about == "/proc/101/fd/0" {
					return unix.EPERM
				}
				return nil
			}
		}, judge.ReasonUnreadable, "operation not permitted"},
		{"pidfd_getfd is refused, and a socket of an old worker stands in no table", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Reset(443))
			fail(w, "PidfdGetfd", "3", unix.EPERM)
		}, judge.ReasonUnclassified, "none of the kernel's tables"},
		{"a member's signal masks cannot be read", func(w *fakehost.World, s *fakehost.Service) {
			fail(w, "ReadFile", "/proc/102/status", unix.EIO)
		}, judge.ReasonUnreadable, "102"},
		{"an executable cannot be told from HAProxy's for want of memory", func(w *fakehost.World, s *fakehost.Service) {
			w.Start(fakehost.Proc{PID: 900, PPID: 1, Ticks: ticks(time.Minute)})
			w.Before = func(_ int, _, about string) error {
				if about == "/proc/900/exe" || about == "/proc/900/comm" {
					return unix.ENOMEM
				}
				return nil
			}
		}, judge.ReasonUnreadable, "cannot allocate memory"},
		{"an old worker has a socket of no known kind", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Socket{Family: unix.AF_VSOCK, Type: unix.SOCK_STREAM, Inode: 5})
		}, judge.ReasonUnclassified, "address family 40"},
		{"a thread of an old worker has descriptors of its own", func(w *fakehost.World, s *fakehost.Service) {
			p := s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0))
			p.Threads, p.Apart = 2, []fakehost.Socket{fakehost.Listen(443)}
		}, judge.ReasonApart, "thread 1000101 of process 101"},
		{"without kcmp, too", func(w *fakehost.World, s *fakehost.Service) {
			p := s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0))
			p.Threads, p.Apart = 2, []fakehost.Socket{fakehost.Listen(443)}
			w.Before = func(_ int, call, _ string) error {
				if call == "SameDescriptors" {
					return unix.ENOSYS
				}
				return nil
			}
		}, judge.ReasonApart, "thread 1000101 of process 101"},
		{"a duplicate would change an old worker's sockets, in another network namespace", func(w *fakehost.World, s *fakehost.Service) {
			for _, p := range []*fakehost.Proc{
				s.Master, s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)), s.Worker(102, ticks(30*time.Minute), []int{101}),
				s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Listen(443)),
			} {
				p.NetNS, p.SocketClass = 77, "/docker/7"
			}
		}, judge.ReasonUnreadable, "change the class"},
		{"an old worker lives in another network namespace", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil).NetNS = 77
		}, judge.ReasonNamespace, "101"},
		{"the master lives in another PID namespace than its workers", func(w *fakehost.World, s *fakehost.Service) {
			s.Master.PIDNS = 77
		}, judge.ReasonNamespace, "100"},
		{"the master CLI says that an old worker is not stopping", func(w *fakehost.World, s *fakehost.Service) {
			s.Answer(map[int]bool{101: true, 102: false, 103: false})
		}, judge.ReasonWitness, "102 is not stopping"},
		{"the master CLI says that one of two active siblings is stopping", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(104, ticks(10*time.Minute)+100, []int{102, 101}, fakehost.Listen(81))
			s.Answer(map[int]bool{101: true, 102: true, 103: true, 104: false})
		}, judge.ReasonWitness, "103 is stopping"},
		{"the whole service drains", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 4, 0))
			s.Answer(map[int]bool{101: true, 102: true, 103: true})
		}, judge.ReasonDraining, "103"},
		{"the whole service drains, and accepts for its grace", func(w *fakehost.World, s *fakehost.Service) {
			s.Answer(map[int]bool{101: true, 102: true, 103: true})
		}, judge.ReasonDraining, "103"},
		{"there are more processes than a pass looks at", func(w *fakehost.World, s *fakehost.Service) {
			for pid := 1000; pid < 2000; pid++ {
				s.Worker(pid, ticks(40*time.Minute)+uint64(pid), nil)
			}
		}, judge.ReasonTooMany, "1004"},
		{"an old worker may not be signalled", func(w *fakehost.World, s *fakehost.Service) {
			s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).Forbidden = true
		}, judge.ReasonPrivilege, "process 101"},
		{"the active is another one at every look", func(w *fakehost.World, s *fakehost.Service) {
			next := 104
			w.Before = func(_ int, call, _ string) error {
				if call == "Sleep" {
					s.Worker(next, uint64(w.Boottime()/(10*time.Millisecond)), []int{101, 102}, fakehost.Listen(443))
					w.Exit(next - 1)
					next++
				}
				return nil
			}
		}, judge.ReasonChanged, "changed"},
	} {
		seen[tt.want] = true
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			tt.change(w, s)
			p := pass(t, w)
			r := run(t, p)
			in := r.Instances[0]
			if in.Refusal != tt.want {
				t.Errorf("refusal is %q (%s), want %q", in.Refusal, in.RefusalDetail, tt.want)
			}
			if !strings.Contains(in.RefusalDetail, tt.detail) {
				t.Errorf("detail is %q, want it to name %q", in.RefusalDetail, tt.detail)
			}
			if got := signalled(w); len(got) != 0 {
				t.Errorf("signalled %v", got)
			}
			for _, q := range in.Processes {
				if q.Verdict == judge.VerdictTerminate {
					t.Errorf("verdict on %d (%s) is terminate", q.PID, q.Role)
				}
			}
		})
	}
	for _, reason := range judge.Refusals {
		if !seen[reason] {
			t.Errorf("no row for the refusal %q", reason)
		}
	}
}

func TestAnUnclearPictureMayClearUntilItHasSettled(t *testing.T) {
	w, s := reloaded()
	s.Worker(104, ticks(time.Second), []int{103}).Masks = fakehost.ReloadingMasks
	looks := 0
	w.Before = func(_ int, call, _ string) error {
		if call == "Sleep" {
			if looks++; looks == 20 {
				s.Worker(104, ticks(time.Second), []int{103, 102, 101}, fakehost.Listen(443))
				s.Worker(103, ticks(10*time.Minute), []int{102, 101}, fakehost.Client(443, 8, 0))
			}
		}
		return nil
	}
	p := pass(t, w)
	r := run(t, p)
	if got := r.Instances[0].Refusal; got != "" {
		t.Errorf("refused: %s", got)
	}
	// 103 became residual within the pass, after what was approved of at its start.
	want := []string{"101 terminated", "102 terminated"}
	if got := signalled(w); !equal(got, want) {
		t.Errorf("signalled %v, want %v", got, want)
	}
}

func TestAHostThatCannotBeListedIsAnError(t *testing.T) {
	w, _ := reloaded()
	w.Before = func(_ int, call, _ string) error {
		if call == "Pids" {
			return unix.EMFILE
		}
		return nil
	}
	r, err := pass(t, w).Run(t.Context())
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("error is %v, want EMFILE", err)
	}
	if len(r.Errors) == 0 || len(r.Instances) != 0 {
		t.Errorf("report has errors %v and %d instances", r.Errors, len(r.Instances))
	}
}
