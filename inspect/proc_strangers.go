package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Any user can start programs that are named haproxy, so many and so large as the
// kernel allows. What they cost is bounded here. A process beyond a bound cannot be read,
// and that concerns its own instance alone.
const (
	// strangersListed is the most strangers that are listed at all: each is a row of a
	// report.
	strangersListed = 5000
	// strangersRead is the most strangers of which a pidfd is held. As shipped the agent
	// may have 1,024 descriptors.
	strangersRead = 256
	// strangerCommand and strangerArguments are the most of a stranger's command line, in
	// bytes and in arguments: enough for the pids of 2,000 old workers.
	strangerCommand   = 16 << 10
	strangerArguments = 2048
	// strangerDescriptors is the most descriptors of strangers that one look examines, of
	// all together.
	strangerDescriptors = 100_000
	// strangersSockets is the most sockets of others that are kept of the kernel's tables.
	// Any user can have a million that listen, at 600 bytes each. The tables prove that a
	// socket is there, never that none is.
	strangersSockets = 20_000
	// strangerPatience is how long a look waits for the facts of one stranger, and
	// strangersLate how many may keep it waiting. A kernel lets some reads wait for as
	// long as it likes, each on a thread of its own.
	strangerPatience = 100 * time.Millisecond
	strangersLate    = 8
	// strangersPatience is how long a look reads the facts of strangers in all. The kernel
	// takes 10 ms for the status of a process in 65,536 groups.
	strangersPatience = time.Second
)

var (
	errManyStrangers      = errors.New("more processes of other users than one look reads")
	errManyDescriptors    = errors.New("more descriptors of other users' processes than one look examines")
	errNoSocket           = errors.New("a descriptor of another user's process became another one")
	errManyArguments      = fmt.Errorf("more than %d arguments of another user's process", strangerArguments)
	errLate               = errors.New("it took too long to read")
	errStrangersNamespace = errors.New("the tables of another user's network namespace are not read")
)

// Rights are those of this program to signal by kill(2).
type Rights struct {
	UIDs []uint32 // the real and the effective user of this program
	All  bool     // CAP_KILL: it may signal any user's processes
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
		if b, err := h.kernel.ReadFile(procPath(pid, "stat"), factLimit); err == nil {
			if st, err := parseStat(b); err == nil {
				parents[pid] = st.ppid
			}
		}
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
	read := make(chan *Process, 1)
	go func() { read <- h.readAs(o.pid, true, true) }()
	patience := time.NewTimer(strangerPatience)
	defer patience.Stop()
	select {
	case p := <-read:
		return p
	case <-patience.C:
		h.late.Add(1)
		go func() {
			<-read
			h.late.Add(-1)
		}()
		return h.unreadStranger(o, errLate)
	}
}

// unreadStranger is a stranger as far as one small file tells: what places it, and is
// shown of it.
func (h *Host) unreadStranger(o stranger, why error) *Process {
	p := &Process{ProcID: ProcID{PID: o.pid}, HAProxy: true, Stranger: true, UID: o.uid, User: h.kernel.UserName(o.uid)}
	p.Err = readError("process", "/proc/"+strconv.Itoa(o.pid), why)
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

// others says whether one more socket of others is kept; nil keeps all.
type others struct {
	rights *Rights
	kept   int
}

func (h *Host) others() *others {
	if h.Rights == nil {
		return nil
	}
	return &others{rights: h.Rights}
}

// keep is true of a socket of root's and of this program's own users.
func (o *others) keep(uid uint32) bool {
	if o == nil || o.rights.own(uid) {
		return true
	}
	o.kept++
	return o.kept <= strangersSockets
}

// own tells root and the users of this program.
func (r *Rights) own(uid uint32) bool { return uid == 0 || slices.Contains(r.UIDs, uid) }
