// Package fakehost is a host made of words: an inspect.Kernel whose processes,
// sockets and clock a test sets up and changes as it likes. Nothing in it is
// real, so a test can put an error behind any call, let the world change between
// two, and count every signal.
package fakehost

import (
	"cmp"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Namespaces of the agent's own, and so of processes that do not say otherwise.
const (
	PIDNS = 4026531836
	NetNS = 4026531840
	MntNS = 4026531841
)

// World is the host. Its zero value is not usable; call New.
type World struct {
	mu      sync.Mutex
	procs   map[int]*Proc
	files   map[string]string
	links   map[string]string
	changed map[string]time.Duration // of files and links, on the boot clock
	fds     map[int]*descriptor
	nextFD  int
	clock   time.Duration
	signals []Sent
	hangups []HungUp
	calls   int
	answers [][]byte // of the netlink request under way

	// EUID is the user that the agent runs as.
	EUID uint32
	// SocketClass is that of this program, see Proc.
	SocketClass string

	// Before, when set, runs before every call with its number, its name and
	// what it is about, and outside of any lock: it may change the world, or
	// return an error for the call to fail with.
	Before func(n int, call, about string) error
}

// Sent is one signal that was delivered.
type Sent struct {
	ID     inspect.ProcID
	Signal syscall.Signal
}

// HungUp is one shutdown of a socket.
type HungUp struct {
	ID     inspect.ProcID
	Socket Socket // as it was
	How    int    // of shutdown(2)
}

// Proc is one process. Namespaces, State, NSPID, Session and Exe have defaults.
type Proc struct {
	PID, PPID int
	Ticks     uint64
	UID       uint32
	Exe, Comm string
	State     byte
	Args      []string
	Masks     inspect.SignalMasks
	NSPID     int
	Session   int // itself, unless it says otherwise
	Forked    bool
	Dir, Root string // working and root directory; "/" unless they say otherwise
	PIDNS     uint64
	NetNS     uint64
	Cgroup    string
	Sockets   []Socket // at descriptors 3, 4, 5, ...
	// CLI is what the process answers on a master CLI: command to answer, which ends
	// with a blank line. A nil map refuses connections. A missing command hangs up, and
	// Silence never answers.
	CLI map[string]string
	// Ignores are the signals that do not end it.
	Ignores []syscall.Signal
	// Forbidden is a process that the agent may not signal.
	Forbidden bool
	// Leaves tells that it exits when its last connection has ended.
	Leaves bool

	// Exiting has begun its exit: it has no executable any more, and is not gone
	// yet. Threads are those it has, itself included; 1 unless it says otherwise.
	Exiting bool
	Threads int
	// Apart are the sockets of its second thread, where that has a table of
	// descriptors of its own; nil where all threads share one.
	Apart []Socket
	// SocketClass is its path in the cgroup v1 hierarchy of net_cls and net_prio, ""
	// where the host has none.
	SocketClass string

	exited bool
}

// Socket is one socket of a process.
type Socket struct {
	Family, Type    int
	Listening       bool
	Local, Peer     string // as netip.ParseAddrPort takes them, or a path; Peer "" is unconnected
	State           uint8  // TCP state, when not Listening
	Segments        uint32 // received, and sent
	IdleMillisecond uint32
	Inode           uint64
	// ReuseAddr and ReusePort are the options of these names (socket(7)): HAProxy
	// gives both to its listeners, and the kernel to what they accept.
	ReuseAddr, ReusePort bool
	// Made is of a connection that the process made, by what TCP counts; of one that
	// is Busy that does not tell.
	Made, Busy bool
	// MPTCP is of a socket whose State and Segments are its first path's; whether
	// it listens and has a peer is its own.
	MPTCP bool
	// Blocking lacks O_NONBLOCK, as a descriptor that no HAProxy listens through.
	Blocking bool
	// V6Only is that option of an IPv6 socket (ipv6(7)).
	V6Only bool
	// Stubborn stays established when only its reading side is shut down, as
	// where a server does not close.
	Stubborn bool
}

type descriptor struct {
	self   bool    // of a pidfd: this program
	proc   *Proc   // of a pidfd
	socket *Socket // of a duplicate
	owner  *Proc   // whose descriptor that is, and its place there
	place  int
	cli    *Proc // of a master CLI's socket: the master
}

// New is a host on which nothing runs, an hour after boot.
func New() *World {
	return &World{procs: map[int]*Proc{}, files: map[string]string{}, links: map[string]string{}, changed: map[string]time.Duration{}, fds: map[int]*descriptor{}, nextFD: 1000, clock: time.Hour}
}

// Start adds a process and returns it. One that has the pid and the start of a
// living process is that process, changed.
func (w *World) Start(p Proc) *Proc {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.Exe = cmp.Or(p.Exe, "/usr/sbin/haproxy")
	p.Comm = cmp.Or(p.Comm, "haproxy")
	p.State = cmp.Or(p.State, 'S')
	p.NSPID = cmp.Or(p.NSPID, p.PID)
	p.Threads = cmp.Or(p.Threads, 1)
	p.Session = cmp.Or(p.Session, p.PID)
	p.PIDNS = cmp.Or[uint64](p.PIDNS, PIDNS)
	p.NetNS = cmp.Or[uint64](p.NetNS, NetNS)
	p.Cgroup = cmp.Or(p.Cgroup, "/system.slice/haproxy.service")
	if same := w.procs[p.PID]; same != nil && same.Ticks == p.Ticks {
		*same = p
		return same
	}
	w.procs[p.PID] = &p
	return &p
}

// Exit ends a process and frees its pid.
func (w *World) Exit(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.exit(pid)
}

func (w *World) exit(pid int) {
	if p := w.procs[pid]; p != nil {
		p.exited = true
		delete(w.procs, pid)
	}
}

// Change changes the world under its lock.
func (w *World) Change(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// Write puts a file in place.
func (w *World) Write(path, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[path], w.changed[path] = text, w.clock
}

// Link puts a symbolic link in place. Only Readlink and Changed know of it.
func (w *World) Link(path, target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[path], w.changed[path] = target, w.clock
}

// Pass lets time pass.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock += d
}

// Signals are those delivered so far.
func (w *World) Signals() []Sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.signals)
}

// HangUps are the shutdowns so far.
func (w *World) HangUps() []HungUp {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.hangups)
}

// Calls is the number of calls made so far.
func (w *World) Calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// Open is the number of descriptors that were opened and not closed.
func (w *World) Open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.fds)
}

// enter is the start of every call; on success the world is locked.
func (w *World) enter(call, about string) error {
	w.mu.Lock()
	n := w.calls
	w.calls++
	before := w.Before
	w.mu.Unlock()
	if before != nil {
		if err := before(n, call, about); err != nil {
			return err
		}
	}
	w.mu.Lock()
	return nil
}

func (w *World) open(d *descriptor) int {
	w.nextFD++
	w.fds[w.nextFD] = d
	return w.nextFD
}

// converses tells a connection that may still carry something.
func (s *Socket) converses() bool {
	if s.MPTCP && !s.Listening {
		return s.Peer != ""
	}
	switch s.state() {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT:
		return true
	}
	return false
}

// hangUp is what a shutdown does: HAProxy closes the connection, and leaves with
// the last one where it does so.
func (w *World) hangUp(d *descriptor, how int) error {
	if !d.socket.converses() {
		return unix.ENOTCONN
	}
	p := d.owner
	w.hangups = append(w.hangups, HungUp{inspect.ProcID{PID: p.PID, StartTicks: p.Ticks}, *d.socket, how})
	if p.exited || d.place >= len(p.Sockets) || p.Sockets[d.place].Inode != d.socket.Inode || d.socket.Stubborn && how == unix.SHUT_RD {
		return nil
	}
	p.Sockets = slices.Clone(p.Sockets)
	p.Sockets[d.place].State, p.Sockets[d.place].Peer = unix.BPF_TCP_CLOSE, ""
	if p.Leaves && !slices.ContainsFunc(p.Sockets, func(s Socket) bool { return s.converses() }) {
		w.exit(p.PID)
	}
	return nil
}

// deliver is what a signal does.
func (w *World) deliver(p *Proc, signal syscall.Signal) error {
	switch {
	case p.exited:
		return unix.ESRCH
	case signal == 0:
		return nil
	}
	if p.Forbidden {
		return unix.EPERM
	}
	w.signals = append(w.signals, Sent{inspect.ProcID{PID: p.PID, StartTicks: p.Ticks}, signal})
	if signal == syscall.SIGKILL || !slices.Contains(p.Ignores, signal) {
		w.exit(p.PID)
	}
	return nil
}
