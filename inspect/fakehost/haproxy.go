package fakehost

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Signal masks as HAProxy 2.6 has them (SigBlk and SigCgt of proc(5)).
var (
	MasterMasks    = inspect.SignalMasks{Caught: 0x716a03}
	WorkerMasks    = inspect.SignalMasks{Caught: 0x702205}
	ReloadingMasks = inspect.SignalMasks{Blocked: 0x310a01, Caught: 0x100000000} // a master up to 3.0, a starting worker from 3.1
	StartingMasks  = inspect.SignalMasks{Caught: 0x100000000}                    // -D, -c
)

// UIDHAProxy is the uid that workers run as.
const UIDHAProxy = 102

// Listen is a TCP socket in LISTEN; its inode is its port, so that two
// processes that name the same port share one socket.
func Listen(port int) Socket {
	return Socket{
		Family: unix.AF_INET, Type: unix.SOCK_STREAM, Listening: true, Local: fmt.Sprintf("0.0.0.0:%d", port), Inode: uint64(port),
		ReuseAddr: true, ReusePort: true,
	}
}

// Client is an established connection of a client to a port, idle for so long.
func Client(port, n int, idle time.Duration) Socket {
	return Socket{
		Family: unix.AF_INET, Type: unix.SOCK_STREAM, State: unix.BPF_TCP_ESTABLISHED, Segments: 5, IdleMillisecond: uint32(idle.Milliseconds()),
		Local: fmt.Sprintf("10.0.0.1:%d", port), Peer: fmt.Sprintf("10.0.0.2:%d", 30000+n), Inode: uint64(port)<<16 + uint64(n),
		ReuseAddr: true, ReusePort: true,
	}
}

// HalfClosed is a connection of a client that has finished sending and receives.
func HalfClosed(port, n int, idle time.Duration) Socket {
	s := Client(port, n, idle)
	s.State = unix.BPF_TCP_CLOSE_WAIT
	return s
}

// Server is an established connection towards a backend, from a port of ours.
func Server(port int) Socket {
	s := Client(port, 1, 0)
	s.Peer, s.ReuseAddr, s.ReusePort, s.Made = "10.0.0.9:80", false, false, true
	return s
}

// QUIC is the socket of a QUIC client of a port.
func QUIC(port, n int) Socket {
	s := Client(port, n, 0)
	s.Type, s.Inode = unix.SOCK_DGRAM, s.Inode+1<<40
	return s
}

// Resolver is the socket of questions to a name server.
func Resolver(port int) Socket {
	s := UDP(port)
	s.Local, s.Peer = fmt.Sprintf("10.0.0.1:%d", port), "10.0.0.53:53"
	return s
}

// Paused is a listener as SIGTTOU leaves it: closed, with its port.
func Paused(port int) Socket {
	s := Listen(port)
	s.Listening, s.State = false, unix.BPF_TCP_CLOSE
	return s
}

// Reset is a connection after its client's RST: closed, with its port and with
// traffic behind it.
func Reset(port int) Socket {
	s := Client(port, 1, 0)
	s.State, s.Peer = unix.BPF_TCP_CLOSE, ""
	return s
}

// DatagramListener is a datagram socket that receives, as of dgram-bind and QUIC.
func DatagramListener(port int) Socket {
	s := UDP(port)
	s.ReuseAddr, s.ReusePort = true, true
	return s
}

// UDP is an unconnected datagram socket, as a log has one.
func UDP(port int) Socket {
	return Socket{Family: unix.AF_INET, Type: unix.SOCK_DGRAM, Local: fmt.Sprintf("0.0.0.0:%d", port), Inode: 1<<31 + uint64(port)}
}

// Service is a master-worker service on a World.
type Service struct {
	World  *World
	Master *Proc
	// Config and Cgroup tell it from others.
	Config, Cgroup string
	args           []string
}

// NewService starts a master, without workers, so many ticks after boot.
func NewService(w *World, name string, pid int, ticks uint64) *Service {
	s := &Service{World: w, Config: "/etc/" + name + "/haproxy.cfg", Cgroup: "/system.slice/" + name + ".service"}
	s.args = []string{"-Ws", "-f", s.Config, "-S", "/run/" + name + ".sock"}
	s.Master = w.Start(Proc{PID: pid, PPID: 1, Ticks: ticks, Masks: MasterMasks, Args: append([]string{"/usr/sbin/haproxy"}, s.args...), Cgroup: s.Cgroup})
	return s
}

// Worker starts a worker that was told to finish those before it.
func (s *Service) Worker(pid int, ticks uint64, finish []int, sockets ...Socket) *Proc {
	return s.World.Start(Proc{
		PID: pid, PPID: s.Master.PID, Session: s.Master.PID, Forked: true, Ticks: ticks, UID: UIDHAProxy, Masks: WorkerMasks, Cgroup: s.Cgroup,
		Args: finishArgs(finish, s.args), Sockets: sockets,
	})
}

// Daemon starts a process without a master, of -D, told to finish those before
// it.
func Daemon(w *World, config string, pid int, ticks uint64, finish []int, sockets ...Socket) *Proc {
	return w.Start(Proc{
		PID: pid, PPID: 1, Forked: true, Ticks: ticks, UID: UIDHAProxy, Masks: WorkerMasks, Cgroup: "/user.slice/user-0.slice/session-1.scope",
		Args: append(append([]string{"haproxy", "-D", "-f", config}, finishList(finish)...), "-x", "/run/old.sock"), Sockets: sockets,
	})
}

func finishArgs(finish []int, args []string) []string {
	all := append([]string{"/usr/sbin/haproxy"}, finishList(finish)...)
	return append(all, args...)
}

func finishList(finish []int) []string {
	if len(finish) == 0 {
		return nil
	}
	args := []string{"-sf"}
	for _, pid := range finish {
		args = append(args, strconv.Itoa(pid))
	}
	return args
}

// Answer lets the service's master CLI answer, with what it says of each
// worker's stopping: one that stops has the clients that its sockets tell of, the
// other 7.
func (s *Service) Answer(stopping map[int]bool) {
	var rows strings.Builder
	fmt.Fprintf(&rows, "#<PID>          <type>          <reloads>       <uptime>        <version>      \n%-15d master          0               0d01h00m00s     2.6.12\n# workers\n", s.Master.NSPID)
	cli := map[string]string{}
	for pid, stops := range stopping {
		fmt.Fprintf(&rows, "%-15d worker          0               0d00h10m00s     2.6.12\n", pid)
		bit := 0
		if stops {
			bit = 1
		}
		clients, listeners := 7, 3
		if stops {
			clients, listeners = s.World.clients(pid), 1
		}
		cli[fmt.Sprintf("@!%d show info", pid)] = fmt.Sprintf("Name: HAProxy\nPid: %d\nStopping: %d\nCurrConns: %d\nConnRate: 3\nListeners: %d\n\n", pid, bit, clients, listeners)
	}
	cli["show proc"] = rows.String() + "\n"
	s.World.Change(func() { s.Master.CLI = cli })
}

// clients are the connections that a process accepted.
func (w *World) clients(nspid int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, p := range w.procs {
		for _, s := range p.Sockets {
			if p.NSPID == nspid && s.ReusePort && (s.converses() || s.State == unix.BPF_TCP_CLOSE && s.Segments > 0) {
				n++
			}
		}
	}
	return n
}
