package inspect

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Tables are the host's socket tables for the length of one look: read at most
// once each, and only if somebody asks. They prove that a socket is there, never
// that none is. They are those of our own network namespace. A sock_diag socket of
// ours answers "no sockets" about another one, without an error; and /proc/PID/net
// costs CPU and memory for each of its connections.
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
	// OneListener ends a search at the first stream listener: whether there is
	// one is all that matters. It leaves out those of datagrams.
	OneListener bool

	host  *Host
	netNS uint64 // our own
	class string // our own, see Process.SocketClass

	spent atomic.Int64 // descriptors of strangers that were looked at

	mu  sync.Mutex
	own *table // nil until it is read
}

// table is our network namespace's sockets by inode.
type table struct {
	read      chan struct{} // closed once it is
	listening map[uint64]Listener
	udp       map[uint64]Listener // datagram listeners, and what may be one
	err       error
}

// Tables starts a look at the socket tables.
func (h *Host) Tables() *Tables {
	t := &Tables{host: h}
	t.netNS, _ = h.namespace("/proc/self/ns/net")
	t.class = h.SocketClass()
	return t
}

// elsewhere tells whether a process is in another network namespace than this
// program, or may be.
func (t *Tables) elsewhere(p *Process) bool { return p.NetNS == 0 || p.NetNS != t.netNS }

// table is that of our own network namespace.
func (t *Tables) table() (*table, error) {
	t.mu.Lock()
	tab, known := t.own, t.own != nil
	if !known {
		tab = &table{read: make(chan struct{})}
		t.own = tab
	}
	t.mu.Unlock()
	if known {
		<-tab.read
		return tab, tab.err
	}
	defer close(tab.read)
	if t.host.crowded.Load() {
		tab.err = readError("sockets", "sock_diag", errManySockets)
		return tab, tab.err
	}
	tab.fill(t.host.kernel, !t.Brief, !t.OneListener, t.host.others())
	if errors.Is(tab.err, errManySockets) {
		t.host.crowded.Store(true)
	}
	return tab, tab.err
}

// Listening are the sockets in LISTEN of our own network namespace, whichever
// process holds them.
func (t *Tables) Listening() ([]Listener, error) {
	tab, err := t.table()
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
	everyPort := func(uint16) bool { return true }
	if t.Brief || t.elsewhere(p) {
		return everyPort
	}
	tab, err := t.table()
	if err != nil {
		return everyPort
	}
	ports := map[uint16]bool{}
	for _, l := range tab.listening {
		if l.Network == "mptcp" {
			ports[l.Port] = true
		}
	}
	return func(port uint16) bool { return ports[port] }
}

func (t *table) fill(k Kernel, mptcp, udp bool, others *others) {
	var err error
	if t.listening, err = dumpListening(k, mptcp, others); err != nil {
		t.err = readError("listening sockets", "sock_diag", err)
		return
	}
	if !udp {
		return
	}
	if t.udp, err = dumpUDP(k, others); err != nil {
		t.err = readError("UDP sockets", "sock_diag", err)
	}
}

// others counts the sockets of other users that a look reads in the kernel's tables.
type others struct {
	rights *Rights
	seen   int
	boot   func() time.Duration
	end    time.Duration // on CLOCK_BOOTTIME
}

// others is nil where no process is a stranger's: then there is no bound.
func (h *Host) others() *others {
	if h.Rights == nil {
		return nil
	}
	return &others{rights: h.Rights, boot: h.kernel.Boottime, end: h.kernel.Boottime() + tablesPatience}
}

// count counts a socket, unless it is root's or of a user of this program.
func (o *others) count(uid uint32) {
	if o != nil && !o.rights.own(uid) {
		o.seen++
	}
}

// tooMany is errManySockets once the look has read enough.
func (o *others) tooMany() error {
	if o != nil && (o.seen > strangersSockets || o.boot() > o.end) {
		return errManySockets
	}
	return nil
}
