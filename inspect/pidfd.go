package inspect

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that the process behind a handle has exited.
var ErrGone = errors.New("process has exited")

// Handle holds a process by its pidfd: whatever happens to the pid, what is
// asked of the handle is asked of that process or of nobody. It is the only way
// to a signal.
type Handle struct {
	kernel Kernel
	// ticks are the start ticks read through it, 0 before that. They tell this
	// process from the next one of its pid. Guarded by the host's mutex.
	ticks uint64
	// stranger is set for a process of another user, see proc_strangers.go.
	stranger bool

	mu sync.RWMutex // write-held to close, so that no call uses a reused descriptor
	fd int          // -1 once closed
}

func openHandle(k Kernel, pid int) (*Handle, error) {
	fd, err := k.PidfdOpen(pid)
	if err != nil {
		return nil, err
	}
	return &Handle{kernel: k, fd: fd}, nil
}

// with runs call with the pidfd, which stays open meanwhile.
func (h *Handle) with(call func(pidfd int) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.fd < 0 {
		return ErrGone
	}
	return call(h.fd)
}

// Exited tells whether the process has exited, all its threads included: a
// leader that has gone before its threads has not. A zombie has.
func (h *Handle) Exited() (bool, error) {
	return h.Wait(0)
}

// Wait waits until the process has exited, at most for the timeout, and tells
// whether it has.
func (h *Handle) Wait(timeout time.Duration) (bool, error) {
	var exited bool
	err := h.with(func(pidfd int) error {
		ready, err := h.kernel.Poll([]int{pidfd}, timeout)
		if err == nil {
			exited = ready[0]
		}
		return err
	})
	if errors.Is(err, ErrGone) {
		return true, nil
	}
	return exited, err
}

// Signal sends a signal by pidfd_send_signal(2). ErrGone when the process has
// exited; EPERM when it may not be signalled by us.
func (h *Handle) Signal(signal syscall.Signal) error {
	// A signal to a zombie succeeds: the exit, not the errno, tells.
	if exited, err := h.Exited(); err != nil {
		return err
	} else if exited {
		return ErrGone
	}
	err := h.with(func(pidfd int) error { return h.kernel.PidfdSendSignal(pidfd, signal) })
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}

// MaySignal asks the kernel whether this program may signal the process, and sends
// nothing. The kernel knows more than the user ids tell: user namespaces, a security
// module, a seccomp filter. ErrGone when the process has exited.
func (h *Handle) MaySignal() error {
	err := h.with(h.kernel.MaySignal)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}

func (h *Handle) close() {
	h.mu.Lock()
	h.closeLocked()
}

// tryClose is close, unless a call is under way.
func (h *Handle) tryClose() {
	if h.mu.TryLock() {
		h.closeLocked()
	}
}

func (h *Handle) closeLocked() {
	defer h.mu.Unlock()
	if h.fd >= 0 {
		_ = h.kernel.Close(h.fd)
		h.fd = -1
	}
}
