package reaper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// fault is one way for a call to go wrong. A number is the errno that it fails
// with.
type fault struct {
	name  string
	errno unix.Errno
	what  mishap
}

type mishap byte

const (
	fails     mishap = iota
	failsEach        // whenever it is made again, too
	failsOn          // this call and all after it that need a descriptor
	shortRead        // half of what there is, and no more
	cutLine          // all but the end of the last line
	hangs            // until the pass has ended
	blind            // every descriptor of every process seems to be closed: no kernel does that
	leaks            // the descriptor is not closed: no kernel does that
	changes          // the call is made, and the host is another one
)

var faults = []fault{
	{"EACCES", unix.EACCES, fails}, {"EPERM", unix.EPERM, fails}, {"ENOENT", unix.ENOENT, fails}, {"ESRCH", unix.ESRCH, fails},
	{"EINTR", unix.EINTR, fails}, {"EMFILE", unix.EMFILE, fails}, {"ENOMEM", unix.ENOMEM, fails}, {"EIO", unix.EIO, fails},
	{"ENOBUFS", unix.ENOBUFS, fails}, {"ENOSYS", unix.ENOSYS, fails},
	{"EACCES each time", unix.EACCES, failsEach}, {"EIO each time", unix.EIO, failsEach}, {"ENOENT each time", unix.ENOENT, failsEach},
	{"EMFILE from then on", unix.EMFILE, failsOn},
	{"short read", 0, shortRead}, {"truncated line", 0, cutLine}, {"hang", 0, hangs},
}

// faulty stands between a pass and the model's kernel and makes one call go
// wrong. It counts calls as the pass makes them.
type faulty struct {
	*kernel
	fault   fault
	at      int
	change  host          // that it becomes, where the fault is that
	noGetfd bool          // as a seccomp filter makes it
	release chan struct{} // ends the hang

	mu    sync.Mutex
	calls int
	hit   string // the call that went wrong, "" when none did: not every fault suits every call
	same  string // that call without its number
}

// turn is the fault of this call, and whether there is one.
func (f *faulty) turn(call, about string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.calls
	f.calls++
	what := f.fault.what
	if n == f.at {
		f.same = call + about
	} else if !(n > f.at && (what == failsOn || what == failsEach && call+about == f.same)) && what != blind && what != leaks {
		return false
	}
	if f.hit == "" {
		f.hit = fmt.Sprintf("call %d, %s %s", n, call, about)
	}
	return true
}

// unfit takes back that a call went wrong: this fault does not suit it.
func (f *faulty) unfit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault.what != failsOn && f.fault.what != failsEach {
		f.hit = ""
	}
}

// kind is what may happen to a call.
type kind struct {
	name, about string
	descriptor  bool // it needs a new one, if only while it lasts
	sure        bool // it cannot fail
	mayHang     bool // the kernel may let it wait for others as long as it likes
}

// through makes a call, or what the fault makes of it; cut is how its result is
// cut short, nil where it has no length.
func through[T any](f *faulty, k kind, call func() (T, error), cut func(result T, line bool) (T, bool)) (T, error) {
	var none T
	if !f.turn(k.name, k.about) {
		return call()
	}
	switch f.fault.what {
	case fails, failsEach:
		if k.sure {
			break
		}
		return none, f.fault.errno
	case failsOn:
		if !k.descriptor {
			return call()
		}
		return none, f.fault.errno
	case shortRead, cutLine:
		result, err := call()
		if err == nil && cut != nil {
			if short, ok := cut(result, f.fault.what == cutLine); ok {
				return short, nil
			}
		}
		f.unfit()
		return result, err
	case hangs:
		if !k.mayHang {
			break
		}
		<-f.release
		return call()
	case changes:
		result, err := call()
		f.kernel.mu.Lock()
		defer f.kernel.mu.Unlock()
		f.kernel.become(f.change)
		return result, err
	case blind, leaks:
		return call()
	}
	f.unfit()
	return call()
}

func cutBytes(b []byte, line bool) ([]byte, bool) {
	n := len(b) / 2
	if line {
		n = max(0, len(b)-3)
	}
	return b[:n], n < len(b)
}

func cutText(s string, line bool) (string, bool) {
	b, ok := cutBytes([]byte(s), line)
	return string(b), ok
}

// cutList leaves one at least: none would say that this is the end.
func cutList[T any](list []T, line bool) ([]T, bool) {
	n := max(1, len(list)/2)
	if line {
		n = max(1, len(list)-1)
	}
	return list[:min(n, len(list))], n < len(list)
}

func (f *faulty) Pids(ctx context.Context) ([]int, error) {
	return through(f, kind{name: "Pids", descriptor: true}, func() ([]int, error) { return f.kernel.Pids(ctx) }, nil)
}

func (f *faulty) ReadFile(name string, limit int) ([]byte, error) {
	return through(f, kind{name: "ReadFile", about: name, descriptor: true, mayHang: true}, func() ([]byte, error) { return f.kernel.ReadFile(name, limit) }, cutBytes)
}

func (f *faulty) ReadDir(name string) ([]string, error) {
	return through(f, kind{name: "ReadDir", about: name, descriptor: true, mayHang: true}, func() ([]string, error) { return f.kernel.ReadDir(name) }, cutList)
}

func (f *faulty) Changed(name string) (time.Time, error) {
	return through(f, kind{name: "Changed", about: name, mayHang: true}, func() (time.Time, error) { return f.kernel.Changed(name) }, nil)
}

func (f *faulty) Owner(name string) (uint32, error) {
	return through(f, kind{name: "Owner", about: name}, func() (uint32, error) { return f.kernel.Owner(name) }, nil)
}

func (f *faulty) Readlink(name string) (string, error) {
	return through(f, kind{name: "Readlink", about: name, mayHang: true}, func() (string, error) { return f.kernel.Readlink(name) }, cutText)
}

func (f *faulty) OpenDescriptors(pid, from int) ([]int, error) {
	return through(f, kind{name: "OpenDescriptors", about: strconv.Itoa(pid), descriptor: true, mayHang: true},
		func() ([]int, error) { return f.kernel.OpenDescriptors(pid, from) }, cutList)
}

func (f *faulty) Threads(pid int) ([]int, error) {
	return through(f, kind{name: "Threads", about: strconv.Itoa(pid), descriptor: true, mayHang: true}, func() ([]int, error) { return f.kernel.Threads(pid) }, cutList)
}

func (f *faulty) SameDescriptors(pid, tid int) (bool, error) {
	return through(f, kind{name: "SameDescriptors", about: strconv.Itoa(tid), mayHang: true}, func() (bool, error) { return f.kernel.SameDescriptors(pid, tid) }, nil)
}

func (f *faulty) PidfdOpen(pid int) (int, error) {
	return through(f, kind{name: "PidfdOpen", about: strconv.Itoa(pid), descriptor: true}, func() (int, error) { return f.kernel.PidfdOpen(pid) }, nil)
}

func (f *faulty) PidfdGetfd(pidfd, fd int) (int, error) {
	f.kernel.mu.Lock()
	about := fmt.Sprint(f.kernel.behind[pidfd], " ", fd)
	f.kernel.mu.Unlock()
	return through(f, kind{name: "PidfdGetfd", about: about, descriptor: true}, func() (int, error) {
		switch {
		case f.noGetfd:
			return -1, unix.EPERM
		case f.fault.what == blind:
			return -1, unix.EBADF
		}
		return f.kernel.PidfdGetfd(pidfd, fd)
	}, nil)
}

func (f *faulty) PidfdSendSignal(pidfd int, signal syscall.Signal) error {
	return f.errorOf(kind{name: "PidfdSendSignal", about: signal.String()}, func() error { return f.kernel.PidfdSendSignal(pidfd, signal) })
}

func (f *faulty) MaySignal(pidfd int) error {
	return f.errorOf(kind{name: "MaySignal"}, func() error { return f.kernel.MaySignal(pidfd) })
}

func (f *faulty) errorOf(k kind, call func() error) error {
	_, err := through(f, k, func() (struct{}, error) { return struct{}{}, call() }, nil)
	return err
}

func (f *faulty) Poll(fds []int, timeout time.Duration) ([]bool, error) {
	return through(f, kind{name: "Poll", about: timeout.String()}, func() ([]bool, error) { return f.kernel.Poll(fds, timeout) }, nil)
}

// Close closes whatever it says, as close(2) of Linux does.
func (f *faulty) Close(fd int) error {
	closed := f.errorOf(kind{name: "Close"}, func() error { return nil })
	if f.fault.what == leaks {
		return nil
	}
	return errors.Join(closed, f.kernel.Close(fd))
}

func (f *faulty) SockoptInt(fd, level, option int) (int, error) {
	return through(f, kind{name: "SockoptInt"}, func() (int, error) { return f.kernel.SockoptInt(fd, level, option) }, nil)
}

func (f *faulty) TCPInfo(fd int, info *unix.TCPInfo) error {
	return f.errorOf(kind{name: "TCPInfo"}, func() error { return f.kernel.TCPInfo(fd, info) })
}

func (f *faulty) SockName(fd int) (inspect.SockAddr, error) {
	return through(f, kind{name: "SockName"}, func() (inspect.SockAddr, error) { return f.kernel.SockName(fd) }, nil)
}

func (f *faulty) PeerName(fd int) (inspect.SockAddr, error) {
	return through(f, kind{name: "PeerName"}, func() (inspect.SockAddr, error) { return f.kernel.PeerName(fd) }, nil)
}

func (f *faulty) Inode(fd int) (uint64, error) {
	return through(f, kind{name: "Inode"}, func() (uint64, error) { return f.kernel.Inode(fd) }, nil)
}

func (f *faulty) Shutdown(fd, how int) error {
	return f.errorOf(kind{name: "Shutdown"}, func() error { return f.kernel.Shutdown(fd, how) })
}

func (f *faulty) NetlinkOpen() (int, error) {
	return through(f, kind{name: "NetlinkOpen", descriptor: true}, f.kernel.NetlinkOpen, nil)
}

func (f *faulty) NetlinkSend(fd int, request []byte) error {
	return f.errorOf(kind{name: "NetlinkSend"}, func() error { return f.kernel.NetlinkSend(fd, request) })
}

// NetlinkRecv has a timeout: that is what its hang comes to.
func (f *faulty) NetlinkRecv(fd int, buf []byte) (int, error) {
	if f.fault.what == hangs {
		if f.turn("NetlinkRecv", "") {
			return 0, unix.EAGAIN
		}
		return f.kernel.NetlinkRecv(fd, buf)
	}
	return through(f, kind{name: "NetlinkRecv"}, func() (int, error) { return f.kernel.NetlinkRecv(fd, buf) },
		func(n int, line bool) (int, bool) {
			b, ok := cutBytes(buf[:n], line)
			return len(b), ok
		})
}

func (f *faulty) OpenIn(root, path string) (int, error) {
	return through(f, kind{name: "OpenIn", about: root + path, descriptor: true, mayHang: true}, func() (int, error) { return f.kernel.OpenIn(root, path) }, nil)
}

func (f *faulty) ModeAndOwner(fd int) (mode, uid uint32, err error) {
	mode, err = through(f, kind{name: "ModeAndOwner"}, func() (uint32, error) {
		mode, owner, err := f.kernel.ModeAndOwner(fd)
		uid = owner
		return mode, err
	}, nil)
	return mode, uid, err
}

func (f *faulty) PeerCred(c net.Conn) (pid int, uid uint32, err error) {
	if wrapped, ok := c.(*cutConn); ok {
		c = wrapped.Conn
	}
	pid, err = through(f, kind{name: "PeerCred"}, func() (int, error) {
		pid, user, err := f.kernel.PeerCred(c)
		uid = user
		return pid, err
	}, nil)
	return pid, uid, err
}

// Dial to a master that hangs succeeds: the kernel answers for it.
func (f *faulty) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if f.fault.what == hangs {
		hit := f.turn("Dial", address)
		c, err := f.kernel.Dial(ctx, network, address)
		switch {
		case hit && err != nil:
			f.unfit()
		case hit:
			c = &cutConn{Conn: c, silent: true}
		}
		return c, err
	}
	return through(f, kind{name: "Dial", about: address, descriptor: true}, func() (net.Conn, error) { return f.kernel.Dial(ctx, network, address) },
		func(c net.Conn, line bool) (net.Conn, bool) { return &cutConn{Conn: c, line: line}, true })
}

// cutConn is a connection that ends before the first answer does, or one that is
// never answered.
type cutConn struct {
	net.Conn
	line   bool
	silent bool
	ended  bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.silent {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	if err == nil {
		rest, _ := cutBytes(b[:n], c.line)
		n, c.ended = len(rest), true
	}
	return n, err
}

// UserName may ask a directory service, and so take its time.
func (f *faulty) UserName(uid uint32) string {
	name, _ := through(f, kind{name: "UserName", sure: true, mayHang: true}, func() (string, error) { return f.kernel.UserName(uid), nil }, cutText)
	return name
}

func (f *faulty) Sleep(ctx context.Context, d time.Duration) error {
	return f.errorOf(kind{name: "Sleep", about: d.String(), sure: true}, func() error { return f.kernel.Sleep(ctx, d) })
}
