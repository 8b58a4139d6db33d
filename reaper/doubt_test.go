package reaper_test

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// TestWhatMayBeOfSeveralInstancesStandsInTheWayOfEach: whose a process is may be
// open, by its looks or because it could not be read. Then nobody whose it may
// be is acted on.
func TestWhatMayBeOfSeveralInstancesStandsInTheWayOfEach(t *testing.T) {
	const config = "/etc/haproxy/haproxy.cfg"
	unreadable := func(w *fakehost.World, file string) {
		w.Before = func(_ int, _, about string) error {
			if about == file {
				return unix.EIO
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World)
		want   judge.Reason // for 201, told to leave by 202, in one lineage with it
	}{
		{"a root's process that starts, beside a stranger's daemon that looks the same", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 200, ticks(55*time.Minute), nil, fakehost.Listen(4443)).UID = 5001
			p := fakehost.Daemon(w, config, 203, ticks(0), nil)
			p.UID, p.Masks = 0, fakehost.StartingMasks
		}, judge.ReasonStarting},
		{"a root's process that starts, in one unit with a stranger's master", func(w *fakehost.World) {
			for _, p := range []*fakehost.Proc{
				w.Start(fakehost.Proc{PID: 200, PPID: 1, Ticks: ticks(55 * time.Minute), UID: 5001, Masks: fakehost.MasterMasks, Args: []string{"haproxy", "-W"}}),
				fakehost.Daemon(w, config, 201, ticks(50*time.Minute), nil),
				fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443)),
				fakehost.Daemon(w, config, 203, ticks(0), nil),
			} {
				p.Cgroup = "/system.slice/shared.service"
			}
			w.Start(fakehost.Proc{PID: 203, PPID: 1, Ticks: ticks(0), Masks: fakehost.StartingMasks, Args: []string{"haproxy", "-D", "-f", config}, Cgroup: "/system.slice/shared.service"})
		}, judge.ReasonStarting},
		{"one of root's that starts in the unit of a daemon, though its configuration is another", func(w *fakehost.World) {
			for _, p := range []*fakehost.Proc{
				fakehost.Daemon(w, config, 201, ticks(50*time.Minute), nil),
				fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443)),
			} {
				p.Cgroup = "/system.slice/daemon.service"
			}
			w.Start(fakehost.Proc{PID: 203, PPID: 1, Ticks: ticks(0), Masks: fakehost.StartingMasks, Args: []string{"haproxy", "-f", "/etc/other.cfg"}, Cgroup: "/system.slice/daemon.service"})
		}, judge.ReasonStray},
		{"a daemon whose arguments could not be read", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 203, ticks(0), []int{202}, fakehost.Paused(443))
			unreadable(w, "/proc/203/cmdline")
		}, judge.ReasonUnreadable},
		{"a stranger's daemon whose arguments could not be read", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 203, ticks(0), []int{202}, fakehost.Paused(443)).UID = 5001
			unreadable(w, "/proc/203/cmdline")
		}, ""},
		{"a worker of somebody's that could not be read, of the same user", func(w *fakehost.World) {
			s := fakehost.NewService(w, "other", 300, ticks(50*time.Minute))
			s.Worker(301, ticks(49*time.Minute), nil, fakehost.Listen(8080))
			unreadable(w, "/proc/301/cgroup")
		}, ""},
		{"one of root's that could not be read, though nobody else here is root's", func(w *fakehost.World) {
			fakehost.Daemon(w, "/etc/other.cfg", 203, ticks(0), nil).UID = 0
			unreadable(w, "/proc/203/cgroup")
		}, judge.ReasonUnreadable},
		{"one of the same user that could not be read, in a network namespace of its own", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 203, ticks(0), nil, fakehost.Listen(80)).NetNS = 4711
			unreadable(w, "/proc/203/cmdline")
		}, ""},
		{"nor could its cgroup be read, which it may share", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 203, ticks(0), nil, fakehost.Listen(80)).NetNS = 4711
			unreadable(w, "/proc/203/cgroup")
		}, judge.ReasonUnreadable},
		{"and one of root's in a PID namespace of its own", func(w *fakehost.World) {
			p := fakehost.Daemon(w, config, 203, ticks(0), nil, fakehost.Listen(80))
			p.UID, p.PIDNS = 0, 4712
			unreadable(w, "/proc/203/cmdline")
		}, ""},
		{"a stranger's daemon whose start and parent could not be read", func(w *fakehost.World) {
			fakehost.Daemon(w, config, 203, ticks(0), []int{202}).UID = 5001
			unreadable(w, "/proc/203/stat")
		}, judge.ReasonUnreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := fakehost.New()
			ordinary(w)
			fakehost.Daemon(w, config, 201, ticks(50*time.Minute), nil)
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
			tt.change(w)
			r := look(t, w)
			i := slices.IndexFunc(r.Instances, func(in judge.Instance) bool {
				return slices.ContainsFunc(in.Processes, func(p judge.Process) bool { return p.PID == 201 })
			})
			if got := r.Instances[i]; got.Refusal != tt.want {
				t.Errorf("refusal is %q (%s), want %q", got.Refusal, got.RefusalDetail, tt.want)
			}
		})
	}

	t.Run("a master's child whose arguments could not be read is no program", func(t *testing.T) {
		w, s := reloaded()
		s.Worker(104, ticks(0), []int{103}).Masks = fakehost.ReloadingMasks
		unreadable(w, "/proc/104/cmdline")
		if got := look(t, w).Instances[0].Refusal; got != judge.ReasonUnreadable {
			t.Errorf("refusal is %q", got)
		}
	})
	t.Run("a child of one whose signal masks could not be read may be a check", func(t *testing.T) {
		w, s := reloaded()
		fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
		fakehost.Daemon(w, config, 201, ticks(9*time.Minute), nil).PPID = 200
		s.Worker(200, ticks(45*time.Minute), nil, fakehost.Client(443, 9, 0))
		unreadable(w, "/proc/200/status")
		for _, in := range look(t, w).Instances {
			if in.Model != "" && in.Refusal != judge.ReasonUnreadable {
				t.Errorf("refusal of %s is %q", in.Name, in.Refusal)
			}
		}
	})
	t.Run("an old worker with a paused listener is paused, whatever else it has", func(t *testing.T) {
		w, s := reloaded()
		s.Worker(101, ticks(49*time.Minute), nil, fakehost.Paused(443), fakehost.UDP(40000))
		if got := look(t, w).Instances[0].Refusal; got != judge.ReasonPaused {
			t.Errorf("refusal is %q", got)
		}
	})
	t.Run("a ready one of another configuration is an instance beside it, in the same unit", func(t *testing.T) {
		w, s := reloaded()
		fakehost.Daemon(w, "/etc/haproxy/other.cfg", 201, ticks(5*time.Minute), nil, fakehost.Listen(8080)).Cgroup = s.Cgroup
		r := look(t, w)
		if len(r.Instances) != 2 || r.Instances[0].Refusal != "" || r.Instances[1].Processes[0].PID != 201 {
			t.Errorf("%d instances, with %v; the first is refused for %q", len(r.Instances), roles(r), r.Instances[0].Refusal)
		}
	})
	// 101 is the worker of a service that was started by hand, and 102, without a
	// master, is its look-alike in another session.
	byHand := func(t *testing.T, uid uint32) judge.Report {
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
		s.Cgroup = "/user.slice/user-0.slice/session-1.scope"
		s.Master.Cgroup = s.Cgroup
		s.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(443))
		p := s.Worker(102, ticks(5*time.Minute), nil, fakehost.Listen(8080))
		p.PPID, p.Session, p.UID, p.Cgroup = 1, 102, uid, "/user.slice/user-5001.slice/session-2.scope"
		return look(t, w)
	}
	t.Run("a stranger's look-alike of a service that was started by hand is none of its business", func(t *testing.T) {
		r := byHand(t, 5001)
		if len(r.Instances) != 2 || r.Instances[0].Refusal != "" || r.Instances[1].Processes[0].PID != 102 {
			t.Errorf("%d instances, with %v; the first is refused for %q", len(r.Instances), roles(r), r.Instances[0].Refusal)
		}
	})
	t.Run("nor is that of the user whom its workers run as, where it listens elsewhere", func(t *testing.T) {
		r := byHand(t, fakehost.UIDHAProxy)
		if len(r.Instances) != 2 || r.Instances[0].Refusal != "" || r.Instances[1].Processes[0].PID != 102 {
			t.Errorf("%d instances, with %v; the first is refused for %q", len(r.Instances), roles(r), r.Instances[0].Refusal)
		}
	})
	t.Run("a generation that started amid another ties", func(t *testing.T) {
		w, s := reloaded()
		s.Worker(104, ticks(10*time.Minute)+10, []int{103}, fakehost.Listen(443))
		s.Worker(105, ticks(10*time.Minute)+20, []int{102, 101}, fakehost.Listen(443))
		if got := look(t, w).Instances[0].Refusal; got != judge.ReasonTie {
			t.Errorf("refusal is %q", got)
		}
	})
}

// All of a lineage may be gone before its sockets were looked at.
func TestADaemonThatExitsDuringALookIsNoLongerThere(t *testing.T) {
	w, _ := reloaded()
	fakehost.Daemon(w, "/etc/haproxy/other.cfg", 201, ticks(time.Minute), nil, fakehost.Listen(8080))
	w.Before = func(_ int, call, about string) error {
		if call == "OpenDescriptors" && about == "201" {
			w.Exit(201)
		}
		return nil
	}
	r := look(t, w)
	if _, there := roles(r)[201]; there || len(r.Instances) != 1 {
		t.Errorf("%d instances, with %v", len(r.Instances), roles(r))
	}
}

// A check runs on from a fork, and leads no session. Amid the closing of its
// descriptors it may still hold a client's connection, and its daemon may be gone.
// It is no old daemon, which leads its session (-D), or has executed its program
// itself (-db).
func TestAnOrphanedCheckIsNoOldDaemon(t *testing.T) {
	const config = "/etc/haproxy/haproxy.cfg"
	for _, tt := range []struct {
		name    string
		session int
		forked  bool
		want    []string
	}{
		{"a daemon", 201, true, []string{"201 terminated"}},
		{"one in the foreground, under a supervisor", 77, false, []string{"201 terminated"}},
		{"an orphaned check", 200, true, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			fakehost.Daemon(w, config, 202, ticks(10*time.Minute), []int{200}, fakehost.Listen(443))
			p := fakehost.Daemon(w, config, 201, ticks(30*time.Minute), nil, fakehost.Client(443, 1, time.Minute))
			w.Change(func() { p.Session, p.Forked = tt.session, tt.forked })
			run(t, pass(t, w))
			if got := signalled(w); !equal(got, tt.want) {
				t.Errorf("signalled %v, want %v", got, tt.want)
			}
		})
	}
}
