package reaper_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

var seed = maphash.MakeSeed()

// kernel stands between a pass and its host. Before each call it may let things
// happen; what a call returned goes into the trace, and so the trace tells all
// that the pass knows.
type kernel struct {
	*fakehost.World
	mu    sync.Mutex // instances are looked at side by side
	host  host
	alive map[int]int // serials in the World, and their pids
	// boundary is called before each call with the pids that it is about; nil is
	// all of them, empty none.
	boundary func(pids []int)
	trace    maphash.Hash
	lies     []guard
	kills    bool // the pass may send SIGKILL after its wait

	behind   map[int]int  // pidfd to pid
	serialOf map[int]int  // pidfd to serial
	whose    map[int]int  // duplicate to the serial of whose it is
	pidOf    map[int]int  // duplicate to that one's pid
	was      map[int]bool // duplicate to whether that one was told to leave: who has exited since holds nothing else
	first    map[string][]byte
	looks    int

	// dress, when set, changes what is shown of a process; beside are processes
	// that are no part of the model, and which of them are residual.
	dress  func(h host, b body, p *fakehost.Proc)
	beside map[int]bool

	right, wrong int
	termed       map[int]bool
	history      []string
}

func newKernel(h host, lies []guard) *kernel {
	w := fakehost.New()
	ordinary(w)
	k := &kernel{World: w, alive: map[int]int{}, lies: lies, behind: map[int]int{}, serialOf: map[int]int{}, whose: map[int]int{}, pidOf: map[int]int{}, was: map[int]bool{}, first: map[string][]byte{}, termed: map[int]bool{}}
	k.trace.SetSeed(seed)
	if k.lie(byActive) { // somebody always holds the socket
		w.Start(fakehost.Proc{PID: 1, Exe: "/sbin/init", Comm: "init", Ticks: 1, Sockets: []fakehost.Socket{fakehost.Listen(443)}})
	}
	k.become(h)
	return k
}

func (k *kernel) now() uint64 {
	return uint64(k.World.Boottime()/(10*time.Millisecond)) - uint64(k.host.ticks)
}

// become brings the World to a state of the host.
func (k *kernel) become(h host) {
	for serial, pid := range k.alive {
		if h.find(serial) < 0 {
			k.World.Exit(pid)
			delete(k.alive, serial)
		}
	}
	for _, b := range h.bodies {
		p := h.proc(b)
		if k.dress != nil {
			k.dress(h, b, &p)
		}
		k.World.Start(p)
		k.alive[b.serial] = b.pid
	}
	if d := h.ticks - k.host.ticks; d > 0 {
		_ = k.World.Sleep(context.Background(), time.Duration(d)*10*time.Millisecond)
	}
	k.host = h
}

func (k *kernel) body(pid int) *body {
	i := slices.IndexFunc(k.host.bodies, func(b body) bool { return b.pid == pid })
	if i < 0 {
		return nil
	}
	return &k.host.bodies[i]
}

func (k *kernel) saw(call, about string, result []byte, err error) {
	_, _ = k.trace.WriteString(call)
	_, _ = k.trace.WriteString(about)
	_, _ = k.trace.Write(result)
	if err != nil {
		_, _ = k.trace.WriteString(err.Error())
	}
}

// pidOf is the pid in a path of /proc, and nobody's in any other.
func pidOf(path string) []int {
	rest, _ := strings.CutPrefix(path, "/proc/")
	number, _, _ := strings.Cut(rest, "/")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return []int{}
	}
	return []int{pid}
}

func (k *kernel) Pids(ctx context.Context) ([]int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary(nil)
	k.looks++
	pids, err := k.World.Pids(ctx)
	pids = slices.DeleteFunc(pids, func(pid int) bool {
		b := k.body(pid)
		return k.lie(byStray) && b != nil && b.ppid == 1 && (b.sort == dryCheck || b.sort == check)
	})
	b, _ := k.again("pids", func() ([]byte, error) { return []byte(fmt.Sprint(pids)), nil })
	pids = nil
	for _, f := range strings.Fields(strings.Trim(string(b), "[]")) {
		pid, _ := strconv.Atoi(f)
		pids = append(pids, pid)
	}
	k.saw("pids", "", b, err)
	return pids, err
}

func (k *kernel) ReadFile(name string, limit int) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary(pidOf(name))
	text, err := k.again(name, func() ([]byte, error) {
		b, err := k.World.ReadFile(name, limit)
		return k.forge(name, b), err
	})
	k.saw("read", name, text, err)
	return text, err
}

func (k *kernel) Owner(name string) (uint32, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary(pidOf(name))
	text, err := k.again(name, func() ([]byte, error) {
		uid, err := k.World.Owner(name)
		return []byte(fmt.Sprint(uid)), err
	})
	k.saw("owner", name, text, err)
	uid, _ := strconv.ParseUint(string(text), 10, 32)
	return uint32(uid), err
}

func (k *kernel) Readlink(name string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pids := pidOf(name)
	k.boundary(pids)
	b, err := k.again(name, func() ([]byte, error) {
		link, err := k.World.Readlink(name)
		if len(pids) == 1 {
			if b := k.body(pids[0]); b != nil {
				switch {
				case b.sort == stranger && k.lie(byIdentity) && strings.HasSuffix(name, "/exe"):
					link = "/usr/sbin/haproxy"
				case b.sort == worker && k.lie(byActive) && strings.HasSuffix(name, "/fd/0"):
					link = "socket:[443]"
				}
			}
		}
		return []byte(link), err
	})
	k.saw("link", name, b, err)
	return string(b), err
}

func (k *kernel) OpenDescriptors(pid, from int) ([]int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary([]int{pid})
	fds, err := k.World.OpenDescriptors(pid, from)
	k.saw("fds", fmt.Sprint(pid, from), []byte(fmt.Sprint(fds)), err)
	return fds, err
}

func (k *kernel) PidfdOpen(pid int) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary([]int{pid})
	fd, err := k.World.PidfdOpen(pid)
	if err == nil {
		k.behind[fd] = pid
		if b := k.body(pid); b != nil {
			k.serialOf[fd] = b.serial
		}
	}
	k.saw("open", fmt.Sprint(pid), []byte(fmt.Sprint(fd)), err)
	return fd, err
}

func (k *kernel) PidfdGetfd(pidfd, fd int) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pid := k.behind[pidfd]
	k.boundary([]int{pid})
	dup := -1
	target, done, err := k.current(pidfd)
	if err == nil {
		dup, err = k.World.PidfdGetfd(target, fd)
		done()
	}
	if err == nil {
		k.whose[dup] = k.serialOf[pidfd]
		if k.lie(byPidfd) {
			k.whose[dup] = 0
			if b := k.body(pid); b != nil {
				k.whose[dup] = b.serial
			}
		}
		k.pidOf[dup] = pid
		i := k.host.find(k.whose[dup])
		k.was[dup] = i >= 0 && k.host.bodies[i].sort == worker && k.host.bodies[i].told
	}
	if err == nil && fd >= 3 {
		b := k.body(pid)
		hidden := b != nil && (b.listens && k.lie(byListener) || b.paused && k.lie(byPaused) || k.lie(bySecond) && k.looks > 1)
		if hidden {
			_ = k.World.Close(dup)
			dup, err = -1, unix.EBADF
		}
	}
	what := ""
	if err == nil {
		if name, nameErr := k.World.SockName(dup); nameErr == nil {
			accepts, _ := k.World.SockoptInt(dup, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
			var info unix.TCPInfo
			_ = k.World.TCPInfo(dup, &info)
			what = fmt.Sprint(name, accepts, info.State, info.Segs_in)
		}
	}
	k.saw("getfd", fmt.Sprint(pid, fd), []byte(what), err)
	return dup, err
}

func (k *kernel) Poll(fds []int, timeout time.Duration) ([]bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	pid := k.behind[fds[0]]
	switch {
	case timeout == 0:
		k.boundary([]int{pid})
	case k.kills:
		k.boundary(nil)
	default: // the last wait of a pass, after which it sends nothing
		k.boundary([]int{})
	}
	var ready []bool
	target, done, err := k.current(fds[0])
	switch {
	case err == unix.ESRCH:
		ready, err = []bool{true}, nil
	case err == nil:
		ready, err = k.World.Poll([]int{target}, timeout)
		done()
	}
	if k.lie(bySecond) && k.looks > 1 && timeout == 0 && err == nil && k.lie(byPidfd) {
		ready = []bool{false}
	}
	k.saw("poll", fmt.Sprint(pid), []byte(fmt.Sprint(ready)), err)
	return ready, err
}

func (k *kernel) NetlinkSend(fd int, request []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary(nil)
	return k.World.NetlinkSend(fd, request)
}

func (k *kernel) NetlinkRecv(fd int, buf []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, err := k.World.NetlinkRecv(fd, buf)
	k.saw("dump", "", buf[:max(n, 0)], err)
	return n, err
}

func (k *kernel) Sleep(ctx context.Context, d time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary(nil)
	return k.World.Sleep(ctx, d)
}

func (k *kernel) MaySignal(pidfd int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary([]int{k.behind[pidfd]})
	target, done, err := k.current(pidfd)
	if err == nil {
		err = k.World.MaySignal(target)
		done()
	}
	k.saw("may", fmt.Sprint(k.behind[pidfd]), nil, err)
	return err
}

// PidfdSendSignal is where right and wrong are told apart: by the truth, at the
// instant of the signal.
func (k *kernel) PidfdSendSignal(pidfd int, signal syscall.Signal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if signal == 0 { // which is none
		return k.World.PidfdSendSignal(pidfd, signal)
	}
	k.boundary(nil)
	serial := k.serialOf[pidfd]
	target, done, err := k.current(pidfd)
	if err == nil {
		if k.lie(byPidfd) {
			serial = 0
			if b := k.body(k.behind[pidfd]); b != nil {
				serial = b.serial
			}
		}
		err = k.World.PidfdSendSignal(target, signal)
		done()
	}
	if i := k.host.find(serial); err == nil && i < 0 {
		if k.beside[k.behind[pidfd]] {
			k.right++
		} else {
			k.wrong++
		}
		k.history = append(k.history, fmt.Sprintf("%v to %d", signal, k.behind[pidfd]))
	} else if err == nil {
		b := k.host.bodies[i]
		if b.sort == worker && b.told && (signal == syscall.SIGTERM || k.termed[serial]) {
			k.right++
		} else {
			k.wrong++
		}
		k.termed[serial] = k.termed[serial] || signal == syscall.SIGTERM
		k.history = append(k.history, fmt.Sprintf("%v to %d (%c)", signal, b.pid, b.sort))
		if signal == syscall.SIGKILL || !b.wedged {
			delete(k.alive, serial)
			k.host = k.host.without(serial)
			k.become(k.host)
		}
	}
	k.saw("signal", fmt.Sprint(k.behind[pidfd], signal), nil, err)
	return err
}

// Shutdown of a connection is right by the same truth: it is a client's, and of
// a worker that was told to leave. The worker leaves when it was the last.
func (k *kernel) Shutdown(fd, how int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boundary(nil)
	serial, pid := k.whose[fd], k.pidOf[fd]
	before := len(k.World.HangUps())
	err := k.World.Shutdown(fd, how)
	if all := k.World.HangUps(); len(all) > before {
		client := all[before].Socket.Peer != "" && strings.HasSuffix(all[before].Socket.Local, ":443")
		i := k.host.find(serial)
		switch {
		case i < 0 && (k.beside[pid] || client && k.was[fd]), client && i >= 0 && k.host.bodies[i].sort == worker && k.host.bodies[i].told:
			k.right++
		default:
			k.wrong++
		}
		k.history = append(k.history, fmt.Sprintf("a client of %d hung up", pid))
		if i >= 0 && !k.host.bodies[i].wedged {
			delete(k.alive, serial)
			k.World.Exit(pid)
			k.host = k.host.without(serial)
			k.become(k.host)
		}
	}
	k.saw("shutdown", fmt.Sprint(pid, how), nil, err)
	return err
}
