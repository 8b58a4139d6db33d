package inspect

import (
	"context"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// apart is a thread of a process that has a table of descriptors of its own, 0 when
// all threads share that of the first. pidfd_getfd and /proc/PID/fd know only that
// table. HAProxy 3.5 has one for each thread group with `tune.fd.tables
// per-thread-group` (unshare(2), CLONE_FILES, in its thread.c).
func (h *Host) apart(ctx context.Context, p *Process) (tid int, err error) {
	if p.Threads == 1 {
		return 0, nil
	}
	tids, err := h.kernel.Threads(p.PID)
	if err != nil {
		return 0, readError("threads", procPath(p.PID, "task"), err)
	}
	for _, tid := range tids {
		if err := ctx.Err(); err != nil {
			return 0, readError("threads", procPath(p.PID, "task"), err)
		}
		if tid == p.PID {
			continue
		}
		same, err := h.kernel.SameDescriptors(p.PID, tid)
		if errors.Is(err, unix.ENOSYS) || IsPermission(err) {
			same, err = h.holdsTheSame(ctx, p.PID, tid)
		}
		switch {
		case err != nil && !isGone(err):
			return 0, readError("thread's descriptors", "kcmp", err)
		case err == nil && !same && !h.threadHasLeft(p.PID, tid):
			return tid, nil
		}
	}
	return 0, nil
}

// threadHasLeft tells a thread that has no table of descriptors any more.
func (h *Host) threadHasLeft(pid, tid int) bool {
	b, err := h.kernel.ReadFile(procPath(pid, "task/"+strconv.Itoa(tid)+"/stat"), factLimit)
	if err != nil {
		return isGone(err)
	}
	st, err := parseStat(b)
	return err == nil && st.exiting
}

// holdsTheSame stands in for kcmp where the kernel has none, or a filter refuses it:
// it tells whether each descriptor of a thread is the same one of the first thread's.
// Then the first thread's table holds every socket of the thread, whether the two are
// one or not. It costs two calls for each descriptor, some 7 us. Numbers alone would
// not do: two tables count from the same one on.
func (h *Host) holdsTheSame(ctx context.Context, pid, tid int) (bool, error) {
	for from := 0; ; {
		fds, err := h.kernel.OpenDescriptors(tid, from) // /proc has a directory for each thread, unlisted
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || len(fds) == 0 {
			return err == nil, err
		}
		from = fds[len(fds)-1] + 1
		for _, fd := range fds {
			if same, err := h.isTheSame(pid, tid, fd); !same {
				return false, err
			}
		}
	}
}

// isTheSame compares a descriptor of a thread with the first thread's. It may be
// closed and opened anew between the two calls, so it is looked at several times.
func (h *Host) isTheSame(pid, tid, fd int) (bool, error) {
	name := "fd/" + strconv.Itoa(fd)
	for range 5 {
		its, err := h.kernel.Readlink(procPath(tid, name))
		if errors.Is(err, unix.ENOENT) {
			return true, nil // closed by now
		}
		if err != nil {
			return false, err
		}
		first, err := h.kernel.Readlink(procPath(pid, name))
		if err == nil && first == its {
			return true, nil
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return false, err
		}
	}
	return false, nil
}
