package reaper_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// asShipped is a live pass as the unit runs it: by the workers' user, without the right
// to signal others.
func asShipped(t *testing.T, k inspect.Kernel) *reaper.Pass {
	t.Helper()
	host := inspect.NewHost(k, []string{"haproxy"})
	t.Cleanup(host.Close)
	host.Rights = &inspect.Rights{UIDs: []uint32{fakehost.UIDHAProxy}}
	return &reaper.Pass{
		Host: host, Terminator: reaper.Signaller{Host: host},
		Timing: judge.Timing{Settle: 5 * time.Second, PassTimeout: time.Minute},
	}
}

// hostile starts a process of another account that the agent may not signal.
func hostile(w *fakehost.World, pid int, uid uint32, change func(*fakehost.Proc)) {
	p := fakehost.Daemon(w, fmt.Sprintf("/home/%d.cfg", pid), pid, ticks(20*time.Minute), nil)
	w.Change(func() {
		p.UID, p.Cgroup, p.Forbidden = uid, "/user.slice/user-5001.slice/session-2.scope", true
		change(p)
	})
}

// What a stranger's process is, and how many there are, keeps no residual of the service.
func TestStrangersAreBoundedAndTheServiceIsServed(t *testing.T) {
	const uid = 5001
	many := make([]fakehost.Socket, 1000)
	for i := range many {
		many[i] = fakehost.Client(8443, i, 0)
	}
	for _, tt := range []struct {
		name   string
		starts func(w *fakehost.World)
		why    string // in the error of one of its processes
	}{
		{"2,000 processes", func(w *fakehost.World) {
			for pid := 5000; pid < 7000; pid++ {
				hostile(w, pid, uid, func(p *fakehost.Proc) { p.Sockets = []fakehost.Socket{fakehost.Listen(pid)} })
			}
		}, "more processes of other users than one look reads"},
		{"6,000 processes", func(w *fakehost.World) {
			for pid := 5000; pid < 11000; pid++ {
				hostile(w, pid, uid, func(*fakehost.Proc) {})
			}
		}, "more processes of other users than one look reads"},
		{"200 processes of 1,000 descriptors", func(w *fakehost.World) {
			for pid := 5000; pid < 5200; pid++ {
				hostile(w, pid, uid, func(p *fakehost.Proc) { p.Sockets = many })
			}
		}, "more descriptors of other users' processes than one look examines"},
		{"a process of 20,000 arguments", func(w *fakehost.World) {
			hostile(w, 5000, uid, func(p *fakehost.Proc) { p.Args = append(p.Args, strings.Split(strings.Repeat("-", 5000), "")...) })
		}, "more than 2048 arguments of another user's process"},
		{"a process of 100 KiB of arguments", func(w *fakehost.World) {
			hostile(w, 5000, uid, func(p *fakehost.Proc) { p.Args = append(p.Args, strings.Repeat("x", 100<<10)) })
		}, "arguments: /proc/5000/cmdline: file too large"},
		{"a process whose signals are held back for ever", func(w *fakehost.World) {
			hostile(w, 5000, uid, func(p *fakehost.Proc) { p.Masks = inspect.SignalMasks{Blocked: 1<<63 - 1} })
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, _ := reloaded()
			tt.starts(w)
			most, began := 0, w.Boottime()
			w.Before = func(int, string, string) error {
				most = max(most, w.Open())
				return nil
			}
			p := asShipped(t, w)
			r, err := p.Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if waited := w.Boottime() - began; waited > 0 {
				t.Errorf("a look waited %v", waited)
			}
			var errs []string
			rows := 0
			for _, in := range r.Instances {
				rows += len(in.Processes)
				for _, q := range in.Processes {
					switch {
					case q.UID == uid && q.Error != "":
						errs = append(errs, q.Error)
					case q.UID != uid && (q.Error != "" || in.Refusal != ""):
						t.Errorf("process %d: %q; its instance is refused for %q", q.PID, q.Error, in.RefusalDetail)
					}
				}
			}
			if tt.why != "" && !slices.ContainsFunc(errs, func(text string) bool { return strings.Contains(text, tt.why) }) {
				t.Errorf("no process has %q: %q", tt.why, errs[:min(len(errs), 3)])
			}
			if rows > 5004 {
				t.Errorf("%d processes in the report", rows)
			}
			run(t, p)
			if got, want := signalled(w), []string{"101 terminated", "102 terminated"}; !equal(got, want) {
				t.Errorf("signalled %v, want %v", got, want)
			}
			if most > 300 {
				t.Errorf("%d descriptors at a time", most)
			}
		})
	}
}

// stuck is a host on which the arguments of some processes cannot be read in the end:
// their memory waits for something.
type stuck struct {
	*fakehost.World
	pids    []int
	release chan struct{}
}

func (s stuck) ReadFile(name string, limit int) ([]byte, error) {
	for _, pid := range s.pids {
		if name == fmt.Sprintf("/proc/%d/cmdline", pid) {
			<-s.release
		}
	}
	return s.World.ReadFile(name, limit)
}

func TestAStrangerWhoseArgumentsAreNeverReadHoldsUpNoPass(t *testing.T) {
	w, _ := reloaded()
	s := stuck{World: w, release: make(chan struct{})}
	for pid := 5000; pid < 5040; pid++ {
		hostile(w, pid, 5001, func(*fakehost.Proc) {})
		s.pids = append(s.pids, pid)
	}
	hostile(w, 6000, 5002, func(p *fakehost.Proc) { p.Sockets = []fakehost.Socket{fakehost.Listen(6000)} })
	p := asShipped(t, s)
	t.Cleanup(func() { close(s.release) })
	began := time.Now()
	r := run(t, p)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("a pass took %v", took)
	}
	if got, want := signalled(w), []string{"101 terminated", "102 terminated"}; !equal(got, want) {
		t.Errorf("signalled %v, want %v", got, want)
	}
	if got := process(t, r, 5039); !strings.Contains(got.Error, "it took too long to read") {
		t.Errorf("process 5039: %q", got.Error)
	}
	// The user with the fewest processes comes first.
	if got := process(t, r, 6000); got.Error != "" || got.Role != judge.RoleActive {
		t.Errorf("process 6000: %s, %q", got.Role, got.Error)
	}
}

// A worker is no stranger's, whatever user it runs as, if root's master started it.
func TestTheWorkersOfRootsMasterAreNoStrangers(t *testing.T) {
	w, s := reloaded()
	w.Change(func() { s.Master.UID = 0 })
	for i, pid := range []int{101, 102, 103} {
		sockets := []fakehost.Socket{fakehost.Client(443, i, 0)}
		if pid == 103 {
			sockets = []fakehost.Socket{fakehost.Listen(443)}
		}
		s.Worker(pid, ticks(time.Duration(49-10*i)*time.Minute), []int{101, 102}[:i], sockets...).UID = 33
	}
	for pid := 5000; pid < 6000; pid++ {
		hostile(w, pid, 5001, func(*fakehost.Proc) {})
	}
	r, err := asShipped(t, w).Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{101, 102, 103} {
		if got := process(t, r, pid); got.Error != "" || got.Stranger {
			t.Errorf("process %d: a stranger's %v, %q", pid, got.Stranger, got.Error)
		}
	}
	if got := process(t, r, 5000); !got.Stranger {
		t.Error("process 5000 is no stranger's")
	}
}
