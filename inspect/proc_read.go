package inspect

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The most that is read of one file of a process, in bytes. Arguments may name
// hundreds of old workers. The status lists all groups: up to 65,536 (NGROUPS_MAX of
// linux/limits.h), of up to 11 bytes each. The rest is small.
const (
	factLimit    = 64 << 10
	statusLimit  = 1 << 20
	commandLimit = 1 << 20
)

// read reads one process: pidfd, then facts, then whether it still lives. It is
// nil for a process that has exited, or is about to; one that may not be read
// has an Err.
func (h *Host) read(pid int, haproxy bool) *Process { return h.readAs(pid, haproxy, false) }

// readAs is read of a process that is a stranger's, or not. One that was read before
// stays what it was.
func (h *Host) readAs(pid int, haproxy, stranger bool) *Process {
	p := &Process{ProcID: ProcID{PID: pid}, HAProxy: haproxy, UID: NoUID, Stranger: stranger}
	handle, err := h.handle(pid, stranger)
	if handle != nil {
		p.Stranger = handle.stranger
	}
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil
	case err != nil:
		p.Err = readError("process", "pidfd_open", err)
	}
	h.readFacts(p)
	if handle == nil {
		return p
	}
	exited, err := handle.Exited()
	if err != nil && p.Err == nil {
		p.Err = readError("process", "poll of its pidfd", err)
	}
	if exited || p.Err != nil && h.exiting(pid) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if handle.ticks == 0 {
		handle.ticks = p.StartTicks
	}
	return p
}

// exiting tells a process that is amid its exit: it has no executable any more,
// and perhaps no descriptors, while its pidfd does not say so yet. It runs
// nothing again, so it is what it will be in an instant: gone. Its state letter
// tells less: it comes at the end of that, and that of a leader comes also when
// it has left other threads behind.
//
// A leader that is exiting starts no thread. So one is counted after it was seen
// to be, and only if that is all, itself, nobody is left who could run.
func (h *Host) exiting(pid int) bool {
	for range 2 {
		b, err := h.kernel.ReadFile(procPath(pid, "stat"), factLimit)
		if err != nil {
			return false
		}
		if st, err := parseStat(b); err != nil || !st.exiting || st.threads != 1 {
			return false
		}
	}
	return true
}

// readFacts reads every fact that may be read, also after one that may not be:
// without privilege there is still a pid, a parent and an age to show. The owner comes
// first, from the folder of the process: nothing that a process does hides that.
func (h *Host) readFacts(p *Process) {
	fail := func(fact, name string, err error) {
		if p.Err == nil {
			p.Err = readError(fact, procPath(p.PID, name), err)
		}
	}
	read := func(fact, name string, limit int, use func([]byte) error) {
		b, err := h.kernel.ReadFile(procPath(p.PID, name), limit)
		if err == nil {
			err = use(b)
		}
		if err != nil {
			fail(fact, name, err)
		}
	}
	if uid, err := h.kernel.Owner("/proc/" + strconv.Itoa(p.PID)); err != nil {
		fail("owner", "", err)
	} else {
		p.UID, p.User = uid, h.kernel.UserName(uid)
	}
	read("start time", "stat", factLimit, func(b []byte) error {
		st, err := parseStat(b)
		p.setStat(st)
		return err
	})
	read("signal masks", "status", statusLimit, func(b []byte) error {
		st, err := parseStatus(b)
		p.NSPID, p.FDSize, p.Signals = st.nspid, st.fdSize, st.masks
		return err
	})
	limit := commandLimit
	if p.Stranger {
		limit = strangerCommand
	}
	read("arguments", "cmdline", limit, func(b []byte) error {
		if p.Stranger && bytes.Count(b, []byte{0}) > strangerArguments {
			return errManyArguments
		}
		p.Command = h.command(b)
		// The kernel ends early where it cannot get at a page of the arguments, and
		// a pid cut short is another one's. A program that writes something over its
		// arguments may leave out the last NUL; HAProxy does not.
		if n := len(b); p.HAProxy && n > 0 && b[n-1] != 0 {
			return io.ErrUnexpectedEOF
		}
		return nil
	})
	read("cgroup", "cgroup", factLimit, func(b []byte) error {
		p.Cgroup, p.SocketClass = parseCgroup(b), socketClass(b)
		p.Unit = unitOf(p.Cgroup)
		return nil
	})
	if exe, err := h.kernel.Readlink(procPath(p.PID, "exe")); err != nil {
		fail("executable", "exe", err)
	} else {
		p.Exe, p.Deleted = cutDeleted(exe)
		// Between the listing and the pidfd the pid may have changed hands, or the
		// process its program.
		p.HAProxy = h.matchesExe(p.Exe)
	}
	var err error
	if p.HAProxy && p.Command.needsDir() {
		if p.Dir, err = h.workingDir(p.PID); err != nil {
			fail("working directory", "cwd", err)
		}
	}
	if p.PIDNS, err = h.namespace(procPath(p.PID, "ns/pid")); err != nil {
		fail("PID namespace", "ns/pid", err)
	}
	if p.NetNS, err = h.namespace(procPath(p.PID, "ns/net")); err != nil {
		fail("network namespace", "ns/net", err)
	}
	if p.MntNS, err = h.namespace(procPath(p.PID, "ns/mnt")); err != nil {
		fail("mount namespace", "ns/mnt", err)
	}
}

func (p *Process) setStat(st stat) {
	p.Comm, p.State, p.PPID, p.Session, p.StartTicks, p.Forked, p.Threads = st.comm, st.state, st.ppid, st.session, st.startTicks, st.forked, st.threads
}

// workingDir is the working directory of a process, from its own root. It is ""
// where the process is in its root directory and that is not the host's:
// HAProxy's `chroot` moves it there, and says no more where it was started.
func (h *Host) workingDir(pid int) (string, error) {
	cwd, err := h.kernel.Readlink(procPath(pid, "cwd"))
	if err != nil {
		return "", err
	}
	root, err := h.kernel.Readlink(procPath(pid, "root"))
	switch {
	case err != nil || root == "/":
		return cwd, err
	case cwd == root:
		return "", nil
	}
	return strings.TrimPrefix(cwd, root), nil
}

// namespace reads the inode number in a link such as "net:[4026531840]".
func (h *Host) namespace(link string) (uint64, error) {
	text, err := h.kernel.Readlink(link)
	if err != nil {
		return 0, err
	}
	return parseInodeLink(text)
}

// parseInodeLink reads the number in "kind:[number]".
func parseInodeLink(text string) (uint64, error) {
	_, rest, found := strings.Cut(text, ":[")
	number, ok := strings.CutSuffix(rest, "]")
	if !found || !ok {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(number, 10, 64)
}

// cutDeleted takes off what the kernel adds to the link of an executable that
// was replaced or removed: an upgrade must not hide the old workers.
func cutDeleted(exe string) (string, bool) { return strings.CutSuffix(exe, " (deleted)") }

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
