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
	gentleRun  = 256
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
	for fd, misses := 0, 0; fd < p.FDSize; fd++ {
		if misses >= gentleRun && len(s.Listening) > 0 || misses >= gentleNone {
			break
		}
		misses++
		link, err := h.kernel.Readlink(string(strconv.AppendInt(path, int64(fd), 10)))
		if errors.Is(err, unix.ENOENT) {
			continue // a hole
		}
		if err != nil {
			p.Err = readError("descriptors", string(path), err)
			return
		}
		if !strings.HasPrefix(link, "socket:") {
			continue
		}
		inode, err := parseInodeLink(link)
		if err != nil {
			continue
		}
		s.Inodes[inode] = true
		if l, ok := tab.listening[inode]; ok {
			s.Listening = append(s.Listening, l)
			misses = 0
		} else if l, ok := tab.udp[inode]; ok {
			s.Bound = append(s.Bound, l)
		}
	}
	p.Sockets = s
}
