package inspect

import (
	"context"
	"path"
	"strconv"
	"strings"
	"time"
)

// haproxies are the processes that run HAProxy, in their order, and what kept others from
// being told. A kernel may let the link of an executable wait while the process executes
// a program (exec_update_lock of fs/exec.c), and that may last for as long as its user
// likes. A process of another user that keeps the look waiting is left behind and told
// by its name.
func (h *Host) haproxies(ctx context.Context, pids []int) (found []int, incomplete []error, err error) {
	r := h.readExecutables(pids)
	defer func() { close(r.quit) }()
	patience := time.NewTicker(strangerPatience)
	defer patience.Stop()
	for waited := false; len(pids) > 0; {
		var e executable
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case e = <-r.read:
		case <-patience.C:
			if !waited || !h.isOthers(pids[0]) {
				waited = true
				continue
			}
			h.late.Add(1)
			go func(stuck reading) {
				<-stuck.read
				close(stuck.quit)
				h.late.Add(-1)
			}(r)
			e.haproxy, e.err = h.isNamedHAProxy(pids[0])
			r = h.readExecutables(pids[1:])
		}
		waited = false
		if e.err != nil {
			incomplete = append(incomplete, e.err)
		}
		if e.haproxy {
			found = append(found, pids[0])
		}
		pids = pids[1:]
	}
	return found, incomplete, nil
}

// executable is what runsHAProxy says of a process.
type executable struct {
	haproxy bool
	err     error
}

// reading is a goroutine that reads executables until quit is closed.
type reading struct {
	read chan executable
	quit chan struct{}
}

func (h *Host) readExecutables(pids []int) reading {
	const ahead = 64
	r := reading{make(chan executable, ahead), make(chan struct{})}
	go func() {
		for _, pid := range pids {
			var e executable
			if h.late.Load() >= strangersLate && h.isOthers(pid) {
				e.haproxy, e.err = h.isNamedHAProxy(pid)
			} else {
				e.haproxy, e.err = h.runsHAProxy(pid)
			}
			select {
			case r.read <- e:
			case <-r.quit:
				return
			}
		}
	}()
	return r
}

// isOthers tells a process of another user than root and those of this program.
func (h *Host) isOthers(pid int) bool {
	if h.Rights == nil {
		return false
	}
	uid, err := h.kernel.Owner("/proc/" + strconv.Itoa(pid))
	return err == nil && !h.Rights.own(uid)
}

// isNamedHAProxy tells a process by its name, which it may choose itself. A name that
// cannot be read is an error, unless the process is gone.
func (h *Host) isNamedHAProxy(pid int) (bool, error) {
	comm, err := h.kernel.ReadFile(procPath(pid, "comm"), 64)
	switch {
	case isGone(err):
		return false, nil
	case err != nil:
		return false, readError("name", procPath(pid, "comm"), err)
	}
	return h.matchesComm(trimNewline(comm)), nil
}

// runsHAProxy reads no more than tells HAProxy from the thousands of others:
// the executable's link, and the name only where the link cannot be read.
func (h *Host) runsHAProxy(pid int) (bool, error) {
	link := procPath(pid, "exe")
	exe, err := h.kernel.Readlink(link)
	if err == nil {
		name, _ := cutDeleted(exe)
		return h.matchesExe(name), nil
	}
	comm, commErr := h.kernel.ReadFile(procPath(pid, "comm"), 64)
	if commErr == nil {
		return h.matchesComm(trimNewline(comm)), nil
	}
	if isGone(err) || isGone(commErr) {
		return false, nil
	}
	return false, readError("executable", link, err)
}

func (h *Host) matchesExe(exe string) bool {
	for _, want := range h.exes {
		if exe == want || !strings.HasPrefix(want, "/") && path.Base(exe) == want {
			return true
		}
	}
	return false
}

// matchesComm compares the first 15 bytes, all that the kernel keeps of a name.
func (h *Host) matchesComm(comm string) bool {
	for _, want := range h.exes {
		name := path.Base(want)
		if comm == name[:min(len(name), 15)] {
			return true
		}
	}
	return false
}
