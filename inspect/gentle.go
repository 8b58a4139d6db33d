package inspect

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// HAProxy opens its listeners before anything else, so they have the lowest
// descriptors, and the thousands of connections above need not be read: a
// gentle look ends after this many descriptors in a row that are no listener,
// or after this many in all when it has found none.
const (
	gentleRun  = 64
	gentleNone = 1024
)

// LookGently looks for listening sockets of a process without touching them: it
// reads the links of its lowest descriptors and finds their inodes in the
// tables. What it finds is there; what it does not find may be there all the
// same. The result, or the error, is left in p.
func (h *Host) LookGently(t *Tables, p *Process) {
	tab, err := t.of(p)
	if err != nil {
		p.Err = err
		return
	}
	s := &Sockets{Inodes: map[uint64]bool{}}
	path := []byte(procPath(p.PID, "fd/"))
	for from, misses := 0, 0; misses < gentleRun || len(s.Listening) == 0 && misses < gentleNone; {
		fds, err := h.kernel.OpenDescriptors(p.PID, from)
		if err != nil {
			p.Err = readError("descriptors", string(path), err)
			return
		}
		if len(fds) == 0 {
			break
		}
		from = fds[len(fds)-1] + 1
		for _, fd := range fds {
			if err := t.spend(p); err != nil {
				p.Err = readError("descriptors", string(path), err)
				return
			}
			link, err := h.kernel.Readlink(string(strconv.AppendInt(path, int64(fd), 10)))
			if errors.Is(err, unix.ENOENT) {
				continue // closed by now
			}
			if err != nil {
				p.Err = readError("descriptors", string(path), err)
				return
			}
			misses++
			if tab.add(s, link) {
				misses = 0
			}
		}
	}
	p.Sockets = s
}

// add adds what the table knows of a descriptor's link, and tells whether that
// is a listener.
func (t *table) add(s *Sockets, link string) bool {
	if !strings.HasPrefix(link, "socket:") {
		return false
	}
	inode, err := parseInodeLink(link)
	if err != nil {
		return false
	}
	if s.Inodes[inode] { // several descriptors may lead to one socket
		_, listens := t.listening[inode]
		return listens
	}
	s.Inodes[inode] = true
	if l, ok := t.listening[inode]; ok {
		s.Listening = append(s.Listening, l)
		return true
	}
	if l, ok := t.udp[inode]; ok {
		s.Bound = append(s.Bound, l)
	}
	return false
}
