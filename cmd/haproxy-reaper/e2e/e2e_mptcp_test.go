package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A client of MPTCP, a phone say, has several paths, and may lose the first. The
// kernel's TCP_INFO then tells of a connection that is closed, on the port of the
// service: as a paused listener is.
func TestClientOfMPTCPWhoseFirstPathIsGoneIsAClient(t *testing.T) {
	hasMPTCP := func(r release) bool { return r.since(3, 2) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, hasMPTCP, func(t *testing.T, b *bed) {
				s := b.startMPTCP(model)
				c := b.dialMPTCP(s.address)
				old := s.makeOld(c)
				b.closeFirstPath(c)
				if err := echo(c); err != nil {
					t.Fatal("the other path: ", err)
				}
				before := b.processes()
				a := b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).counts(old, "client", 1).counts(old, "server", 1)
				if rows := a.told(old).rows("ports"); len(rows) != 1 || rows[0]["clients"] != float64(1) || rows[0]["min_idle_seconds"] != nil || rows[0]["max_idle_seconds"] != nil {
					t.Errorf("ports of %v: %v, want 1 client that was idle for an unknown time", old.ProcID, rows)
				}
				if idle := a.told(old)["idle_seconds"]; idle != nil {
					t.Errorf("%v was idle for %v seconds, want null", old.ProcID, idle)
				}
				b.agent("reap", "--deadline", "1h", "--idle-after", "1ms").exits(0).finds(old, isWaited)
				b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h").exits(0).finds(old, sparedFor(judge.ReasonActiveClients))
				b.agent("reap", "--deadline", "0s", "--deadline-for", "8000=1h").exits(0).finds(old, sparedFor(judge.ReasonWithinPortDeadline))
				b.stay(before...)
				if err := echo(c); err != nil {
					t.Errorf("the client: %v", err)
				}
				a = s.reapsExactly(old)
				if in := a.instance(old); in.Refusal != "" {
					t.Errorf("refusal %q (%s)", in.Refusal, in.RefusalDetail)
				}
			})
		})
	}
}

// A remote client of the active may do the same to it.
func TestClientOfMPTCPWhoseFirstPathIsGonePausesNoActive(t *testing.T) {
	hasMPTCP := func(r release) bool { return r.since(3, 2) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, hasMPTCP, func(t *testing.T, b *bed) {
				s := b.startMPTCP(model)
				old := s.makeOld(b.dialMPTCP(s.address))
				c := b.dialMPTCP(s.address)
				b.closeFirstPath(c)
				if err := echo(c); err != nil {
					t.Fatal("the other path: ", err)
				}
				s.reapsExactly(old)
				a := b.agent("status").exits(0)
				if got := a.side(s.active(), "client"); got != nil && got != float64(1) {
					t.Errorf("clients of the active: %v, want 1 or null", got)
				}
				if err := echo(c); err != nil {
					t.Errorf("the client: %v", err)
				}
			})
		})
	}
}

// A listener of MPTCP that is paused is no connection.
func TestPausedListenerOfMPTCPRefuses(t *testing.T) {
	hasMPTCP := func(r release) bool { return r.since(3, 2) }
	inReleases(t, hasMPTCP, func(t *testing.T, b *bed) {
		s := b.startMPTCP(judge.ModelDaemon)
		s.makeOld(b.dialMPTCP(s.address))
		s.pause()
		before := b.processes()
		b.agent("reap", "--deadline", "0s").refuses(s.active(), judge.ReasonPaused, judge.ReasonNotListening).finds(s.active(),
			judgement{judge.RolePaused, judge.VerdictKeep, judge.ReasonPaused, ""})
		b.stay(before...)
	})
}

// startMPTCP starts a service whose one listener is of MPTCP, in a network that
// takes a second path.
func (b *bed) startMPTCP(model judge.Model) *service {
	b.t.Helper()
	if enabled, err := os.ReadFile("/proc/sys/net/mptcp/enabled"); err != nil || strings.TrimSpace(string(enabled)) != "1" {
		b.t.Skip("this kernel has no MPTCP")
	}
	b.run(command{args: []string{"ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "2"}})
	b.run(command{args: []string{"ip", "mptcp", "endpoint", "add", "127.0.0.2", "dev", "lo", "subflow"}})
	return b.startService("web", setup{model: model, text: strings.ReplaceAll(tcpOnly, "bind 127.0.0.1:8000", "bind mptcp4@127.0.0.1:8000")})
}

// dialMPTCP connects, has its line sent back, and waits for the second path.
func (b *bed) dialMPTCP(address string) net.Conn {
	b.t.Helper()
	var c net.Conn
	err := b.amongClients(func() (err error) {
		d := net.Dialer{Timeout: 5 * time.Second}
		d.SetMultipathTCP(true)
		c, err = d.DialContext(context.Background(), "tcp4", address)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := echo(c); err != nil {
		b.t.Fatal(err)
	}
	b.until(func() error {
		if n, err := furtherPaths(c.(*net.TCPConn)); err != nil || n != 1 {
			return fmt.Errorf("%d further paths, not 1: %v", n, err)
		}
		return nil
	})
	return c
}

// furtherPaths is the number of a connection's paths beside the first: the first
// byte of struct mptcp_info (linux/mptcp.h).
func furtherPaths(c *net.TCPConn) (n int, err error) {
	const solMPTCP, mptcpInfo = 284, 1
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) {
		var info string
		if info, err = unix.GetsockoptString(int(fd), solMPTCP, mptcpInfo); err == nil && info != "" {
			n = int(info[0])
		}
	})
	return n, cmp.Or(failed, err)
}

// closeFirstPath destroys the first path at the service's end: a reset.
func (b *bed) closeFirstPath(c net.Conn) {
	b.t.Helper()
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	b.run(command{args: []string{"ss", "-HKt", "src", "127.0.0.1:8000", "and", "dst", "127.0.0.1:" + port}})
	b.until(func() error {
		left := b.run(command{args: []string{"ss", "-Htn", "src", "127.0.0.1:8000", "and", "dst", "127.0.0.1:" + port}})
		if left != "" {
			return fmt.Errorf("the first path is there: %s", left)
		}
		return nil
	})
}
