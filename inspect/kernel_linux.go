package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// Linux is the Kernel of the host this program runs on.
type Linux struct{}

var _ Kernel = Linux{}

// Pids lists /proc by gopsutil, which may do that and nothing more: its
// start times are whole seconds that move with the wall clock, and its signals
// go to whoever has the pid by then. HOST_PROC, which gopsutil would follow, is
// pinned, because everything else is read from /proc.
func (Linux) Pids(ctx context.Context) ([]int, error) {
	ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: "/proc"})
	list, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil, err
	}
	pids := make([]int, len(list))
	for i, pid := range list {
		pids[i] = int(pid)
	}
	return pids, nil
}

// ReadFile reads without the stat and the growing buffer of os.ReadFile: files
// of /proc have no size, and most of ours fit one read.
func (Linux) ReadFile(path string, limit int) ([]byte, error) {
	fd, err := openOnly(path, unix.S_IFREG, false)
	if err != nil || fd < 0 {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, min(4096, limit+1))
	for {
		if len(buf) > limit {
			return nil, unix.EFBIG
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*cap(buf), limit+1))
			copy(grown, buf)
			buf = grown
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return buf, nil
		}
		buf = buf[:len(buf)+n]
	}
}

func (Linux) OpenNamed(path string) (io.ReadCloser, error) {
	switch fd, err := openOnly(path, unix.S_IFREG, true); {
	case err != nil:
		return nil, err
	case fd < 0:
		return io.NopCloser(strings.NewReader("")), nil
	default:
		return os.NewFile(uintptr(fd), path), nil
	}
}

// openOnly opens a file of one kind (S_IFREG or S_IFDIR) to read, or what a
// symbolic link leads to; -1, without an error, is the null device. Of others not
// even the open is free: that of a FIFO takes the word from a writer or waits for
// one, that of a watchdog starts it. kept says that the file system must keep
// files, see keepsFiles. So what it is is asked of a descriptor that opens nothing
// (O_PATH, open(2)), and then that very file is opened.
func openOnly(path string, kind uint32, kept bool) (fd int, err error) {
	place, err := retry(func() (int, error) { return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return -1, err
	}
	defer unix.Close(place)
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil {
		return -1, err
	}
	switch is := st.Mode & unix.S_IFMT; {
	case is == kind:
	case kind == unix.S_IFDIR:
		return -1, unix.ENOTDIR
	case is == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3): // null(4), on every Linux
		return -1, nil
	default:
		return -1, ErrNotRegular
	}
	if kept {
		if err := keepsFiles(place); err != nil {
			return -1, err
		}
	}
	return retry(func() (int, error) {
		return unix.Open("/proc/self/fd/"+strconv.Itoa(place), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
}

// keepsFiles says that the file system of an open file keeps what is written to
// it, by ErrNotKept that it does not.
//
// A file system without a single block keeps nothing: all of the kernel's own
// report that (simple_statfs of fs/libfs.c: proc, sysfs, tracefs, debugfs, cgroup,
// bpf, securityfs, configfs, autofs), those that a later kernel brings too. A list
// of those would grow old, and so would one of the others. In memory tmpfs without
// a limit and ramfs report none either. For FUSE a program answers, which may be
// anybody's.
func keepsFiles(fd int) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	switch {
	case fs.Type == unix.FUSE_SUPER_MAGIC:
		return ErrNotKept
	case fs.Blocks > 0, fs.Type == unix.TMPFS_MAGIC, fs.Type == unix.RAMFS_MAGIC:
		return nil
	}
	return ErrNotKept
}

// ReadDir opens nothing but a directory, or it would wait for a writer to a FIFO.
func (Linux) ReadDir(path string) ([]string, error) {
	fd, err := openOnly(path, unix.S_IFDIR, true)
	if err != nil {
		return nil, err
	}
	return listNames(os.NewFile(uintptr(fd), path))
}

func (Linux) Threads(pid int) ([]int, error) {
	dir, err := os.Open(procPath(pid, "task"))
	if err != nil {
		return nil, err
	}
	names, err := listNames(dir)
	if err != nil {
		return nil, err
	}
	tids := make([]int, len(names))
	for i, name := range names {
		if tids[i], err = strconv.Atoi(name); err != nil {
			return nil, unix.EBADMSG // no kernel that we know
		}
	}
	return tids, nil
}

// listNames lists the names in a directory, in order, and closes it.
func listNames(dir *os.File) ([]string, error) {
	defer dir.Close()
	names, err := dir.Readdirnames(maxNames + 1)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	case len(names) > maxNames:
		return nil, unix.EFBIG
	}
	slices.Sort(names)
	return names, nil
}

// maxNames is the most that is listed of one directory: anybody can fill one and
// name it in the arguments of a process.
const maxNames = 10000

func (Linux) Changed(path string) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return time.Time{}, err
	}
	return time.Unix(st.Ctim.Unix()), nil
}

func (Linux) Owner(path string) (uint32, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return st.Uid, err
}

func (Linux) Readlink(path string) (string, error) {
	var buf [4096]byte
	n, err := retry(func() (int, error) { return unix.Readlink(path, buf[:]) })
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

func (Linux) PidfdOpen(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }

// TCPInfo, SockoptInt and SockName are made for each descriptor of an old worker
// and never wait for anything but a lock that is held for an instant, so they
// are made without a word to Go's scheduler: that is some 50 ns less each.
// Close is not, for it may have to linger; nor is PidfdGetfd, which waits while the
// process executes a program. A call that Go's scheduler does not know of, and that
// does not return, holds up the whole program.
func (Linux) PidfdGetfd(pidfd, fd int) (int, error) {
	dup, _, errno := unix.Syscall(unix.SYS_PIDFD_GETFD, uintptr(pidfd), uintptr(fd), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(dup), nil
}

func (Linux) OpenDescriptors(pid, from int) ([]int, error) {
	dir, err := retry(func() (int, error) {
		return unix.Open(procPath(pid, "fd"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	// The kernel's position in this directory is the descriptor and two, for the
	// entries . and .. (fs/proc/fd.c, all versions that have pidfds).
	if _, err := unix.Seek(dir, int64(from)+2, io.SeekStart); err != nil {
		return nil, err
	}
	var buf [4096]byte
	n, err := retry(func() (int, error) { return unix.Getdents(dir, buf[:]) })
	if err != nil {
		return nil, err
	}
	_, _, names := unix.ParseDirent(buf[:n], -1, nil)
	fds := make([]int, 0, len(names))
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd < from || len(fds) > 0 && fd <= fds[len(fds)-1] {
			return nil, unix.EBADMSG // no kernel that we know
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// SameDescriptors may wait while one of the tasks executes a program, so Go's
// scheduler is told.
func (Linux) SameDescriptors(pid, tid int) (bool, error) {
	const kcmpFiles = 2 // of linux/kcmp.h
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(tid), kcmpFiles, 0, 0, 0)
	if errno != 0 {
		return false, errno
	}
	return order == 0, nil
}

func (Linux) PidfdSendSignal(pidfd int, signal syscall.Signal) error {
	return unix.PidfdSendSignal(pidfd, signal, nil, 0)
}

func (l Linux) MaySignal(pidfd int) error { return l.PidfdSendSignal(pidfd, 0) }

func (Linux) Poll(fds []int, timeout time.Duration) ([]bool, error) {
	list := make([]unix.PollFd, len(fds))
	for i, fd := range fds {
		list[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	_, err := unix.Poll(list, int(timeout.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, err
	}
	ready := make([]bool, len(fds))
	for i := range list {
		if list[i].Revents&unix.POLLNVAL != 0 {
			return nil, unix.EBADF
		}
		ready[i] = list[i].Revents&(unix.POLLIN|unix.POLLHUP) != 0
	}
	return ready, nil
}

func (Linux) Close(fd int) error { return unix.Close(fd) }

func (Linux) SockoptInt(fd, level, option int) (int, error) {
	var value int32
	size := uint32(unsafe.Sizeof(value))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(value), nil
}

func (Linux) SockoptBytes(fd, level, option int, value []byte) (int, error) {
	size := uint32(len(value))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(unsafe.SliceData(value))), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(size), nil
}

func (Linux) StatusFlags(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0) }

// TCPInfo fills the caller's buffer: unix.GetsockoptTCPInfo allocates one for
// every connection.
func (Linux) TCPInfo(fd int, info *unix.TCPInfo) error {
	*info = unix.TCPInfo{}
	size := uint32(unsafe.Sizeof(*info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (Linux) SockName(fd int) (SockAddr, error) { return sockAddr(unix.SYS_GETSOCKNAME, fd) }

func (Linux) PeerName(fd int) (SockAddr, error) { return sockAddr(unix.SYS_GETPEERNAME, fd) }

func (Linux) Inode(fd int) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Ino, err
}

func (Linux) Shutdown(fd, how int) error { return unix.Shutdown(fd, how) }

// NetlinkOpen asks for a large receive buffer and a timeout: a dump must
// neither be cut short nor hang a pass.
func (Linux) NetlinkOpen() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (Linux) NetlinkSend(fd int, request []byte) error {
	return unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

func (Linux) NetlinkRecv(fd int, buf []byte) (int, error) {
	return retry(func() (int, error) {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		return n, err
	})
}

func (Linux) Euid() uint32 { return uint32(os.Geteuid()) }

func (Linux) OpenIn(root, path string) (int, error) {
	if root == "" {
		return retry(func() (int, error) { return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0) })
	}
	return openIn(root, path)
}

func (Linux) ModeAndOwner(fd int) (mode, uid uint32, err error) {
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	return st.Mode, st.Uid, err
}

func (Linux) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (Linux) PeerCred(conn net.Conn) (pid int, uid uint32, err error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, 0, unix.ENOTSOCK
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, credErr); err != nil {
		return 0, 0, err
	}
	return int(cred.Pid), cred.Uid, nil
}

func (Linux) UserName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

func (Linux) Now() time.Time { return time.Now() }

func (Linux) Boottime() time.Duration {
	var ts unix.Timespec
	// CLOCK_BOOTTIME exists on every kernel that has pidfds; it cannot fail.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}

func (Linux) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// BootID names this boot of the host (random(4)); remembered times of another
// boot mean nothing.
func BootID(k Kernel) (string, error) {
	b, err := k.ReadFile("/proc/sys/kernel/random/boot_id", 64)
	if err != nil {
		return "", readError("boot id", "/proc/sys/kernel/random/boot_id", err)
	}
	if len(b) == 0 {
		return "", readError("boot id", "/proc/sys/kernel/random/boot_id", io.ErrUnexpectedEOF)
	}
	return trimNewline(b), nil
}

// Hostname is the host's own name, for the report's head.
func Hostname() string {
	name, _ := os.Hostname()
	return name
}

// retry repeats a call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func trimNewline(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return string(b)
}

// DropEffectiveCapabilities takes the effective capabilities of capabilities(7)
// from all threads of this process. The permitted ones stay, since a child under
// no_new_privs gets no others. The error is ENOTSUP in a program that was built
// with cgo and has any: Go cannot reach all threads of such a program
// (syscall.AllThreadsSyscall).
func DropEffectiveCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 32 capabilities each
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	if data[0].Effective == 0 && data[1].Effective == 0 {
		return nil
	}
	data[0].Effective, data[1].Effective = 0, 0
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP: // capset(2) itself has no such error
		return fmt.Errorf("%w: this program was built with cgo, build it with CGO_ENABLED=0", os.NewSyscallError("capset", errno))
	}
	return os.NewSyscallError("capset", errno)
}
