package reaper_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// dumps notices how often the TCP sockets of a world are asked for that do not
// listen: a kernel walks all of a host's sockets for that. For those of MPTCP it
// walks a table whose size is that of the memory.
type dumps struct {
	*fakehost.World
	walks, mptcp int
}

func (d *dumps) NetlinkSend(fd int, request []byte) error {
	protocol, states := request[17], binary.NativeEndian.Uint32(request[20:])
	if protocol == unix.IPPROTO_TCP && states != 1<<unix.BPF_TCP_LISTEN {
		d.walks++
	}
	if family := request[16]; protocol == 0 && family != unix.AF_UNIX {
		d.mptcp++
	}
	return d.World.NetlinkSend(fd, request)
}

func TestAPassDoesNotWalkTheSocketsOfTheHost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		world func() *fakehost.World
	}{
		{"where no master CLI answers", func() *fakehost.World { w, _ := reloaded(); return w }},
		{"where there is none", func() *fakehost.World {
			w := fakehost.New()
			ordinary(w)
			fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 101, ticks(49*time.Minute), nil, fakehost.Client(443, 1, time.Minute))
			fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443), fakehost.Client(443, 2, time.Minute))
			return w
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &dumps{World: tt.world()}
			k.Write("/proc/sys/net/mptcp/enabled", "1\n")
			host := inspect.NewHost(k, []string{"haproxy"})
			defer host.Close()
			p := &reaper.Pass{Host: host, Terminator: reaper.DryRun{}, Timing: judge.Timing{Settle: 5 * time.Second, PassTimeout: time.Minute}}
			r := run(t, p)
			if got := process(t, r, 101).Outcome; got != judge.OutcomeDryRun {
				t.Fatalf("nothing is due: outcome %q", got)
			}
			if n := process(t, r, 103).Connections.Client; k.walks != 0 || n != nil {
				t.Errorf("%d walks, and %v clients of the active", k.walks, n)
			}
			if k.mptcp != 2 {
				t.Errorf("%d times MPTCP is asked for, want one look of each family", k.mptcp)
			}

			p.ActiveClients = true
			r, err := p.Status(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if n := process(t, r, 103).Connections.Client; k.walks == 0 || n == nil {
				t.Errorf("%d walks where they are asked for, and %v clients of the active", k.walks, n)
			}
		})
	}
}

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
