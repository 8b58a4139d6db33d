package inspect

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// ticksPerSecond is USER_HZ: proc(5) counts start times in these ticks. The
// kernel fixes it at 100 for user space on every architecture Go runs on.
const ticksPerSecond = 100

// ProcID is a process as this program means it: a pid is reused, a pid with
// its start time in ticks since boot (field 22 of /proc/PID/stat) is not, as
// far as two processes a tick (10 ms) apart go. The pidfd covers the rest.
type ProcID struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"`
}

func (id ProcID) String() string { return fmt.Sprintf("%d@%d", id.PID, id.StartTicks) }

// Snapshot is what one look at the host saw: every process that runs HAProxy's
// executable, and the other children of their masters. It is not atomic; each
// Process is, in the sense of its own doc comment.
type Snapshot struct {
	Time     time.Time     // wall clock at the look, for display
	Boottime time.Duration // CLOCK_BOOTTIME at the look; ages are counted on it
	NetNS    uint64        // inode of our own network namespace, 0 when unreadable
	MntNS    uint64        // inode of our own mount namespace, 0 when unreadable

	// Processes are in order of start ticks, then pid.
	Processes []*Process

	// Unlisted is the number of strangers' processes that are not among them, for there
	// are too many. They are no part of any other user's instance.
	Unlisted int

	// Incomplete lists what kept processes from being told apart at all (a
	// /proc that could not be listed in full, an executable that could not be
	// read for want of memory): with it nothing may be concluded from absence.
	Incomplete []error
}

// Process is one process, seen through a pidfd that was opened before the
// first of these facts was read and was still alive after the last one. A fact
// that could not be read is in Err, and then the facts after it may be zero.
type Process struct {
	ProcID

	NSPID   int    // its pid in its own PID namespace, the last of NSpid in /proc/PID/status
	PPID    int    // parent, in our PID namespace; 0 when outside of it
	Session int    // pid of its session's leader, in our PID namespace; 0 when outside of it
	Forked  bool   // it runs on from a fork(2), and has executed no program itself
	Threads int    // itself included
	State   byte   // state letter of proc(5): R S D T t Z X I
	UID     uint32 // effective uid; NoUID when it could not be read
	// Stranger says that its owner is neither root nor a user of this program, and that no
	// HAProxy of theirs has started it (Host.Rights).
	Stranger bool
	User     string // its login name, display only; "" when that is unknown
	Comm     string // /proc/PID/comm, display only: any process may choose its own
	Exe      string // /proc/PID/exe, without the " (deleted)" of a replaced binary
	Deleted  bool   // the executable was replaced or removed since it was started
	HAProxy  bool   // the executable is HAProxy's; false for another child of a master
	Command  Command
	// Dir is the working directory as the process itself names it, read where a
	// configuration path is relative to it. It is "" where that is not needed, and
	// after a chroot(2), which loses it.
	Dir string

	Signals SignalMasks
	PIDNS   uint64 // inode numbers of its namespaces (namespaces(7))
	NetNS   uint64
	MntNS   uint64
	Cgroup  string // path in the systemd hierarchy, as seen from our cgroup namespace
	Unit    string // systemd unit of that path, "" when there is none
	FDSize  int    // descriptor slots allocated, an upper bound of its descriptors
	// SocketClass is its place in the cgroup v1 hierarchies net_cls and net_prio, ""
	// where there is none. pidfd_getfd(2) writes the receiver's class into a socket
	// (__receive_sock in fs/file.c and net/core/sock.c, since 5.9), which changes
	// nothing where the two are in the same place.
	SocketClass string

	// Sockets is nil until it was looked at, and when it could not be.
	Sockets *Sockets
	// CLI is what the master CLI said of this worker, nil when it was not asked
	// or did not answer.
	CLI *CLIAnswer
	// Sessions is the age of its streams by the client's address, as the master
	// CLI said; nil when it was not asked or did not answer.
	Sessions map[netip.AddrPort]time.Duration
	// PrivateBytes is the memory that ends with this process (Private_Clean
	// and Private_Dirty of /proc/PID/smaps_rollup), nil when not read.
	PrivateBytes *uint64

	// Err is the first fact that could not be read.
	Err error
}

// NoUID is the uid of a process whose owner could not be read. No process has it:
// the kernel keeps (uid_t)-1 for "no change" (setresuid(2)). So an unknown owner is
// never taken for root.
const NoUID = math.MaxUint32

// SameUser tells whether two processes have one owner, as far as both are known.
func (p *Process) SameUser(q *Process) bool { return p.UID == q.UID && p.UID != NoUID }

// Identity is Command.Identity from the working directory of the process.
func (p *Process) Identity() string { return p.Command.Identity(p.Dir) }

// Age is the time since the process started.
func (p *Process) Age(boottime time.Duration) time.Duration {
	return boottime - TicksToBoottime(p.StartTicks)
}

// TicksToBoottime turns start ticks into a point of CLOCK_BOOTTIME.
func TicksToBoottime(ticks uint64) time.Duration {
	return time.Duration(ticks) * (time.Second / ticksPerSecond)
}

// Sockets is what a look at one process's sockets found.
type Sockets struct {
	// Proof is set when every descriptor was examined: only then does an empty
	// list mean "none". A search for a listener proves presence, never absence.
	Proof bool

	Listening []Listener // in LISTEN: TCP, unix stream and seqpacket
	// Unused are in LISTEN, or are datagram listeners, and are in blocking mode. A
	// systemd socket unit passed their descriptors, and the configuration names them
	// nowhere; or it passed them to a second service later.
	Unused []Listener
	Paused []Listener // bound, once listening, not now: it may come back
	// Bound are datagram listeners: unconnected UDP sockets with a port and
	// SO_REUSEADDR, which HAProxy sets on its listeners and never on those of logs
	// and resolvers (measured on 2.2 to 3.4). Where that option cannot be asked,
	// what may receive, Unsure.
	Bound []Listener
	// Unclassified describes sockets that fit no known kind.
	Unclassified []string
	// Apart is a thread that has a table of descriptors of its own, 0 when all
	// threads share that of the first. What the tables of others hold was not examined.
	Apart int
	// Inodes of the sockets met, for finding which ones two processes share.
	// Gentle looks stop after the lowest descriptors.
	Inodes map[uint64]bool

	// Ends are its connections, summed up by the process's own end; nil when they
	// were not counted.
	Ends map[End]Use
	// Connections are those of IP one by one, where Tables.Peers asked for them.
	Connections []Connection

	detail detail
}

// Listener is a socket that accepts, or may accept again, new connections.
type Listener struct {
	Network string // tcp, mptcp, udp, unix
	Address string // as ss(8) writes it
	Port    uint16 // 0 for unix
	Inode   uint64
	// V6Only says that an IPv6 address takes no IPv4 (IPV6_V6ONLY of ipv6(7));
	// false where nothing tells.
	V6Only bool
	// Unsure says that it may be a client's: of UDP, where nothing tells.
	Unsure bool
}

func (l Listener) String() string { return l.Network + " " + ShownName(l.Address) }

// CLIAnswer is the part of `show info` that tells an old worker from a current
// one, and how busy it is (management.txt, "show info"; 1.9 and later).
type CLIAnswer struct {
	Stopping bool
	// CurrConns are its client connections, those of unix sockets, of QUIC and of
	// reverse HTTP among them. Sessions of the CLI, of peers and of the master
	// do not count (LI_O_UNLIMITED, seen on 2.2 to 3.4).
	CurrConns int
	ConnRate  int // new client connections in the second before; -1 when not told
	// Listeners is how many it has, its end of the master's socket pair among them;
	// -1 when not told. One that has stopped listening has that alone: during its
	// grace it stops as well, and has more (seen on 2.2 to 3.4).
	Listeners int
	// Sockets are the addresses of its own CLI, as `show cli sockets` writes them;
	// none where that was not answered.
	Sockets []string
}
