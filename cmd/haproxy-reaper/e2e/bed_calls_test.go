package e2e

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bedCallsName is the name the test binary runs under to become the agent with a
// test before each of its system calls.
const bedCallsName = "bed-calls"

// heldCalls are the system calls that wait for the test: what a pass asks of the
// host, what it writes, and every way to a signal. Left out are those that are
// made for each descriptor of a process, by the thousand.
var heldCalls = []uint32{
	unix.SYS_OPENAT, unix.SYS_READLINKAT, unix.SYS_SOCKET, unix.SYS_CONNECT, unix.SYS_SENDTO, unix.SYS_RECVFROM,
	unix.SYS_FLOCK, unix.SYS_MKDIRAT, unix.SYS_WRITE, unix.SYS_FSYNC, unix.SYS_RENAMEAT, unix.SYS_UNLINKAT,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
}

// heldCall is a system call of an agent, not made yet. It is struct seccomp_notif
// of linux/seccomp.h.
type heldCall struct {
	id     uint64
	thread uint32 // as this process sees it
	_      uint32
	number int32
	_      uint32
	_      uint64
	args   [6]uint64
}

// signals tells whether it is a way to a signal. Signal 0 is none: the agent tries it on
// itself, and asks by it whether it may signal a process.
func (c heldCall) signals() bool {
	return c.number == unix.SYS_PIDFD_SEND_SIGNAL && c.args[1] != 0 || c.number == unix.SYS_KILL || c.number == unix.SYS_TKILL ||
		c.number == unix.SYS_TGKILL || c.number == unix.SYS_RT_SIGQUEUEINFO || c.number == unix.SYS_RT_TGSIGQUEUEINFO
}

// behind is the process, by its pid in the bed, that a pidfd of the caller's
// stands for; 0 when that has exited.
func (c heldCall) behind(pidfd uint64) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", c.thread, int32(pidfd)))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(list)
			return strconv.Atoi(fields[len(fields)-1])
		}
	}
	return 0, fmt.Errorf("descriptor %d is no pidfd: %q", pidfd, text)
}

// supervise runs an agent to its end, with before called ahead of each of its
// heldCalls: the agent's whole, not a thread's, count of them comes first.
// Meanwhile that thread of the agent stands still.
func (b *bed) supervise(args []string, before func(n int, j *job, c heldCall)) *answer {
	b.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "held calls")
	// Go interrupts its own threads, by tgkill, to share the processor among its
	// goroutines; that is not what is looked at here.
	j := b.start(command{args: append([]string{bedCallsName}, append(args, "-o", "json")...), env: []string{"GODEBUG=asyncpreemptoff=1"}, files: []*os.File{theirs}})
	theirs.Close()
	listener, err := receiveDescriptor(pair[0])
	unix.Close(pair[0])
	if err != nil {
		b.t.Fatalf("no held calls: %v: %s", err, j.stderr.String())
	}
	defer unix.Close(listener)
	for n := 0; ; {
		c, err := nextCall(listener)
		if err != nil {
			b.t.Fatal("receive a call: ", err)
		}
		if c == nil {
			return b.answer(j)
		}
		before(n, j, *c)
		if err := letGo(listener, c.id); err != nil {
			b.t.Fatal("let a call go on: ", err)
		}
		n++
	}
}

// nextCall waits for a call, nil when there is nobody left to make one.
func nextCall(listener int) (*heldCall, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		switch _, err := unix.Poll(fds, int(bedPatience.Milliseconds())); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, err
		case fds[0].Revents == 0:
			return nil, fmt.Errorf("none came in %v", bedPatience)
		case fds[0].Revents&unix.POLLIN == 0:
			return nil, nil
		}
		var c heldCall
		switch err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c)); {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOENT): // who made it was killed
		case err != nil:
			return nil, err
		default:
			return &c, nil
		}
	}
}

// letGo has a call made; one whose caller was killed never is.
func letGo(listener int, id uint64) error {
	answer := struct { // seccomp_notif_resp
		id           uint64
		value        int64
		error, flags uint32
	}{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

func ioctl(fd int, request uint, argument unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument))
	if errno != 0 {
		return errno
	}
	return nil
}

// receiveDescriptor takes the one descriptor that is sent over a unix socket.
func receiveDescriptor(socket int) (int, error) {
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(bedPatience.Seconds())}); err != nil {
		return -1, err
	}
	room := make([]byte, unix.CmsgSpace(4))
	n, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		_, n, _, _, err = unix.Recvmsg(socket, make([]byte, 1), room, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(room[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages: %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// bedCalls installs the filter, sends the other end of it to the test, and
// becomes the agent.
func bedCalls() {
	runtime.LockOSThread() // the filter is this thread's, and execve keeps it
	err := func() error {
		listener, err := filterCalls(heldCalls)
		if err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
		if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
			return fmt.Errorf("send the listener: %w", err)
		}
		unix.CloseOnExec(3)
		return unix.Exec(bedAgent, append([]string{bedAgent}, os.Args[1:]...), os.Environ())
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// filterCalls has this thread, and its children, wait for the listener before
// each of the calls (seccomp_unotify(2), Linux 5.19).
func filterCalls(numbers []uint32) (listener int, err error) {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // seccomp_data.nr
	for i, number := range numbers {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jt: uint8(len(numbers) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// A signal, once a call has been received, does not make it come twice.
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
