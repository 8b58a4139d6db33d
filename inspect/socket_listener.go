package inspect

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// HAProxy opens its listeners before anything else, so they have the lowest
// descriptors, and the thousands of connections above need not be read: a
// search ends after this many descriptors in a row that are no listener,
// or after this many in all when it has found none.
const (
	searchRun  = 64
	searchNone = 1024
)

// FindListener looks for listening sockets of a process among its lowest
// descriptors, without touching them where that can be: it reads their links and
// finds their inodes in the tables. In another network namespace the tables say
// nothing, and where other users have too many sockets they cost too much. There it
// duplicates those descriptors as ExamineSockets does, and so costs the same however
// many connections there are. What it finds is there; what it does not find may be
// there all the same. The result, or the error, is left in p.
func (h *Host) FindListener(t *Tables, p *Process) {
	h.patiently(context.Background(), p, func(p *Process) {
		s, err := h.findListener(t, p)
		if err != nil {
			p.Err = err
			return
		}
		p.Sockets = s
	})
}

func (h *Host) findListener(t *Tables, p *Process) (*Sockets, error) {
	g := listenerSearch{one: t.OneListener, sockets: newSockets(listenersOnly)}
	g.sockets.Proof = false
	if t.elsewhere(p) {
		if h.LeavesAlone(p) {
			return nil, readError("sockets", procPath(p.PID, "net"), errStrangersNamespace)
		}
		return g.sockets, h.findListenerByDuplicates(t, p, &g)
	}
	tab, err := t.table()
	if errors.Is(err, errManySockets) && !h.LeavesAlone(p) {
		return g.sockets, h.findListenerByDuplicates(t, p, &g)
	}
	if err != nil {
		return nil, err
	}
	path := []byte(procPath(p.PID, "fd/"))
	for from := 0; !g.enough(); {
		fds, err := h.kernel.OpenDescriptors(p.PID, from)
		if err != nil {
			return nil, readError("descriptors", string(path), err)
		}
		if len(fds) == 0 {
			break
		}
		from = fds[len(fds)-1] + 1
		for _, fd := range fds {
			if err := t.spend(p); err != nil {
				return nil, readError("descriptors", string(path), err)
			}
			link, err := h.kernel.Readlink(string(strconv.AppendInt(path, int64(fd), 10)))
			if errors.Is(err, unix.ENOENT) {
				continue // closed by now
			}
			if err != nil {
				return nil, readError("descriptors", string(path), err)
			}
			tab.add(g.sockets, link)
			if g.next(); g.enough() {
				break
			}
		}
	}
	return g.sockets, nil
}

// findListenerByDuplicates duplicates the descriptors.
func (h *Host) findListenerByDuplicates(t *Tables, p *Process, g *listenerSearch) error {
	var info unix.TCPInfo
	// It ends by itself: so few descriptors need no context.
	err := h.touch(context.Background(), t.class, p, func(_, dup int) error {
		k, err := readSocket(h.kernel, dup, listenersOnly, &info)
		if err == nil {
			g.sockets.judge(k)
		}
		if err != nil && !errors.Is(err, unix.ENOTSOCK) {
			return err
		}
		if g.next(); g.enough() {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return readError("descriptors", procPath(p.PID, "fd"), err)
	}
	return nil
}

// errEnough ends a walk over descriptors: the rest need not be looked at.
var errEnough = errors.New("enough was seen")

// listenerSearch is how far a search has come.
type listenerSearch struct {
	one     bool // stream listener is enough
	sockets *Sockets
	found   int // stream listeners
	misses  int // descriptors since the last of them
}

// next counts a descriptor that was looked at.
func (g *listenerSearch) next() {
	g.misses++
	if n := len(g.sockets.Listening); n > g.found {
		g.found, g.misses = n, 0
	}
}

func (g *listenerSearch) enough() bool {
	if g.found == 0 {
		return g.misses >= searchNone
	}
	return g.one || g.misses >= searchRun
}

// add adds what the table knows of a descriptor's link.
func (t *table) add(s *Sockets, link string) {
	if !strings.HasPrefix(link, "socket:") {
		return
	}
	inode, err := parseInodeLink(link)
	if err != nil {
		return
	}
	if s.Inodes[inode] { // several descriptors may lead to one socket
		return
	}
	s.Inodes[inode] = true
	if l, ok := t.listening[inode]; ok {
		s.Listening = append(s.Listening, l)
	} else if l, ok := t.udp[inode]; ok {
		s.Bound = append(s.Bound, l)
	}
}
