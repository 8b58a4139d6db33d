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
			p := &reaper.Pass{Host: host, Terminator: reaper.DryRun{}, Timing: reaper.Timing{Settle: 5 * time.Second, PassTimeout: time.Minute}}
			r := run(t, p)
			if got := process(t, r, 101).Outcome; got != reaper.OutcomeDryRun {
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
