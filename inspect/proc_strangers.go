package inspect

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rights are those of this program to signal by kill(2).
type Rights struct {
	UIDs []uint32 // the real and the effective user of this program
	All  bool     // CAP_KILL: it may signal any user's processes
}

// parent is the parent of a process of another user, 0 where it is not known. Where it
// cannot be read in time it comes from a file that the kernel always tells: that costs
// more.
func (h *Host) parent(pid int) int {
	var ppid int
	if h.late.Load() == 0 && h.inTime(context.Background(), strangerPatience, func() {
		var st stat
		if b, err := h.kernel.ReadFile(procPath(pid, "stat"), factLimit); err == nil {
			st, _ = parseStat(b)
		}
		ppid = st.ppid
	}) {
		return ppid
	}
	b, _ := h.kernel.ReadFile(procPath(pid, "status"), statusLimit)
	_, rest, _ := strings.Cut(string(b), "\nPPid:\t")
	number, _, _ := strings.Cut(rest, "\n")
	known, _ := strconv.Atoi(number)
	return known
}

// sortOut tells the processes of root and of this program's own users, in the order
// that they come in, from those of others. The HAProxy processes that they have started
// are theirs too, whatever user these run as. Others come with their owner: those of the
// user with the fewest processes first, so that many hide no few.
func (h *Host) sortOut(pids []int) (own []int, others []stranger) {
	if h.Rights == nil {
		return pids, nil
	}
	owns, parents := map[int]bool{}, map[int]int{}
	owners := map[int]uint32{}
	for _, pid := range pids {
		uid, err := h.kernel.Owner("/proc/" + strconv.Itoa(pid))
		if err != nil || h.Rights.own(uid) {
			owns[pid] = true // where the owner is unknown, nothing may be concluded
			continue
		}
		owners[pid] = uid
		parents[pid] = h.parent(pid)
	}
	theirs := map[int]bool{} // whether it is theirs, as far as that is known
	started := func(pid int) (yes bool) {
		var chain []int
		for ; !yes; pid = parents[pid] {
			if known, asked := theirs[pid]; asked {
				yes = known
				break
			}
			chain = append(chain, pid)
			theirs[pid] = false // ends a circle of parents, and begins with 0
			if yes = owns[pid]; pid == 0 {
				break
			}
		}
		for _, pid := range chain {
			theirs[pid] = yes
		}
		return yes
	}
	many := map[uint32]int{}
	for _, pid := range pids {
		if started(pid) {
			own = append(own, pid)
			continue
		}
		others = append(others, stranger{pid, owners[pid]})
		many[owners[pid]]++
	}
	slices.SortFunc(others, func(a, b stranger) int {
		return cmp.Or(cmp.Compare(many[a.uid], many[b.uid]), cmp.Compare(a.uid, b.uid), cmp.Compare(a.pid, b.pid))
	})
	return own, others
}

// stranger is a process of another user, before it is read.
type stranger struct {
	pid int
	uid uint32
}

// readStrangers reads the processes of others. It waits for none of them for long.
func (h *Host) readStrangers(ctx context.Context, others []stranger) (list []*Process) {
	end := h.kernel.Boottime() + strangersPatience
	for _, o := range others {
		if ctx.Err() != nil {
			return list
		}
		var p *Process
		if h.kernel.Boottime() < end {
			p = h.readStranger(o)
		} else {
			p = h.unreadStranger(o, errLate)
		}
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

func (h *Host) readStranger(o stranger) *Process {
	switch {
	case !h.mayHold(o.pid):
		return h.unreadStranger(o, errManyStrangers)
	case h.late.Load() >= strangersLate:
		return h.unreadStranger(o, errLate)
	}
	var p *Process
	if !h.inTime(context.Background(), strangerPatience, func() { p = h.readAs(o.pid, true, true) }) {
		return h.unreadStranger(o, errLate)
	}
	return p
}

// inTime runs a look at a stranger, and tells whether it ended in time. One that did not
// is left behind, with all that it writes.
func (h *Host) inTime(ctx context.Context, limit time.Duration, look func()) bool {
	ended := make(chan struct{})
	go func() {
		look()
		close(ended)
	}()
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case <-ended:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	h.late.Add(1)
	go func() {
		<-ended
		h.late.Add(-1)
	}()
	return false
}

// patiently looks at the descriptors or the memory of a process. A stranger's may keep
// the look waiting: the kernel does not tell them while the process executes a program
// (exec_update_lock of fs/exec.c), and that may last for as long as the stranger likes.
func (h *Host) patiently(ctx context.Context, p *Process, look func(p *Process)) {
	if !p.Stranger {
		look(p)
		return
	}
	copied := *p
	const most = 4 * strangersLate // so that those whose facts were late take no other's place
	limit := strangerSocketsPatience + time.Duration(p.FDSize)*strangerDescriptorPatience
	if h.late.Load() >= most || !h.inTime(ctx, limit, func() { look(&copied) }) {
		p.Err = readError("descriptors", procPath(p.PID, "fd"), errLate)
		return
	}
	*p = copied
}

// unreadStranger is a stranger as far as one small file tells: what places it, and is
// shown of it.
func (h *Host) unreadStranger(o stranger, why error) *Process {
	p := &Process{ProcID: ProcID{PID: o.pid}, HAProxy: true, Stranger: true, UID: o.uid, User: h.kernel.UserName(o.uid)}
	p.Err = readError("process", "/proc/"+strconv.Itoa(o.pid), why)
	if h.late.Load() > 0 {
		return p
	}
	b, err := h.kernel.ReadFile(procPath(o.pid, "stat"), factLimit)
	if isGone(err) {
		return nil
	}
	st, parseErr := parseStat(b)
	if err == nil && parseErr == nil {
		p.setStat(st)
	}
	return p
}

// mayHold tells whether a stranger's pidfd is held, or one more may be.
func (h *Host) mayHold(pid int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handles[pid] != nil {
		return true
	}
	n := 0
	for _, handle := range h.handles {
		if handle.stranger {
			n++
		}
	}
	return n < strangersRead
}

// LeavesAlone tells a process of a stranger that this program may not even signal. No
// descriptor of it is duplicated; their links alone are read. Where this program may signal
// all processes, a stranger's may be a service.
//
// A duplicate of a descriptor has to be closed. A file system of the stranger's own (FUSE)
// is asked at each close of a file, and the kernel waits for its answer for as long as it
// likes; no signal ends that (fuse_flush of fs/fuse/file.c).
func (h *Host) LeavesAlone(p *Process) bool { return p.Stranger && !h.Rights.All }

// spend counts a descriptor of a stranger that is looked at.
func (t *Tables) spend(p *Process) error {
	if t.host.LeavesAlone(p) && t.spent.Add(1) > strangerDescriptors {
		return errManyDescriptors
	}
	return nil
}

// own tells root and the users of this program.
func (r *Rights) own(uid uint32) bool { return uid == 0 || slices.Contains(r.UIDs, uid) }
