package judge

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// from is a client connection on port 443 of the active, or on another local address.
func from(peer, local string, idle time.Duration, bytes uint64) inspect.Connection {
	return inspect.Connection{End: at(local, inspect.OriginAccepted), Peer: netip.MustParseAddrPort(peer), Timed: true, Idle: idle, Bytes: bytes}
}

// clientsOf are the clients of the old worker 101, and of the active 103 with the same
// connections, for a look that asked for them or not.
func clientsOf(asked bool, change func(old *inspect.Process)) (old, active []Client) {
	master := &inspect.Process{ProcID: inspect.ProcID{PID: 100, StartTicks: 1}, NSPID: 100, HAProxy: true, Signals: inspect.SignalMasks{Caught: handlersMaster}}
	superseded, serving := child(101, 1000, handlersReady), child(103, 2000, handlersReady, 101)
	superseded.Sockets.Ends = ends{byPath(pathActive): {Connections: 4}, byPath("/run/gone.sock"): {Connections: 1}}
	superseded.Sockets.Connections = []inspect.Connection{
		from("192.0.2.1:1001", "10.0.0.1:443", 5*time.Second, 100),
		from("192.0.2.1:1002", "10.0.0.1:443", time.Second, 20),
		from("192.0.2.2:1003", "10.0.0.1:443", 3*time.Second, 7),
		from("192.0.2.1:1004", "10.0.0.1:8443", 0, 9), // of a listener that the active no longer has
		{End: at("10.0.0.1:443", inspect.OriginAccepted), Peer: netip.MustParseAddrPort("192.0.2.3:1005")},
	}
	superseded.Sessions = map[netip.AddrPort]time.Duration{
		netip.MustParseAddrPort("192.0.2.1:1001"): 20 * time.Second,
		netip.MustParseAddrPort("192.0.2.1:1002"): 21 * time.Second,
		netip.MustParseAddrPort("192.0.2.2:1003"): 21*time.Second + time.Millisecond, // older than the process, by more than a second
	}
	serving.Sockets = &inspect.Sockets{
		Listening:   []inspect.Listener{{Network: "tcp", Address: "0.0.0.0:443", Port: 443}, {Network: "unix", Address: pathActive}},
		Connections: superseded.Sockets.Connections,
	}
	change(superseded)
	s := inspect.Snapshot{Boottime: 30 * time.Second, Processes: []*inspect.Process{master, superseded, serving}}
	in := Classify(Look{Snapshot: s, Groups: Groups(s, Past{}), Clients: asked}, Past{}).Instances[0]
	return in.Find(superseded.ProcID).Clients, in.Find(serving.ProcID).Clients
}

func number(f float64) *float64 { return &f }
func count(n uint64) *uint64    { return &n }

// Each peer and port is one client, the one with the most connections first. A process
// that was started 20 s ago has no connection of 21 s and more: HAProxy's own word.
func TestTheClientsOfAResidualProcessByPeerAndPort(t *testing.T) {
	t.Parallel()
	got, ofActive := clientsOf(true, func(*inspect.Process) {})
	want := []Client{
		{Path: pathActive, Connections: 4},
		{Peer: "192.0.2.1", Port: 443, Connections: 2, OldestSeconds: number(21), MinIdleSeconds: number(1), MaxIdleSeconds: number(5), Bytes: count(120)},
		{Peer: "192.0.2.2", Port: 443, Connections: 1, MinIdleSeconds: number(3), MaxIdleSeconds: number(3), Bytes: count(7)},
		{Peer: "192.0.2.3", Port: 443, Connections: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if ofActive != nil {
		t.Errorf("the active has %v: its clients are not asked for", ofActive)
	}
}

func TestClientsThatWereNotAskedForOrNotReadAreUnknown(t *testing.T) {
	t.Parallel()
	if got, _ := clientsOf(false, func(*inspect.Process) {}); got != nil {
		t.Errorf("not asked for: %v", got)
	}
	if got, _ := clientsOf(true, func(old *inspect.Process) { old.Sockets = nil }); got != nil {
		t.Errorf("without sockets: %v", got)
	}
	if got, _ := clientsOf(true, func(old *inspect.Process) { old.Sockets.Connections, old.Sockets.Ends = nil, ends{} }); got == nil || len(got) != 0 {
		t.Errorf("without connections: %v, want none", got)
	}
}
