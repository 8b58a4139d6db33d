package inspect

import "os"

// Features are the kernel features that looking and signalling use: nil for one
// that works, else the errno that says why not. ENOSYS is an older kernel, EPERM a
// filter of system calls: each is tried on this very process, of which it may do
// all of it.
type Features struct {
	PidfdOpen       error // pidfd_open(2), Linux 5.3: without it nothing is ever signalled
	PidfdSendSignal error // pidfd_send_signal(2), Linux 5.1: the same
	PidfdGetfd      error // pidfd_getfd(2), Linux 5.6: without it the kernel's tables stand in
}

// Features tries them. Without the first none of the others can be.
func (h *Host) Features() Features {
	pidfd, err := h.kernel.PidfdOpen(os.Getpid())
	if err != nil {
		return Features{err, err, err}
	}
	defer h.kernel.Close(pidfd)
	// Go opens the descriptors 0 to 2 of every program that lacks them.
	dup, err := h.kernel.PidfdGetfd(pidfd, 0)
	if err == nil {
		_ = h.kernel.Close(dup)
	}
	return Features{PidfdSendSignal: h.kernel.PidfdSendSignal(pidfd, noSignal), PidfdGetfd: err}
}

// PIDNamespace is the inode of our own PID namespace.
func (h *Host) PIDNamespace() (uint64, error) { return h.namespace("/proc/self/ns/pid") }
