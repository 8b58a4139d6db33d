package fakehost

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

var _ inspect.Kernel = (*World)(nil)

// Pids implements inspect.Kernel.
func (w *World) Pids(context.Context) ([]int, error) {
	if err := w.enter("Pids", "/proc"); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.procs)), nil
}

// ReadFile implements inspect.Kernel.
func (w *World) ReadFile(name string, limit int) ([]byte, error) {
	if err := w.enter("ReadFile", name); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	text, ok := w.files[name]
	if name == "/proc/self/cgroup" && !ok {
		text, ok = v1Cgroup(w.SocketClass)+"0::/system.slice/haproxy-reaper.service\n", true
	}
	if p, file := w.procFile(name); p != nil && !ok {
		text, ok = p.file(file)
		if strings.HasSuffix(file, "/children") {
			text, ok = w.children(p), true
		}
	}
	switch {
	case !ok:
		return nil, unix.ENOENT
	case len(text) > limit:
		return nil, unix.EFBIG
	}
	return []byte(text), nil
}

// OpenNamed implements inspect.Kernel: it is ReadFile of any size.
func (w *World) OpenNamed(name string) (io.ReadCloser, error) {
	b, err := w.ReadFile(name, math.MaxInt)
	return io.NopCloser(strings.NewReader(string(b))), err
}

// procFile splits a path below /proc/PID.
func (w *World) procFile(name string) (*Proc, string) {
	rest, ok := strings.CutPrefix(name, "/proc/")
	if !ok {
		return nil, ""
	}
	number, file, _ := strings.Cut(rest, "/")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return nil, ""
	}
	return w.task(pid), file
}

// firstThread is where the numbers of threads begin: those of process 100 are
// 1000100, 2000100 and so on, besides itself.
const firstThread = 1_000_000

// task is the process of a number, which may be that of one of its threads.
func (w *World) task(tid int) *Proc {
	p := w.procs[tid%firstThread]
	if p == nil || tid/firstThread >= max(p.Threads, 1) {
		return nil
	}
	return p
}

// table is the sockets of a task, from descriptor 3 on.
func (p *Proc) table(tid int) []Socket {
	if p.Apart != nil && tid/firstThread == 1 {
		return p.Apart
	}
	return p.Sockets
}

// Threads implements inspect.Kernel.
func (w *World) Threads(pid int) ([]int, error) {
	if err := w.enter("Threads", strconv.Itoa(pid)); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	p := w.procs[pid]
	if p == nil {
		return nil, unix.ENOENT
	}
	var tids []int
	for i := range p.Threads {
		tids = append(tids, pid+i*firstThread)
	}
	return tids, nil
}

// SameDescriptors implements inspect.Kernel.
func (w *World) SameDescriptors(pid, tid int) (bool, error) {
	if err := w.enter("SameDescriptors", strconv.Itoa(pid)); err != nil {
		return false, err
	}
	defer w.mu.Unlock()
	p := w.task(pid)
	if p == nil || p != w.task(tid) {
		return false, unix.ESRCH
	}
	return p.Apart == nil || (pid/firstThread == 1) == (tid/firstThread == 1), nil
}

func (w *World) children(p *Proc) string {
	var list []string
	for _, pid := range slices.Sorted(maps.Keys(w.procs)) {
		if w.procs[pid].PPID == p.PID {
			list = append(list, strconv.Itoa(pid))
		}
	}
	return strings.Join(list, " ")
}

// file is the text of a file below /proc/PID.
func (p *Proc) file(name string) (string, bool) {
	switch name {
	case "comm":
		return p.Comm + "\n", true
	case "stat", "task/" + strconv.Itoa(p.PID+firstThread) + "/stat":
		flags := 4194560
		if p.Exiting {
			flags |= 1 << 2
		}
		if p.Forked {
			flags |= 1 << 6
		}
		return fmt.Sprintf("%d (%s) %c %d 1 %d 0 -1 %d 1 1 0 0 1 1 0 0 20 0 %d 0 %d 1 1 1\n", p.PID, p.Comm, p.State, p.PPID, p.Session, flags, p.Threads, p.Ticks), true
	case "status":
		return fmt.Sprintf("Name:\t%s\nPid:\t%d\nUid:\t%d\t%d\t%d\t%d\nFDSize:\t%d\nNSpid:\t%d\t%d\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n",
			p.Comm, p.PID, p.UID, p.UID, p.UID, p.UID, 3+len(p.Sockets), p.PID, p.NSPID, p.Masks.Blocked, p.Masks.Ignored, p.Masks.Caught), true
	case "cmdline":
		return strings.Join(append(slices.Clone(p.Args), ""), "\x00"), true
	case "cgroup":
		return v1Cgroup(p.SocketClass) + "0::" + p.Cgroup + "\n", true
	case "smaps_rollup":
		return "Private_Clean: 100 kB\nPrivate_Dirty: 900 kB\n", true
	}
	return "", false
}

func v1Cgroup(class string) string {
	if class == "" {
		return ""
	}
	return "3:net_cls,net_prio:" + class + "\n"
}

// ReadDir implements inspect.Kernel. A directory is where files were written.
func (w *World) ReadDir(name string) ([]string, error) {
	if err := w.enter("ReadDir", name); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	var names []string
	for _, file := range slices.Sorted(maps.Keys(w.files)) {
		if dir, base := path.Split(file); dir == name+"/" {
			names = append(names, base)
		}
	}
	if names == nil {
		return nil, unix.ENOTDIR
	}
	return names, nil
}

// Owner implements inspect.Kernel, for the folders of processes.
func (w *World) Owner(name string) (uint32, error) {
	if err := w.enter("Owner", name); err != nil {
		return 0, err
	}
	defer w.mu.Unlock()
	pid, _ := strconv.Atoi(strings.TrimPrefix(name, "/proc/"))
	p := w.procs[pid]
	if p == nil {
		return 0, unix.ENOENT
	}
	return p.UID, nil
}

// Changed implements inspect.Kernel.
func (w *World) Changed(name string) (time.Time, error) {
	if err := w.enter("Changed", name); err != nil {
		return time.Time{}, err
	}
	defer w.mu.Unlock()
	at, ok := w.changed[name]
	for file, written := range w.changed { // a directory changes with its files
		if !ok && strings.HasPrefix(file, name+"/") {
			at = max(at, written)
		}
	}
	if !ok && at == 0 {
		return time.Time{}, unix.ENOENT
	}
	return now(at), nil
}

// exists tells a file or link that was put in place, and a directory of one.
func (w *World) exists(name string) bool {
	for file := range w.changed {
		if file == name || strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

// Readlink implements inspect.Kernel.
func (w *World) Readlink(name string) (string, error) {
	if err := w.enter("Readlink", name); err != nil {
		return "", err
	}
	defer w.mu.Unlock()
	own := map[string]uint64{"/proc/self/ns/pid": PIDNS, "/proc/self/ns/net": NetNS, "/proc/self/ns/mnt": MntNS}
	if inode, ok := own[name]; ok {
		return fmt.Sprintf("%s:[%d]", path.Base(name), inode), nil
	}
	if target, ok := w.links[name]; ok {
		return target, nil
	}
	p, file := w.procFile(name)
	switch {
	case w.exists(name):
		return "", unix.EINVAL
	case p == nil:
		return "", unix.ENOENT
	}
	switch dir, base := path.Split(file); {
	case file == "exe" && p.Exiting:
		return "", unix.ENOENT
	case file == "exe":
		return p.Exe, nil
	case file == "cwd":
		return cmp.Or(p.Dir, "/"), nil
	case file == "root":
		return cmp.Or(p.Root, "/"), nil
	case file == "ns/pid":
		return fmt.Sprintf("pid:[%d]", p.PIDNS), nil
	case file == "ns/net":
		return fmt.Sprintf("net:[%d]", p.NetNS), nil
	case file == "ns/mnt":
		return fmt.Sprintf("mnt:[%d]", MntNS), nil
	case dir == "fd/":
		fd, _ := strconv.Atoi(base)
		if fd < 3 {
			return "/dev/null", nil
		}
		number, _ := strconv.Atoi(strings.Split(name, "/")[2])
		if sockets := p.table(number); fd-3 < len(sockets) {
			return fmt.Sprintf("socket:[%d]", sockets[fd-3].Inode), nil
		}
	}
	return "", unix.ENOENT
}

// OpenDescriptors implements inspect.Kernel, two at a time.
func (w *World) OpenDescriptors(pid, from int) ([]int, error) {
	if err := w.enter("OpenDescriptors", strconv.Itoa(pid)); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	p := w.task(pid)
	if p == nil {
		return nil, unix.ENOENT
	}
	var fds []int
	for fd := from; fd < 3+len(p.table(pid)) && len(fds) < 2; fd++ {
		fds = append(fds, fd)
	}
	return fds, nil
}

// PidfdOpen implements inspect.Kernel.
func (w *World) PidfdOpen(pid int) (int, error) {
	if err := w.enter("PidfdOpen", strconv.Itoa(pid)); err != nil {
		return -1, err
	}
	defer w.mu.Unlock()
	p := w.procs[pid]
	switch {
	case p == nil && pid == os.Getpid():
		return w.open(&descriptor{self: true}), nil
	case p == nil:
		return -1, unix.ESRCH
	}
	return w.open(&descriptor{proc: p}), nil
}

// PidfdGetfd implements inspect.Kernel.
func (w *World) PidfdGetfd(pidfd, fd int) (int, error) {
	if err := w.enter("PidfdGetfd", strconv.Itoa(fd)); err != nil {
		return -1, err
	}
	defer w.mu.Unlock()
	d := w.fds[pidfd]
	switch {
	case d != nil && d.self && fd < 3:
		return w.open(&descriptor{}), nil
	case d == nil || d.proc == nil:
		return -1, unix.EBADF
	case d.proc.exited:
		return -1, unix.ESRCH
	case fd < 3:
		return w.open(&descriptor{}), nil
	case fd-3 >= len(d.proc.Sockets):
		return -1, unix.EBADF
	}
	socket := d.proc.Sockets[fd-3]
	return w.open(&descriptor{socket: &socket, owner: d.proc, place: fd - 3}), nil
}

// PidfdSendSignal implements inspect.Kernel.
func (w *World) PidfdSendSignal(pidfd int, signal syscall.Signal) error {
	if err := w.enter("PidfdSendSignal", signal.String()); err != nil {
		return err
	}
	defer w.mu.Unlock()
	d := w.fds[pidfd]
	switch {
	case d != nil && d.self && signal == 0:
		return nil
	case d == nil || d.proc == nil:
		return unix.EBADF
	}
	return w.deliver(d.proc, signal)
}

// MaySignal implements inspect.Kernel.
func (w *World) MaySignal(pidfd int) error {
	if err := w.enter("MaySignal", strconv.Itoa(pidfd)); err != nil {
		return err
	}
	defer w.mu.Unlock()
	switch d := w.fds[pidfd]; {
	case d == nil || d.proc == nil:
		return unix.EBADF
	case d.proc.exited:
		return unix.ESRCH
	case d.proc.Forbidden:
		return unix.EPERM
	}
	return nil
}

// Poll implements inspect.Kernel. A timeout passes in no time at all.
func (w *World) Poll(fds []int, timeout time.Duration) ([]bool, error) {
	if err := w.enter("Poll", fmt.Sprint(fds)); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	ready := make([]bool, len(fds))
	any := false
	for i, fd := range fds {
		d := w.fds[fd]
		if d == nil || d.proc == nil {
			return nil, unix.EBADF
		}
		ready[i] = d.proc.exited
		any = any || ready[i]
	}
	if !any {
		w.clock += timeout
	}
	return ready, nil
}

// Close implements inspect.Kernel.
func (w *World) Close(fd int) error {
	if err := w.enter("Close", strconv.Itoa(fd)); err != nil {
		return err
	}
	defer w.mu.Unlock()
	if w.fds[fd] == nil {
		return unix.EBADF
	}
	delete(w.fds, fd)
	return nil
}

func (w *World) socket(call string, fd int) (*Socket, error) {
	if err := w.enter(call, strconv.Itoa(fd)); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	d := w.fds[fd]
	switch {
	case d == nil:
		return nil, unix.EBADF
	case d.socket == nil:
		return nil, unix.ENOTSOCK
	}
	return d.socket, nil
}

// SockoptInt implements inspect.Kernel.
func (w *World) SockoptInt(fd, _, option int) (int, error) {
	s, err := w.socket("SockoptInt", fd)
	if err != nil {
		return 0, err
	}
	set := false
	switch option {
	case unix.SO_TYPE:
		return s.Type, nil
	case unix.SO_PROTOCOL:
		if s.MPTCP {
			return unix.IPPROTO_MPTCP, nil
		}
		return s.protocol(), nil
	case unix.SO_ACCEPTCONN:
		set = s.Listening
	case unix.IPV6_V6ONLY:
		if s.MPTCP { // as older kernels have it
			return 0, unix.EOPNOTSUPP
		}
		set = s.V6Only
	case unix.SO_REUSEADDR:
		set = s.ReuseAddr
	case unix.SO_REUSEPORT:
		set = s.ReusePort
	}
	if set {
		return 1, nil
	}
	return 0, nil
}

// SockoptBytes implements inspect.Kernel: MPTCP_INFO alone, of which it tells
// whether the socket was a connection.
func (w *World) SockoptBytes(fd, _, _ int, value []byte) (int, error) {
	s, err := w.socket("SockoptBytes", fd)
	switch {
	case err != nil:
		return 0, err
	case !s.MPTCP:
		return 0, unix.EOPNOTSUPP
	}
	clear(value)
	if s.Segments > 0 {
		binary.NativeEndian.PutUint32(value[8:], 1<<1)
	}
	return len(value), nil
}

// StatusFlags implements inspect.Kernel.
func (w *World) StatusFlags(fd int) (int, error) {
	s, err := w.socket("StatusFlags", fd)
	if err != nil || s.Blocking {
		return unix.O_RDWR, err
	}
	return unix.O_RDWR | unix.O_NONBLOCK, nil
}

// TCPInfo implements inspect.Kernel.
func (w *World) TCPInfo(fd int, info *unix.TCPInfo) error {
	s, err := w.socket("TCPInfo", fd)
	switch {
	case err != nil:
		return err
	case s.Type != unix.SOCK_STREAM || s.Family == unix.AF_UNIX:
		return unix.ENOPROTOOPT
	}
	*info = s.tcpInfo()
	info.State = s.state()
	return nil
}

func (s *Socket) tcpInfo() unix.TCPInfo {
	info := unix.TCPInfo{
		State: s.State, Segs_in: s.Segments, Segs_out: s.Segments,
		Last_data_sent: s.IdleMillisecond, Last_data_recv: s.IdleMillisecond, Bytes_received: uint64(s.Segments) * 100,
	}
	if s.Made {
		info.Bytes_acked = 1
	}
	if s.Busy {
		info.Bytes_sent, info.Unacked = 1000, 1
	}
	return info
}

// SockName implements inspect.Kernel.
func (w *World) SockName(fd int) (inspect.SockAddr, error) {
	s, err := w.socket("SockName", fd)
	if err != nil {
		return inspect.SockAddr{}, err
	}
	return s.address(s.Local), nil
}

// PeerName implements inspect.Kernel.
func (w *World) PeerName(fd int) (inspect.SockAddr, error) {
	s, err := w.socket("PeerName", fd)
	switch {
	case err != nil:
		return inspect.SockAddr{}, err
	case s.Peer == "":
		return inspect.SockAddr{}, unix.ENOTCONN
	}
	return s.address(s.Peer), nil
}

func (s *Socket) address(text string) inspect.SockAddr {
	a := inspect.SockAddr{Family: s.Family}
	if s.Family == unix.AF_UNIX {
		a.Path = text
	} else {
		a.IP, _ = netip.ParseAddrPort(text)
	}
	return a
}

// Inode implements inspect.Kernel.
func (w *World) Inode(fd int) (uint64, error) {
	s, err := w.socket("Inode", fd)
	if err != nil {
		return 0, err
	}
	return s.Inode, nil
}

// Shutdown implements inspect.Kernel.
func (w *World) Shutdown(fd, how int) error {
	if err := w.enter("Shutdown", strconv.Itoa(fd)); err != nil {
		return err
	}
	defer w.mu.Unlock()
	d := w.fds[fd]
	switch {
	case d == nil:
		return unix.EBADF
	case d.socket == nil:
		return unix.ENOTSOCK
	}
	return w.hangUp(d, how)
}

// Euid implements inspect.Kernel.
func (w *World) Euid() uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.EUID
}

// OpenIn implements inspect.Kernel: any path in the root directory of a process is
// the socket of its master CLI.
func (w *World) OpenIn(root, name string) (int, error) {
	if err := w.enter("OpenIn", root+name); err != nil {
		return -1, err
	}
	defer w.mu.Unlock()
	p, _ := w.procFile(root)
	if p == nil {
		return -1, unix.ENOENT
	}
	return w.open(&descriptor{cli: p}), nil
}

// ModeAndOwner implements inspect.Kernel: of what OpenIn opened.
func (w *World) ModeAndOwner(fd int) (mode, uid uint32, err error) {
	if err := w.enter("ModeAndOwner", strconv.Itoa(fd)); err != nil {
		return 0, 0, err
	}
	defer w.mu.Unlock()
	d := w.fds[fd]
	if d == nil || d.cli == nil {
		return 0, 0, unix.EBADF
	}
	return unix.S_IFSOCK | 0o600, d.cli.UID, nil
}

// Dial implements inspect.Kernel: the master CLI of the process that OpenIn opened it
// of.
func (w *World) Dial(_ context.Context, network, address string) (net.Conn, error) {
	if err := w.enter("Dial", address); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	number, _ := strings.CutPrefix(address, "/proc/self/fd/")
	fd, _ := strconv.Atoi(number)
	d := w.fds[fd]
	if d == nil || d.cli == nil || d.cli.CLI == nil || network != "unix" {
		return nil, unix.ECONNREFUSED
	}
	near, far := net.Pipe()
	go converse(far, maps.Clone(d.cli.CLI))
	return connection{near, d.cli.PID, d.cli.UID}, nil
}

// Silence in place of an answer is that none ever comes.
const Silence = "silence"

// converse answers command after command, as Proc.CLI says. It waits for no reader, as
// a socket does not.
func converse(c net.Conn, answers map[string]string) {
	written := make(chan string, 1000)
	go func() {
		defer c.Close()
		for answer := range written {
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}()
	defer close(written)
	in := bufio.NewScanner(c)
	for in.Scan() {
		answer, known := answers[in.Text()]
		switch {
		case answer == Silence:
			_, _ = io.Copy(io.Discard, c)
			return
		case !known && strings.HasSuffix(in.Text(), "show cli sockets"):
			answer = "\n"
		case !known && strings.HasPrefix(in.Text(), "@!"):
			answer = "Can't find the target PID matching the prefix '" + in.Text() + "'\n"
		}
		written <- answer
		if answer != "\n" && !strings.HasSuffix(answer, "\n\n") {
			return
		}
	}
}

// connection is one of Dial's.
type connection struct {
	net.Conn
	pid int
	uid uint32
}

// PeerCred implements inspect.Kernel.
func (w *World) PeerCred(conn net.Conn) (pid int, uid uint32, err error) {
	if err := w.enter("PeerCred", ""); err != nil {
		return 0, 0, err
	}
	defer w.mu.Unlock()
	c, ok := conn.(connection)
	if !ok {
		return 0, 0, unix.ENOTSOCK
	}
	return c.pid, c.uid, nil
}

// UserName implements inspect.Kernel.
func (w *World) UserName(uid uint32) string { return strconv.Itoa(int(uid)) }

// Now implements inspect.Kernel.
func (w *World) Now() time.Time { return now(w.Boottime()) }

func now(clock time.Duration) time.Time {
	return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).Add(clock - time.Hour)
}

// Boottime implements inspect.Kernel.
func (w *World) Boottime() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// Sleep implements inspect.Kernel: time passes at once.
func (w *World) Sleep(ctx context.Context, d time.Duration) error {
	if err := w.enter("Sleep", d.String()); err != nil {
		return err
	}
	defer w.mu.Unlock()
	w.clock += d
	return ctx.Err()
}
