package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lookInTables is what stands in for pidfd_getfd where that is refused: the
// links of the process's descriptors, and one dump of the kernel's sockets that
// keeps only those. A dump may miss a socket, so none is judged by its absence:
// one that stands in no table is unclassified, and refuses. It costs about 1 us
// for each socket of the host, works in our own network namespace only, and
// needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to read the links.
func (h *Host) lookInTables(ctx context.Context, t *Tables, p *Process, refused error) (*Sockets, error) {
	s, err := h.socketsInTables(ctx, t, p)
	if err != nil {
		return nil, fmt.Errorf("%w; and in the kernel's tables: %w", refused, err)
	}
	return s, nil
}

func (h *Host) socketsInTables(ctx context.Context, t *Tables, p *Process) (*Sockets, error) {
	if t.elsewhere(p) {
		return nil, errors.New("they are those of another network namespace")
	}
	held, err := h.socketInodes(ctx, p)
	if err != nil {
		return nil, err
	}
	s := newSockets(t.detail(p))
	wanted := func(inode uint64) bool { _, ok := held[inode]; return ok }
	err = dumpAll(h.kernel, wanted, func(k socket) {
		delete(held, k.inode)
		s.judge(k)
	})
	if err != nil {
		return nil, err
	}
	for inode, fd := range held {
		// One that was closed in between is no concern of anybody's.
		link, err := h.kernel.Readlink(procPath(p.PID, "fd/"+strconv.Itoa(fd)))
		if errors.Is(err, unix.ENOENT) || err == nil && link != fmt.Sprintf("socket:[%d]", inode) {
			continue
		}
		s.unclassified("socket that stands in none of the kernel's tables (inode %d)", inode)
	}
	return s, nil
}

// socketInodes are the inodes of a process's sockets, with a descriptor of each.
func (h *Host) socketInodes(ctx context.Context, p *Process) (map[uint64]int, error) {
	held := map[uint64]int{}
	for from := 0; ; {
		fds, err := h.kernel.OpenDescriptors(p.PID, from)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || len(fds) == 0 {
			return held, err
		}
		from = fds[len(fds)-1] + 1
		for _, fd := range fds {
			link, err := h.kernel.Readlink(procPath(p.PID, "fd/"+strconv.Itoa(fd)))
			if errors.Is(err, unix.ENOENT) {
				continue // closed by now
			}
			if err != nil {
				return nil, err
			}
			if !strings.HasPrefix(link, "socket:") {
				continue
			}
			inode, err := parseInodeLink(link)
			if err != nil {
				return nil, fmt.Errorf("link %q: %w", link, err)
			}
			held[inode] = fd
		}
	}
}

// dumpAll visits the wanted ones of all TCP, MPTCP, UDP and unix sockets of our
// network namespace, in whatever state, one after another through one buffer.
func dumpAll(k Kernel, wanted func(inode uint64) bool, visit func(socket)) error {
	protocols := streamProtocols(k)
	d, err := openDiag(k)
	if err != nil {
		return err
	}
	defer d.close()
	dump := func(protocol uint32) error {
		want := inetDump{protocol: protocol, states: allStates, info: protocol == unix.IPPROTO_TCP}
		return d.inet(want, func(s inetSocket) {
			if wanted(s.inode) {
				visit(s.socket(protocol))
			}
		})
	}
	// MPTCP first: its sockets have those of their paths among those of TCP, by the
	// same inode.
	for _, protocol := range slices.Backward(protocols) {
		if err := dump(protocol.number); err != nil && (protocol.number == unix.IPPROTO_TCP || !errors.Is(err, unix.ENOENT)) {
			return err
		}
	}
	if err := dump(unix.IPPROTO_UDP); err != nil {
		return err
	}
	return d.unix(allStates, func(s unixSocket) {
		if wanted(s.inode) {
			visit(s.socket())
		}
	})
}
