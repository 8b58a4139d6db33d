package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// States of a TCP socket, as /proc/net/tcp writes them (include/net/tcp_states.h).
const (
	finWait1  = "04"
	finWait2  = "05"
	closeWait = "08"
)

// sparesItsClient wants a process to be spared by each rule that looks at clients,
// and its one client to be counted.
func (b *bed) sparesItsClient(old process, port uint16) {
	b.t.Helper()
	b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).counts(old, "client", 1).counts(old, "former", 0)
	b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h", "--active-within", "30m").exits(0).finds(old, sparedFor(judge.ReasonActiveClients))
	a := b.agent("reap", "--deadline", "0s", "--deadline-for", fmt.Sprintf("%d=1h", port)).exits(0).finds(old, sparedFor(judge.ReasonWithinPortDeadline))
	if rows := a.told(old).rows("ports"); len(rows) != 1 || rows[0]["port"] != float64(port) || rows[0]["clients"] != float64(1) {
		b.t.Errorf("ports of %v: %v, want 1 client on %d", old.ProcID, rows, port)
	}
}

// makeOld reloads while a client holds the active worker.
func (s *service) makeOld(client net.Conn) process {
	s.b.t.Helper()
	old := s.active()
	s.clients[old.ProcID] = []net.Conn{client}
	s.reload()
	return old
}

// A client that has said all it wants to say still gets its answer.
func TestClientThatHasFinishedSendingAndStillDownloadsIsAClient(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, backend: b.serve(func(c net.Conn) {
			io.WriteString(c, "ask\n")
			io.Copy(io.Discard, c) // the whole request
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				if _, err := c.Write([]byte("part of the answer\n")); err != nil {
					tick.Stop()
					return
				}
				<-tick.C
			}
		})})
		c := b.asks(s.address)
		downloads := func() error {
			part := bytes.Repeat([]byte("part of the answer\n"), 10)
			c.SetReadDeadline(time.Now().Add(bedPatience))
			got := make([]byte, len(part))
			if _, err := io.ReadFull(c, got); err != nil {
				return err
			}
			if !bytes.Equal(got, part) {
				return fmt.Errorf("it is not the answer: %q", got)
			}
			return nil
		}
		if err := downloads(); err != nil {
			t.Fatal(err)
		}
		old := s.makeOld(c)
		if err := b.inState(old, closeWait, 8000, 1); err != nil {
			t.Fatal("this shows nothing:", err)
		}
		before := b.processes()
		b.sparesItsClient(old, 8000)
		b.stay(before...)
		if err := downloads(); err != nil {
			t.Errorf("the download: %v", err)
		}
	})
}

// The other way round: the server has said all, and the client still uploads.
func TestClientThatStillUploadsAfterItsAnswerIsAClient(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		uploaded := make(chan int, 1000)
		s := b.startService("web", setup{model: model, backend: b.serve(func(c net.Conn) {
			io.WriteString(c, "go on\n")
			c.(*net.TCPConn).CloseWrite()
			for line := make([]byte, 100); ; {
				n, err := c.Read(line)
				if err != nil {
					return
				}
				uploaded <- n
			}
		})})
		c := b.connect(s.address)
		c.SetReadDeadline(time.Now().Add(bedPatience))
		if text, err := io.ReadAll(c); err != nil || string(text) != "go on\n" {
			t.Fatalf("the answer is %q, %v", text, err)
		}
		uploads := func() error {
			if _, err := io.WriteString(c, "more\n"); err != nil {
				return err
			}
			select {
			case <-uploaded:
				return nil
			case <-time.After(bedPatience):
				return fmt.Errorf("nothing arrives")
			}
		}
		if err := uploads(); err != nil {
			t.Fatal(err)
		}
		old := s.makeOld(c)
		if err := b.inState(old, finWait2, 8000, 1); err != nil {
			t.Fatal("this shows nothing:", err)
		}
		before := b.processes()
		b.sparesItsClient(old, 8000)
		b.stay(before...)
		if err := uploads(); err != nil {
			t.Errorf("the upload: %v", err)
		}
	})
}

// What HAProxy has sent, its end included, may still be on its way to a client
// that reads slowly.
func TestClientThatReadsSlowlyAfterTheServerHasGoneIsAClient(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		answer := bytes.Repeat([]byte("much to read\n"), 20000)
		s := b.startService("web", setup{model: model, backend: b.serve(func(c net.Conn) { c.Write(answer) })})
		c := b.connectReading(s.address, 4096)
		old := s.active()
		b.until(func() error { return b.inState(old, finWait1, 8000, 1) })
		s.makeOld(c)
		if err := b.inState(old, finWait1, 8000, 1); err != nil {
			t.Fatal("this shows nothing:", err)
		}
		before := b.processes()
		b.sparesItsClient(old, 8000)
		b.stay(before...)
		c.SetReadDeadline(time.Now().Add(bedPatience))
		if text, err := io.ReadAll(c); err != nil || !bytes.Equal(text, answer) {
			t.Errorf("the client read %d bytes of %d, %v", len(text), len(answer), err)
		}
	})
}

// A connection whose client has gone altogether is none, though HAProxy still
// waits for the server's side of it.
func TestConnectionThatWasResetIsNoClient(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{
			model:   model,
			backend: b.serve(func(net.Conn) { <-b.t.Context().Done() }), // reads nothing and closes nothing
		})
		c := b.fill(s.address)
		old := s.makeOld(c)
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).counts(old, "client", 1)
		c.SetLinger(0)
		c.Close()
		b.until(func() error { return b.closed(old, 1) })
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, terminatedFor(judge.ReasonEmpty)).counts(old, "client", 0)
		b.stay(without(before, old)...)
	})
}

// What counts as a client is drained as one.
func TestClientThatHasFinishedSendingIsDrained(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{backend: b.serve(func(c net.Conn) {
			io.WriteString(c, "ask\n")
			io.Copy(io.Discard, c)
			io.WriteString(c, "the beginning of a long answer\n")
			<-b.t.Context().Done()
		})})
		c := b.asks(s.address)
		if _, err := io.ReadFull(c, make([]byte, 31)); err != nil {
			t.Fatal(err)
		}
		old := s.makeOld(c)
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--drain-rate", "20").exits(0)
		if n := a.process(old).DrainedConnections; n != 1 {
			t.Errorf("%d connections drained, want 1", n)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the client: %v, want EOF", err)
		}
		b.stay(without(before, old)...)
	})
}

// asks connects, waits to be asked, and says all that it wants to say.
func (b *bed) asks(address string) *net.TCPConn {
	b.t.Helper()
	c := b.connect(address)
	c.SetReadDeadline(time.Now().Add(bedPatience))
	if _, err := io.ReadFull(c, make([]byte, len("ask\n"))); err != nil {
		b.t.Fatal("not asked: ", err)
	}
	if _, err := io.WriteString(c, "all that I want\n"); err != nil {
		b.t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// connect is dial of a TCP address.
func (b *bed) connect(address string) *net.TCPConn {
	b.t.Helper()
	c, err := b.dial(address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// connectReading is connect with room for so many bytes that were not read.
func (b *bed) connectReading(address string, room int) (c *net.TCPConn) {
	b.t.Helper()
	err := b.amongClients(func() error {
		d := net.Dialer{Timeout: 5 * time.Second, Control: receiveBuffer(room)}
		conn, err := d.Dial("tcp4", address)
		if err == nil {
			c = conn.(*net.TCPConn)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// receiveBuffer sets SO_RCVBUF of a socket before it connects.
func receiveBuffer(room int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) (err error) {
		if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, room) }); failed != nil {
			return failed
		}
		return err
	}
}
