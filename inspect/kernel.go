package inspect

import (
	"context"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel is every call that looking and signalling make to the operating
// system, one method a call. It is the one seam between this program and the
// host: Linux is the real one, and a test can put an error, or another world,
// behind each method.
//
// Errors are the errno of the call, so that errors.Is(err, unix.EPERM) and the
// like hold. Descriptors that a method returns are the caller's to close and
// are close-on-exec.
type Kernel interface {
	// Pids lists the process ids of /proc. The order means nothing.
	Pids(ctx context.Context) ([]int, error)
	// ReadFile reads a file of /proc or a file of the host's own, at most limit
	// bytes of it; a longer one is an error (unix.EFBIG), never cut short. Only a
	// regular file is opened at all, and what a symbolic link to one leads to:
	// /dev/null is empty, all else is ErrNotRegular.
	ReadFile(path string, limit int) ([]byte, error)
	// OpenNamed opens a file that the arguments of a process name, to be read in
	// parts and closed. As ReadFile it opens nothing but a regular file. The file
	// system must keep files, else the error is ErrNotKept.
	OpenNamed(path string) (io.ReadCloser, error)
	// ReadDir lists the names in a directory, in order, and opens nothing else; more
	// than 10,000 are an error (unix.EFBIG). The file system must keep files, else
	// the error is ErrNotKept.
	ReadDir(path string) ([]string, error)
	// Changed is when a file or symbolic link last changed in any way (st_ctime
	// of lstat(2)). Unlike st_mtime nobody can set it, and what is moved into
	// place has a new one.
	Changed(path string) (time.Time, error)
	// Owner is the user that owns a file, by stat(2). The owner of the folder /proc/PID
	// is the effective user of the process, also where the process is not dumpable
	// (task_dump_owner of fs/proc/base.c).
	Owner(path string) (uid uint32, err error)
	// Readlink reads a symbolic link, at most 4096 bytes of it.
	Readlink(path string) (string, error)

	// OpenDescriptors lists descriptors that a process has open, in order and
	// from one on: some of the lowest, none when there is none. Needs
	// PTRACE_MODE_READ, and CAP_DAC_READ_SEARCH for another user's.
	OpenDescriptors(pid, from int) ([]int, error)

	// SameDescriptors tells whether two tasks share one table of descriptors: kcmp(2)
	// with KCMP_FILES. Needs PTRACE_MODE_READ_REALCREDS, and a kernel with
	// CONFIG_KCMP; else it is ENOSYS.
	SameDescriptors(pid, tid int) (bool, error)

	// Threads lists the threads of a process, itself included. Those after the first
	// 10,000 are an error (unix.EFBIG).
	Threads(pid int) ([]int, error)

	// PidfdOpen is pidfd_open(2), Linux 5.3.
	PidfdOpen(pid int) (fd int, err error)
	// PidfdGetfd is pidfd_getfd(2), Linux 5.6: a duplicate of descriptor fd of
	// the process behind pidfd. Needs PTRACE_MODE_ATTACH_REALCREDS.
	PidfdGetfd(pidfd, fd int) (dup int, err error)
	// PidfdSendSignal is pidfd_send_signal(2), Linux 5.1.
	PidfdSendSignal(pidfd int, signal syscall.Signal) error
	// MaySignal is pidfd_send_signal(2) of signal 0, which sends nothing: the kernel
	// checks whether this program may signal the process (kill(2)). EPERM is no.
	MaySignal(pidfd int) error
	// Poll waits until one of the descriptors is readable (for a pidfd: the
	// process has exited, all its threads included) or the timeout has passed,
	// and tells which are.
	Poll(fds []int, timeout time.Duration) (ready []bool, err error)
	// Close closes a descriptor of our own.
	Close(fd int) error

	// SockoptInt is getsockopt(2) of an integer option.
	SockoptInt(fd, level, option int) (int, error)
	// SockoptBytes is getsockopt(2) of any option, and how many bytes of value it
	// wrote.
	SockoptBytes(fd, level, option int, value []byte) (int, error)
	// StatusFlags are the file status flags of an open descriptor (F_GETFL of
	// fcntl(2)), O_NONBLOCK among them: they are shared by all who hold it.
	StatusFlags(fd int) (int, error)
	// TCPInfo is getsockopt(2) of TCP_INFO; fields unknown to the kernel are 0.
	TCPInfo(fd int, info *unix.TCPInfo) error
	// SockName is getsockname(2), PeerName getpeername(2).
	SockName(fd int) (SockAddr, error)
	PeerName(fd int) (SockAddr, error)
	// Inode is the inode number of an open descriptor, by fstat(2).
	Inode(fd int) (uint64, error)
	// Shutdown is shutdown(2) of a socket: how is unix.SHUT_RD or unix.SHUT_RDWR.
	// It reaches the socket itself, through whichever descriptor.
	Shutdown(fd, how int) error

	// NetlinkOpen opens a NETLINK_SOCK_DIAG socket (sock_diag(7)) in the network
	// namespace of this process, with a receive timeout of one second.
	NetlinkOpen() (fd int, err error)
	// NetlinkSend sends one request, NetlinkRecv receives into buf.
	NetlinkSend(fd int, request []byte) error
	NetlinkRecv(fd int, buf []byte) (n int, err error)

	// Euid is the effective user of this process.
	Euid() uint32
	// OpenIn opens the place that a path leads to (O_PATH of open(2)): whatever is
	// there is neither read nor connected to. root is taken for the root directory,
	// which neither a link nor ".." leaves. With "" the path is followed as ever.
	OpenIn(root, path string) (fd int, err error)
	// ModeAndOwner is the kind of a file with its permissions (st_mode), and its user,
	// by fstat(2).
	ModeAndOwner(fd int) (mode, uid uint32, err error)
	// Dial connects to a stream socket: network is "unix" or "tcp".
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// PeerCred is the process that listens on the unix socket that a connection of
	// Dial's was made to, and its user, as they were when it began to listen
	// (SO_PEERCRED of unix(7)). The pid is 0 for a process outside of our PID namespace.
	PeerCred(conn net.Conn) (pid int, uid uint32, err error)

	// UserName is the login name of a uid, or the number where it has none. It is
	// shown, and decides nothing.
	UserName(uid uint32) string

	// Now is the wall clock; it orders nothing and decides nothing.
	Now() time.Time
	// Boottime is CLOCK_BOOTTIME, the clock that start ticks are counted on.
	Boottime() time.Duration
	// Sleep waits, or returns the context's error as soon as that is done.
	Sleep(ctx context.Context, d time.Duration) error
}
