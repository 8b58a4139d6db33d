package inspect

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Host looks at this host. It holds a pidfd for each HAProxy process that it
// sees, from before the first fact that it reads until that process has gone or
// Close is called, so that what several looks tell is of the same process. Its
// methods may be called from several goroutines.
type Host struct {
	// Rights tell strangers from others; nil takes no process for a stranger's.
	Rights *Rights

	kernel Kernel
	exes   []string
	kept   atomic.Int32 // duplicates that were not closed, see LeavesAlone
	// crowded says that the kernel's tables have more sockets of other users than a look
	// reads. They are not asked again.
	crowded atomic.Bool
	late    atomic.Int32 // strangers whose reading has not ended in time, nor since

	mu      sync.Mutex
	handles map[int]*Handle
	// commands are those of the present look by their text. Workers have their
	// master's, so it is parsed and kept once for all.
	commands map[string]Command
	silent   map[ProcID]silence // those that a master CLI gave no answer of
}

// NewHost looks for the executables of the given base names or absolute paths.
func NewHost(k Kernel, exes []string) *Host {
	return &Host{kernel: k, exes: exes, handles: map[int]*Handle{}, silent: map[ProcID]silence{}}
}

// Close lets go of every process, and of those that a look would still take hold
// of. It leaves those that a call which does not return has hold of.
func (h *Host) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, handle := range h.handles {
		handle.tryClose()
	}
	h.handles = nil
}

// Kernel is the host's seam, for its clock.
func (h *Host) Kernel() Kernel { return h.kernel }

// Observe lists the host's HAProxy processes and reads what each is, without
// its sockets. The error is that of listing /proc at all, or the context's;
// what concerns one process is in its Err.
func (h *Host) Observe(ctx context.Context) (Snapshot, error) {
	s := Snapshot{Time: h.kernel.Now(), Boottime: h.kernel.Boottime()}
	s.NetNS, _ = h.namespace("/proc/self/ns/net")
	s.MntNS, _ = h.namespace("/proc/self/ns/mnt")

	h.mu.Lock()
	h.commands = map[string]Command{}
	h.mu.Unlock()
	pids, err := h.kernel.Pids(ctx)
	if err != nil {
		return s, readError("processes", "/proc", err)
	}
	found, incomplete, err := h.haproxies(ctx, pids)
	if err != nil {
		return s, fmt.Errorf("list processes: %w", err)
	}
	s.Incomplete = incomplete
	own, others := h.sortOut(found)
	listed := others[:min(len(others), strangersListed)]
	s.Unlisted = len(others) - len(listed)
	for _, pid := range own {
		s.Processes = append(s.Processes, h.read(pid, true))
	}
	s.Processes = slices.DeleteFunc(h.outlastMoments(ctx, s.Processes), func(p *Process) bool { return !p.HAProxy })
	seen := map[int]bool{}
	for _, p := range s.Processes {
		seen[p.PID] = true
	}
	for _, o := range others {
		seen[o.pid] = true
	}
	for _, p := range slices.Clone(s.Processes) {
		for _, pid := range h.otherChildren(p, seen) {
			if child := h.read(pid, false); child != nil {
				seen[pid] = true
				s.Processes = append(s.Processes, child)
			}
		}
	}
	for _, p := range h.readStrangers(ctx, listed) {
		if p.HAProxy {
			s.Processes = append(s.Processes, p)
		}
	}
	if err := ctx.Err(); err != nil {
		return s, fmt.Errorf("read processes: %w", err)
	}
	slices.SortFunc(s.Processes, func(a, b *Process) int {
		return cmp.Or(cmp.Compare(a.StartTicks, b.StartTicks), cmp.Compare(a.PID, b.PID))
	})
	h.forgetExited(seen)
	return s, nil
}

// Again reads a process once more, through the pidfd it was first read by.
func (h *Host) Again(ctx context.Context, id ProcID) (*Process, error) {
	var p *Process
	if list := h.outlastMoments(ctx, []*Process{h.read(id.PID, true)}); len(list) > 0 {
		p = list[0]
	}
	switch {
	case p == nil || p.StartTicks != id.StartTicks:
		return nil, ErrGone
	case p.Err != nil:
		return nil, p.Err
	}
	return p, nil
}

// Handle is the handle of a process seen before, nil when it was never seen or
// has gone: the next process of its pid has another start, and another handle.
func (h *Host) Handle(id ProcID) *Handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	handle := h.handles[id.PID]
	if handle == nil || handle.ticks == 0 || handle.ticks != id.StartTicks {
		return nil
	}
	return handle
}

// Exited tells whether a process that was seen before is proven to have exited.
func (h *Host) Exited(id ProcID) bool {
	handle := h.Handle(id)
	if handle == nil {
		return false
	}
	exited, err := handle.Exited()
	return err == nil && exited
}

// CanSignal tries on this very process what each signal takes: pidfd_open and
// pidfd_send_signal (Linux 5.3, and a filter of system calls that allows them).
// Without both this program observes, and signals no process.
func (h *Host) CanSignal() bool {
	pidfd, err := h.kernel.PidfdOpen(os.Getpid())
	if err != nil {
		return false
	}
	defer h.kernel.Close(pidfd)
	return h.kernel.PidfdSendSignal(pidfd, noSignal) == nil
}

// noSignal is sent to find out whether a signal could be (kill(2)).
const noSignal = syscall.Signal(0)

// command is a parsed command line.
func (h *Host) command(cmdline []byte) Command {
	h.mu.Lock()
	c, known := h.commands[string(cmdline)]
	h.mu.Unlock()
	if known {
		return c
	}
	c = ParseCommand(cmdline)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commands != nil {
		h.commands[string(cmdline)] = c
	}
	return c
}

// handle is the open handle of a pid's present process, opened if need be.
func (h *Host) handle(pid int, stranger bool) (*Handle, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.handles[pid]; old != nil {
		if exited, err := old.Exited(); err != nil || !exited {
			return old, err
		}
		old.close()
		delete(h.handles, pid)
	}
	if h.handles == nil {
		return nil, ErrGone
	}
	handle, err := openHandle(h.kernel, pid)
	if err != nil {
		return nil, err
	}
	handle.stranger = stranger
	h.handles[pid] = handle
	return handle, nil
}

// forgetExited closes the pidfds of processes that are gone, so that a host
// whose checks come and go costs no descriptors.
func (h *Host) forgetExited(seen map[int]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for pid, handle := range h.handles {
		if seen[pid] {
			continue
		}
		if exited, err := handle.Exited(); err == nil && exited {
			handle.close()
			delete(h.handles, pid)
		}
	}
}

// otherChildren lists the children of a master that are not HAProxy, its
// programs (configuration section "program", HAProxy 2.0 to 3.2). A stranger's are not
// listed. They are
// shown and never touched, so a kernel without the list (CONFIG_PROC_CHILDREN)
// only leaves them out.
func (h *Host) otherChildren(p *Process, seen map[int]bool) []int {
	if !p.Signals.Master() {
		return nil
	}
	b, err := h.kernel.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.PID, p.PID), 1<<20)
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(b)) {
		var pid int
		if _, err := fmt.Sscanf(field, "%d", &pid); err == nil && !seen[pid] {
			pids = append(pids, pid)
		}
	}
	return pids
}
