package inspect_test

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// Where cgroup v1 gives classes to sockets, a duplicate would give a worker's the
// class of this program (__receive_sock in net/core/sock.c).
func TestNoDuplicateIsMadeThatWouldChangeTheClassOfASocket(t *testing.T) {
	for _, c := range []struct {
		name      string
		its, ours string
		unread    bool // ours
		netNS     uint64
		touched   bool
		err       string
	}{
		{"there is no such hierarchy", "", "", false, 0, true, ""},
		{"both are in one place of it", "/", "/", false, 0, true, ""},
		{"both are in one place of it, in another network namespace", "/x", "/x", false, 77, true, ""},
		{"it is in another", "/docker/7", "/", false, 0, false, ""},
		{"ours is another", "/", "/system.slice", false, 0, false, ""},
		{"ours cannot be read", "/", "/", true, 0, false, ""},
		{"it is in another, and in another network namespace", "/docker/7", "/", false, 77, false, "change the class"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fakehost.New()
			w.SocketClass = c.ours
			p := fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 100, 1000, nil, fakehost.Client(443, 1, 0), fakehost.Listen(443))
			p.SocketClass = c.its
			if c.netNS > 0 {
				p.NetNS = c.netNS
			}
			h := inspect.NewHost(w, []string{"haproxy"})
			defer h.Close()
			seen := observed(t, h)
			duplicates := 0
			w.Before = func(_ int, call, about string) error {
				if call == "PidfdGetfd" {
					duplicates++
				}
				return when(c.unread && about == "/proc/self/cgroup", unix.EMFILE)
			}
			h.FindListener(h.Tables(), seen)
			seen.Err = nil
			h.ExamineSockets(context.Background(), h.Tables(), seen)
			switch {
			case c.err != "" && (seen.Err == nil || !strings.Contains(seen.Err.Error(), c.err)):
				t.Errorf("error %v, want one of %q", seen.Err, c.err)
			case c.err == "" && (seen.Err != nil || !seen.Sockets.Proof || len(seen.Sockets.Listening) != 1 || len(seen.Sockets.Ends) != 1):
				t.Errorf("error %v, sockets %+v", seen.Err, seen.Sockets)
			}
			_, err := h.ClientSockets(context.Background(), seen.ProcID)
			if c.touched != (err == nil) || c.touched != (duplicates > 0) {
				t.Errorf("its clients: %v; %d descriptors were duplicated", err, duplicates)
			}
		})
	}
}
