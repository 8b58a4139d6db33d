package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// threaded is an old worker of three threads without a listener in the table of the
// first; the second thread has one of its own with these sockets, unless nil.
func threaded(apart []fakehost.Socket) *fakehost.World {
	w := fakehost.New()
	p := fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, fakehost.Client(443, 1, 0))
	p.Threads, p.Apart = 3, apart
	return w
}

const second = 1_000_100 // the number of that thread

func TestAThreadWithDescriptorsOfItsOwnIsFound(t *testing.T) {
	client := fakehost.Client(443, 1, 0)
	for _, c := range []struct {
		name  string
		apart []fakehost.Socket
		kcmp  error // that the kernel answers
		want  int
	}{
		{"all share one table", nil, nil, 0},
		{"one has a listener in its own", []fakehost.Socket{fakehost.Listen(443)}, nil, second},
		{"one has a copy, in which nothing else is yet", []fakehost.Socket{client}, nil, second},
		{"one has an empty table", []fakehost.Socket{}, nil, second},
		{"all share one, and the kernel has no kcmp", nil, unix.ENOSYS, 0},
		{"one has a listener, and the kernel has no kcmp", []fakehost.Socket{fakehost.Listen(443)}, unix.ENOSYS, second},
		{"one has a listener, and a filter refuses kcmp", []fakehost.Socket{client, fakehost.Listen(443)}, unix.EPERM, second},
		{"without kcmp, a copy hides nothing", []fakehost.Socket{client}, unix.EACCES, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := lookAt(t, threaded(c.apart), func(call, _ string) error {
				if call == "SameDescriptors" {
					return c.kcmp
				}
				return nil
			})
			if p.Err != nil || p.Sockets.Apart != c.want || p.Sockets.Proof != (c.want == 0) {
				t.Errorf("error %v, apart %d, proof %v", p.Err, p.Sockets.Apart, p.Sockets.Proof)
			}
		})
	}
}

// It costs a call for each further thread, and none for the one that most have.
func TestAProcessOfOneThreadIsNotAsked(t *testing.T) {
	for threads, want := range map[int]int{1: 0, 3: 2} {
		w := threaded(nil)
		w.Start(fakehost.Proc{PID: 100, PPID: 1, Ticks: 1000, Masks: fakehost.WorkerMasks, Args: []string{"haproxy"}, Threads: threads})
		asked, listed := 0, 0
		p := lookAt(t, w, func(call, about string) error {
			switch {
			case call == "SameDescriptors":
				asked++
			case call == "Threads":
				listed++
			}
			return nil
		})
		if p.Err != nil || asked != want || listed != min(want, 1) {
			t.Errorf("%d threads: error %v, %d calls of kcmp, %d lists", threads, p.Err, asked, listed)
		}
	}
}

// What cannot be told is not "they share one".
func TestThreadsThatCannotBeAskedAreNotTakenForSharers(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(call, about string) error
		gone bool // nothing is left to be asked
	}{
		{"there are more threads than are listed", func(call, _ string) error { return when(call == "Threads", unix.EFBIG) }, false},
		{"they may not be listed", func(call, _ string) error { return when(call == "Threads", unix.EACCES) }, false},
		{"kcmp fails", func(call, _ string) error { return when(call == "SameDescriptors", unix.ENOMEM) }, false},
		{"kcmp is refused, and so are the links", func(call, about string) error {
			return when(call == "SameDescriptors" || call == "OpenDescriptors" && about != "100", unix.EPERM)
		}, false},
		{"kcmp is refused, and a link cannot be read", func(call, about string) error {
			return when(call == "SameDescriptors" || strings.HasPrefix(about, "/proc/1000100/fd/"), unix.EACCES)
		}, false},
		{"kcmp is refused, and the first thread's link cannot be read", func(call, about string) error {
			return when(call == "SameDescriptors" || strings.HasPrefix(about, "/proc/100/fd/"), unix.EACCES)
		}, false},
		{"the threads have left", func(call, _ string) error { return when(call == "SameDescriptors", unix.ESRCH) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := lookAt(t, threaded(nil), c.fail)
			if c.gone && (p.Err != nil || !p.Sockets.Proof) || !c.gone && (p.Err == nil || p.Sockets != nil) {
				t.Errorf("error %v, sockets %+v", p.Err, p.Sockets)
			}
		})
	}
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

// A thread that ends has no table any more: that is none of its own.
func TestAThreadThatLeavesIsNotApart(t *testing.T) {
	for _, c := range []struct {
		name string
		stat func(w *fakehost.World) error // what reading it does
		want int
	}{
		{"it has gone", func(*fakehost.World) error { return unix.ENOENT }, 0},
		{"it is on its way", func(w *fakehost.World) error {
			w.Write("/proc/100/task/1000100/stat", "1000100 (haproxy) Z 1 1 100 0 -1 4 1 1 0 0 1 1 0 0 20 0 3 0 1000 1 1 1\n")
			return nil
		}, 0},
		{"nothing tells that", func(*fakehost.World) error { return unix.EIO }, second},
		{"it stays", func(*fakehost.World) error { return nil }, second},
	} {
		w := threaded([]fakehost.Socket{})
		p := lookAt(t, w, func(_, about string) error {
			if about == "/proc/100/task/1000100/stat" {
				return c.stat(w)
			}
			return nil
		})
		if p.Err != nil || p.Sockets.Apart != c.want {
			t.Errorf("%s: error %v, %+v", c.name, p.Err, p.Sockets)
		}
	}
}

// noKcmp is this host's kernel without that call.
type noKcmp struct{ inspect.Linux }

func (noKcmp) SameDescriptors(int, int) (bool, error) { return false, unix.ENOSYS }

// The same of this very process, whose threads share one table until one does not.
func TestThreadsOfThisHost(t *testing.T) {
	look := func(k inspect.Kernel) *inspect.Process {
		t.Helper()
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		h := inspect.NewHost(k, []string{exe})
		defer h.Close()
		s, err := h.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(s.Processes, func(p *inspect.Process) bool { return p.PID == os.Getpid() })
		p := s.Processes[i]
		h.ExamineSockets(context.Background(), h.Tables(), p)
		if p.Err != nil || p.Threads < 2 {
			t.Fatalf("%d threads, %v", p.Threads, p.Err)
		}
		return p
	}
	for _, k := range []inspect.Kernel{inspect.Linux{}, noKcmp{}} {
		if p := look(k); p.Sockets.Apart != 0 || !p.Sockets.Proof {
			t.Errorf("by %T: %+v", k, p.Sockets)
		}
	}

	tid, done := make(chan int), make(chan struct{})
	var alone func()
	alone = func() {
		runtime.LockOSThread() // and so this thread ends with its goroutine
		if unix.Gettid() == os.Getpid() {
			go alone() // the first thread does not end, so another one does it
			<-done
			runtime.UnlockOSThread()
			return
		}
		err := unix.Unshare(unix.CLONE_FILES)
		if err == nil {
			err = unix.CloseRange(3, 1<<31-1, 0) // what other tests wait to see closed
		}
		fd, socketErr := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err := errors.Join(err, socketErr); err != nil {
			t.Errorf("a thread with a table of its own: %v, %d", err, fd)
		}
		tid <- unix.Gettid()
		<-done
	}
	go alone()
	want := <-tid
	defer func() {
		close(done)
		for {
			if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", want)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	for _, k := range []inspect.Kernel{inspect.Linux{}, noKcmp{}} {
		if p := look(k); p.Sockets.Apart != want || p.Sockets.Proof {
			t.Errorf("by %T: thread %d is apart, want %d", k, p.Sockets.Apart, want)
		}
	}
}
