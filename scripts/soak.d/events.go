package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's process events connector, linux/cn_proc.h: it tells each fork,
// exec and exit of the host, with the wait status of what has ended, whoever is
// its parent. The numbers are missing in x/sys.
const (
	cnIdxProc      = 1
	cnValProc      = 1
	procListen     = 1
	procEventFork  = 0x1
	procEventExec  = 0x2
	procEventExit  = 0x80000000
	cnMessageBytes = 20 // struct cn_msg
)

// event is what has become of a process. Pids are the host's.
type event struct {
	at     time.Duration // CLOCK_MONOTONIC
	what   uint32        // procEventFork, procEventExec, procEventExit
	pid    int
	parent int             // of a fork
	status unix.WaitStatus // of an exit
}

// listenEvents opens the connector. It must be in the first PID and network
// namespace of the host, as root.
func listenEvents() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_CONNECTOR)
	if err != nil {
		return 0, fmt.Errorf("open the process events connector: %w", err)
	}
	// An event that did not fit would be a process that nobody judges.
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: cnIdxProc}); err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("join the process events: %w", err)
	}
	message := make([]byte, unix.SizeofNlMsghdr+cnMessageBytes+4)
	order := binary.NativeEndian
	order.PutUint32(message[0:], uint32(len(message)))
	order.PutUint16(message[4:], unix.NLMSG_DONE)
	body := message[unix.SizeofNlMsghdr:]
	order.PutUint32(body[0:], cnIdxProc)
	order.PutUint32(body[4:], cnValProc)
	order.PutUint16(body[16:], 4)
	order.PutUint32(body[cnMessageBytes:], procListen)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("ask for process events: %w", err)
	}
	return fd, nil
}

// readEvents calls f for each event until it returns false, or fd is closed. An
// error says that events were lost.
func readEvents(fd int, f func(event) bool) error {
	buf := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EBADF):
			return nil
		case err != nil:
			return fmt.Errorf("read process events: %w", err)
		}
		if e, ok := parseEvent(buf[:n]); ok && !f(e) {
			return nil
		}
	}
}

// parseEvent reads one message. Threads that come and go are nothing to it.
func parseEvent(message []byte) (e event, ok bool) {
	const head = unix.SizeofNlMsghdr + cnMessageBytes
	if len(message) < head+16+16 {
		return e, false
	}
	order, data := binary.NativeEndian, message[head:]
	word := func(n int) uint32 { return order.Uint32(data[16+4*n:]) }
	e = event{at: time.Duration(order.Uint64(data[8:])), what: order.Uint32(data)}
	switch e.what {
	case procEventFork: // parent pid, tgid, child pid, tgid
		e.parent, e.pid = int(word(1)), int(word(3))
		return e, word(2) == word(3)
	case procEventExec: // pid, tgid
		e.pid = int(word(1))
		return e, word(0) == word(1)
	case procEventExit: // pid, tgid, code, ...
		e.pid, e.status = int(word(1)), unix.WaitStatus(word(2))
		return e, word(0) == word(1)
	}
	return e, false
}

// now is CLOCK_MONOTONIC, in which the events are told.
func now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // there is no such kernel
	}
	return time.Duration(t.Nano())
}
