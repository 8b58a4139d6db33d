package inspect

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// asked begins a conversation with a server that deals with its connection as told.
func asked(t *testing.T, ctx context.Context, serve func(net.Conn)) *masterCLI {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		serve(far)
	}()
	cli := newMasterCLI(ctx, near, cliPlace{network: "unix", address: "/m.sock"})
	t.Cleanup(cli.close)
	return cli
}

// answering answers each command with the next text.
func answering(texts ...string) func(net.Conn) {
	return func(c net.Conn) {
		for _, text := range texts {
			if _, err := c.Read(make([]byte, 100)); err != nil {
				return
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

func TestMasterCLIFaults(t *testing.T) {
	ctx := context.Background()
	t.Run("a master that never answers: the deadline holds, and is told as silence", func(t *testing.T) {
		cli := asked(t, ctx, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		began := time.Now()
		if got, err := cli.ask("show proc", maxAnswer); !isSilence(err) || time.Since(began) < answerTimeout {
			t.Errorf("got %q, %v after %v", got, err, time.Since(began))
		}
	})
	t.Run("an end of the pass amid an answer is no silence", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		cli := asked(t, ctx, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			cancel()
			_, _ = io.Copy(io.Discard, c)
		})
		if got, err := cli.ask("show proc", maxAnswer); !errors.Is(err, context.Canceled) || isSilence(err) {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := cli.ask("show proc", maxAnswer); !errors.Is(err, context.Canceled) {
			t.Errorf("a further question: got %q, %v", got, err)
		}
	})
	t.Run("a master that hangs up amid an answer", func(t *testing.T) {
		cli := asked(t, ctx, answering("#<PID>\n"))
		if got, err := cli.ask("show proc", maxAnswer); !errors.Is(err, errHungUp) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a master that answers without an end", func(t *testing.T) {
		cli := asked(t, ctx, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100))
			for {
				if _, err := io.WriteString(c, strings.Repeat("x", 4096)); err != nil {
					return
				}
			}
		})
		if got, err := cli.ask("show proc", maxAnswer); err == nil || isSilence(err) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("as long an answer as it may be, and a byte more", func(t *testing.T) {
		if got, err := asked(t, ctx, answering("123\n\n")).ask("show proc", 5); err != nil || string(got) != "123\n\n" {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := asked(t, ctx, answering("123\n\n")).ask("show proc", 4); err == nil {
			t.Errorf("got %q of four bytes", got)
		}
	})
	t.Run("an answer that is longer than the buffer", func(t *testing.T) {
		long := strings.Repeat("x", 10000) + "\n\n"
		if got, err := asked(t, ctx, answering(long)).ask("show proc", maxAnswer); err != nil || string(got) != long {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("an answer that is a blank line, and the next one", func(t *testing.T) {
		cli := asked(t, ctx, answering("\n", "a\n\n"))
		for _, want := range []string{"\n", "a\n\n"} {
			if got, err := cli.ask("@!7 show sess", maxAnswer); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
	})
	t.Run("the answer of another process", func(t *testing.T) {
		const info = "Pid: 7\nCurrConns: 0\nStopping: 1\n\n"
		if got, err := asked(t, ctx, answering(info)).info(8); !errors.Is(err, errMisfit) {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, err := asked(t, ctx, answering(info, "\n")).info(7); err != nil || !got.Stopping {
			t.Errorf("got %+v, %v for the right one", got, err)
		}
	})
	t.Run("a master that lets us ask nothing", func(t *testing.T) {
		if got, err := asked(t, ctx, answering("Permission denied\n\n")).info(7); !errors.Is(err, errNoAnswer) || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("got %+v, %v, want the master's words", got, err)
		}
	})
	t.Run("more than was asked for", func(t *testing.T) {
		cli := asked(t, ctx, func(c net.Conn) {
			answering("a\n\n")(c)
			_, _ = c.Read(make([]byte, 100))
			_, _ = io.WriteString(c, "Pid: 7\n\n")
		})
		if _, err := cli.ask("show proc", maxAnswer); err != nil {
			t.Fatal(err)
		}
		if err := cli.quit(); !errors.Is(err, errMisfit) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAMasterListensWhereOneOfItsSocketsIs(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, tt := range []struct {
		listens, address string
		want             bool
	}{
		{"127.0.0.1:9999", "127.0.0.1:9999", true},
		{"[::ffff:127.0.0.1]:9999", "127.0.0.1:9999", true},
		{"0.0.0.0:9999", "127.0.0.1:9999", true},
		{"[::]:9999", "127.0.0.1:9999", true},
		{"[::]:9999", "[::1]:9999", true},
		{"0.0.0.0:9999", "[::1]:9999", false},
		{"127.0.0.2:9999", "127.0.0.1:9999", false},
		{"127.0.0.1:9998", "127.0.0.1:9999", false},
		{"127.0.0.1:9999", "localhost:9999", false},
	} {
		m := masterSockets{listens: []netip.AddrPort{at("10.0.0.1:1"), at(tt.listens)}}
		if got := m.listensAt(tt.address); got != tt.want {
			t.Errorf("one that listens at %s, at %s: %v", tt.listens, tt.address, got)
		}
	}
}
