package inspect

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Tables are the host's socket tables for the length of one look: read at most
// once each, and only if somebody asks. They prove that a socket is there, never
// that none is.
type Tables struct {
	// Peers asks thorough looks for each connection's peer, which costs one more
	// call for each.
	Peers bool
	// Counted are processes whose connections were counted by an earlier look:
	// of theirs only what is no connection is of interest, which saves a call
	// for each.
	Counted map[ProcID]bool
	// Brief leaves out which listeners are those of MPTCP, which stand in the table of
	// TCP as well. The kernel walks all of its hash of MPTCP for them, two times some
	// 1 ms of CPU, and its size is that of the memory (net/mptcp/token.c).
	Brief bool

	host  *Host
	netNS uint64 // our own

	spent atomic.Int64 // descriptors of strangers that were looked at

	mu    sync.Mutex
	byNet map[uint64]*table
}

// table is one network namespace's sockets by inode.
type table struct {
	read      chan struct{} // closed once it is
	listening map[uint64]Listener
	udp       map[uint64]Listener // datagram listeners, and what may be one
	err       error
}

// Tables starts a look at the socket tables.
func (h *Host) Tables() *Tables {
	t := &Tables{host: h, byNet: map[uint64]*table{}}
	t.netNS, _ = h.namespace("/proc/self/ns/net")
	return t
}

// of is the table of a process's network namespace: by sock_diag for our own,
// from /proc/PID/net for another, where a sock_diag socket of ours would answer
// "no sockets" without an error.
func (t *Tables) of(p *Process) (*table, error) {
	if t.host.LeavesAlone(p) && p.NetNS != t.netNS {
		return nil, readError("sockets", procPath(p.PID, "net"), errStrangersNamespace)
	}
	t.mu.Lock()
	tab, known := t.byNet[p.NetNS]
	if !known {
		tab = &table{read: make(chan struct{})}
		t.byNet[p.NetNS] = tab
	}
	t.mu.Unlock()
	if known {
		<-tab.read
		return tab, tab.err
	}
	defer close(tab.read)
	if p.NetNS != 0 && p.NetNS == t.netNS {
		tab.readOwn(t.host.kernel, !t.Brief, t.host.others())
	} else {
		tab.readProc(t.host.kernel, p.PID)
	}
	return tab, tab.err
}

// Listening are the sockets in LISTEN of a process's network namespace, whichever
// process holds them.
func (t *Tables) Listening(p *Process) ([]Listener, error) {
	tab, err := t.of(p)
	if err != nil {
		return nil, err
	}
	return slices.Collect(maps.Values(tab.listening)), nil
}

// mayBeMPTCP tells whether a connection to a port may be one of MPTCP, as far as
// anybody listens for it in the process's network namespace; of any port where that
// is not known, and of none where it makes no difference.
func (t *Tables) mayBeMPTCP(p *Process, d detail) func(port uint16) bool {
	if d == listenersOnly {
		return func(uint16) bool { return false }
	}
	tab, err := t.of(p)
	if err != nil || t.Brief {
		return func(uint16) bool { return true }
	}
	ports := map[uint16]bool{}
	for _, l := range tab.listening {
		if l.Network == "mptcp" {
			ports[l.Port] = true
		}
	}
	return func(port uint16) bool { return ports[port] }
}

func (t *table) readOwn(k Kernel, mptcp bool, others *others) {
	var err error
	if t.listening, err = dumpListening(k, mptcp, others); err != nil {
		t.err = readError("listening sockets", "sock_diag", err)
		return
	}
	if t.udp, err = dumpUDP(k, others); err != nil {
		t.err = readError("UDP sockets", "sock_diag", err)
	}
}

func (t *table) readProc(k Kernel, pid int) {
	t.listening, t.udp = map[uint64]Listener{}, map[uint64]Listener{}
	files := []struct {
		name  string
		parse func([]byte) ([]Listener, error)
		into  map[uint64]Listener
	}{
		{"net/tcp", func(b []byte) ([]Listener, error) { return parseNetTCP(b, "tcp") }, t.listening},
		{"net/tcp6", func(b []byte) ([]Listener, error) { return parseNetTCP(b, "tcp") }, t.listening},
		{"net/unix", parseNetUnix, t.listening},
		{"net/udp", func(b []byte) ([]Listener, error) { return parseNetUDP(b, "udp") }, t.udp},
		{"net/udp6", func(b []byte) ([]Listener, error) { return parseNetUDP(b, "udp") }, t.udp},
	}
	for _, f := range files {
		path := procPath(pid, f.name)
		b, err := readNetTable(k, path)
		if isGone(err) && f.name != "net/tcp" {
			continue // a kernel without IPv6 has no tcp6 and no udp6
		}
		var list []Listener
		if err == nil {
			list, err = f.parse(b)
		}
		if err != nil {
			t.err = errors.Join(t.err, readError("sockets", path, err))
			continue
		}
		for _, l := range list {
			l.Unsure = l.Network == "udp" // a log's socket looks the same there
			f.into[l.Inode] = l
		}
	}
}
