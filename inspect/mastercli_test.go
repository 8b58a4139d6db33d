package inspect

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// cliServer answers each connection on a loopback address.
func cliServer(t *testing.T, answer func(net.Conn)) MasterCLI {
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				answer(c)
			}()
		}
	}()
	return MasterCLI{Kernel: Linux{}, Network: "tcp", Address: l.Addr().String()}
}

func TestMasterCLIFaults(t *testing.T) {
	ctx := context.Background()
	text := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			_, _ = io.WriteString(c, s)
		}
	}
	t.Run("nobody is there", func(t *testing.T) {
		cli := MasterCLI{Kernel: Linux{}, Network: "unix", Address: t.TempDir() + "/none.sock"}
		if got, err := cli.Ask(ctx, "show proc"); !isGone(err) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a master that never answers: the deadline holds", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		cli := cliServer(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		if got, err := cli.Ask(ctx, "show proc"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a master that answers without an end", func(t *testing.T) {
		cli := cliServer(t, func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		})
		if got, err := cli.Ask(ctx, "show proc"); err == nil {
			t.Errorf("got %d bytes", len(got))
		}
	})
	t.Run("as long an answer as it may be, and a byte more", func(t *testing.T) {
		cli := cliServer(t, text("12345"))
		if got, err := cli.askUpTo(ctx, "show proc", 5); err != nil || string(got) != "12345" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := cli.askUpTo(ctx, "show proc", 4); err == nil {
			t.Errorf("got %q of four bytes", got)
		}
	})
	t.Run("the answer of another process", func(t *testing.T) {
		cli := cliServer(t, text("Pid: 7\nCurrConns: 0\nStopping: 1\n\n"))
		if got, err := cli.Info(ctx, 8); err == nil {
			t.Errorf("got %+v", got)
		}
		if got, err := cli.Info(ctx, 7); err != nil || !got.Stopping {
			t.Errorf("got %+v, %v for the right one", got, err)
		}
	})
	t.Run("a master that lets us ask nothing", func(t *testing.T) {
		cli := cliServer(t, text("Permission denied\n\n"))
		if got, err := cli.Proc(ctx); err == nil || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("got %+v, %v, want the master's words", got, err)
		}
	})
}
