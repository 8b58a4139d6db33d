package reaper_test

import (
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// What a pass asks of the kernel grows with the old workers' descriptors, and not with
// the connections of the active, of whichever protocol and wherever it is.
func TestAPassCostsTheSameWhateverTheActiveServes(t *testing.T) {
	for _, netNS := range []uint64{fakehost.NetNS, 77} {
		calls := func(clients int) (calls int) {
			w, s := reloaded()
			sockets := []fakehost.Socket{fakehost.Listen(443), fakehost.DatagramListener(443), fakehost.Listen(80)}
			for i := range clients {
				sockets = append(sockets, fakehost.Client(443, i, time.Second), fakehost.QUIC(443, i))
			}
			for _, p := range []*fakehost.Proc{
				s.Master, s.Worker(101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute)),
				s.Worker(102, ticks(30*time.Minute), []int{101}), s.Worker(103, ticks(10*time.Minute), []int{102, 101}, sockets...),
			} {
				p.NetNS = netNS
			}
			w.Before = func(_ int, call, _ string) error {
				if call != "NetlinkRecv" { // which a dump of this World makes for all that it has
					calls++
				}
				return nil
			}
			p := pass(t, w)
			p.Policy.Deadline = 0
			run(t, p)
			if got, want := signalled(w), []string{"101 terminated", "102 terminated"}; !equal(got, want) {
				t.Fatalf("network namespace %d, %d clients: signalled %v, want %v", netNS, clients, got, want)
			}
			return calls
		}
		if few, many := calls(100), calls(10_000); few != many {
			t.Errorf("network namespace %d: %d calls with 100 clients, %d with 10,000", netNS, few, many)
		}
	}
}
