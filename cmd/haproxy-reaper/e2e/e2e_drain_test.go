package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func isDrained(reason judge.Reason) judgement {
	return residualWith(judge.VerdictTerminate, reason, judge.OutcomeDrained)
}

func (b *bed) writesToLog(want string) error {
	text, err := os.ReadFile(b.log.Name())
	if err == nil && !strings.Contains(string(text), want) {
		err = fmt.Errorf("HAProxy has not written %q", want)
	}
	return err
}

// Each kind of client gets a FIN and not a RST, a request under way its answer
// (up to 3.2), and the worker leaves by itself.
func TestDrainedClientsGetAFINAndTheWorkerLeavesByItself(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		backend := webBackend{t.Context(), make(chan struct{})}
		b.write(bedDir+"/drain.pem", certificate(t))
		s := b.startService("web", setup{sections: `
frontend http
    mode http
    bind 127.0.0.1:8002
    bind 127.0.0.1:8003 ssl crt ` + bedDir + `/drain.pem alpn h2,http/1.1
    default_backend web
backend web
    mode http
    server s1 ` + b.serve(backend.serve) + `
`})
		old := s.active()
		var all []*watched
		var silent atomic.Bool
		open := func(name, address string) *watched {
			w := b.watch(name, address, &silent)
			all = append(all, w)
			return w
		}
		busy := open("busy TCP", s.address)
		idle := open("idle TCP", s.address)
		for _, w := range []*watched{busy, idle} {
			if err := echo(w); err != nil {
				t.Fatal(err)
			}
		}
		idle.listen(idle)

		keepAlive := open("keep-alive", "127.0.0.1:8002")
		in := bufio.NewReader(keepAlive)
		io.Copy(io.Discard, get(b, keepAlive, in, "/", "").Body)
		keepAlive.listen(in)

		websocket := open("websocket", "127.0.0.1:8002")
		in = bufio.NewReader(websocket)
		get(b, websocket, in, "/", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
		if err := echo(websocket); err != nil {
			t.Fatal(err)
		}
		websocket.listen(in)

		answers := make(chan error, 3)
		slow := open("slow request", "127.0.0.1:8002")
		go func() {
			fmt.Fprint(slow, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
			in := bufio.NewReader(slow)
			r, err := http.ReadResponse(in, nil)
			if err == nil {
				_, err = io.ReadAll(r.Body)
			}
			answers <- err
			io.Copy(io.Discard, in)
		}()
		for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
			client, slowClient := over(open(name+" over TLS", "127.0.0.1:8003"), h2), over(open("slow "+name+" over TLS", "127.0.0.1:8003"), h2)
			if proto, err := fetch(client, "/"); err != nil || proto != name {
				t.Fatalf("%q, %v, want %s", proto, err, name)
			}
			go func() {
				_, err := fetch(slowClient, "/slow")
				answers <- err
			}()
		}
		b.until(func() error {
			if n := strings.Count(b.ask(bedDir+"/web-stats.sock", "show sess"), "be=web"); n < 4 { // a websocket, three slow ones
				return fmt.Errorf("%d requests are under way", n)
			}
			return nil
		})
		for _, w := range all {
			s.clients[old.ProcID] = append(s.clients[old.ProcID], w)
		}
		s.reload()
		kept := b.watch("client of the active", s.address, new(atomic.Bool))
		probe := s.probe()
		for _, w := range []*watched{busy, kept} {
			if err := echo(w); err != nil {
				t.Fatal(err)
			}
		}
		busy.listen(busy)

		before := b.processes()
		silent.Store(true) // all has been asked
		j := b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--drain-rate", "20", "--log.level", "debug"}})
		idle.hearsFIN(b)
		// All are closed while the slow requests wait for their answer.
		b.until(func() error {
			if n := len(closedInOrder(j)); n < 6 || !strings.Contains(j.stderr.String(), fmt.Sprintf("clients=%d rate=20", n)) {
				return fmt.Errorf("%d connections are closed", n)
			}
			return nil
		})
		close(backend.letGo)
		a := b.answer(j).exits(0).finds(old, isDrained(judge.ReasonPastDeadline)).sent(old)
		for _, w := range all {
			w.hearsFIN(b)
		}
		for range 3 {
			select {
			case err := <-answers:
				// Seen on 3.4: a request whose client has ended its side is given up with
				// 400 Bad request ("option abortonclose").
				if err != nil && !(b.since(3, 3) && strings.Contains(err.Error(), "400 Bad request")) {
					t.Errorf("a request under way: %v", err)
				}
			case <-time.After(bedPatience):
				t.Fatal("a request under way was not answered")
			}
		}
		// Newer releases close idle HTTP connections by themselves when they stop.
		if n := a.process(old).DrainedConnections; n < 6 || n > len(all) {
			t.Errorf("%d connections drained, of %d", n, len(all))
		}
		order := closedInOrder(j)
		if order[0] != idle.LocalAddr().String() || order[len(order)-1] != busy.LocalAddr().String() {
			t.Errorf("closed in the order %q, want the idle one, %v, first and the busy one, %v, last", order, idle.LocalAddr(), busy.LocalAddr())
		}
		b.until(func() error {
			err := b.writesToLog(fmt.Sprintf("(%d) exited with code 0", old.PID))
			if err != nil && !b.since(2, 7) {
				// HAProxy 2.6.12 crashes at its very exit now and then (in _fd_delete_orphan), in
				// tests that drain nothing too. All clients have had their answers by then.
				err = b.writesToLog(fmt.Sprintf("(%d) exited with code 139", old.PID))
			}
			return err
		})
		b.stay(without(before, old)...)
		if err := echo(kept); err != nil {
			t.Errorf("the client of the active: %v", err)
		}
		probe.unbroken(b)
	})
}

// closedInOrder are the clients whose connections an agent says to have closed.
func closedInOrder(j *job) (list []string) {
	for line := range strings.Lines(j.stderr.String()) {
		if _, rest, found := strings.Cut(line, " client="); found && strings.Contains(line, "closed the connection") {
			list = append(list, strings.Fields(rest)[0])
		}
	}
	return list
}

// countEnded counts the connections that have ended, and wants each to have a FIN.
func countEnded(t *testing.T, clients []net.Conn) (n int) {
	t.Helper()
	for _, c := range clients {
		switch err := echo(c); {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET): // by what echo sends after the FIN
			n++
		default:
			t.Errorf("a client: %v", err)
		}
	}
	return n
}

// Where a server does not close, HAProxy waits for it. The client is let go all
// the same, and the worker gets its SIGTERM.
func TestClientsOfAServerThatDoesNotCloseAreLetGo(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.withTwoPorts(model)
		old := s.residualBy("127.0.0.1:8001", 2)
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--drain-rate", "20").exits(0).finds(old, isTerminated).sent(old, "SIGTERM")
		if n := a.process(old).DrainedConnections; n != 2 {
			t.Errorf("%d connections drained, want 2", n)
		}
		for _, c := range s.clients[old.ProcID] {
			c.SetReadDeadline(time.Now().Add(bedPatience))
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a client: %v, want EOF", err)
			}
		}
		b.stay(without(before, old)...)
	})
}

// The clients of two old workers go in one order, and a dry run says so and
// closes nothing.
func TestADrainTakesItsTimeAndEnds(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.withTwoPorts(judge.ModelMasterWorker)
	probe := s.probe()
	first, second := s.residualBy("127.0.0.1:8000", 4), s.residualBy("127.0.0.1:8000", 4)
	all := b.processes()
	held := slices.Concat(s.clients[first.ProcID], s.clients[second.ProcID])
	none := func(why string) {
		t.Helper()
		if n := countEnded(t, held); n > 0 {
			t.Errorf("%s: %d clients are gone", why, n)
		}
	}

	b.agent("reap", "--dry-run", "--deadline", "0s", "--drain-rate", "100").exits(0).finds(first, wouldTerminate).finds(second, wouldTerminate)
	none("a dry run")
	b.agent("reap", "--deadline", "1h", "--drain-rate", "100").exits(0).finds(first, isWaited).finds(second, isWaited)
	none("nothing is due")
	b.stay(all...)

	// It is told to stop when it has begun.
	j := b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--drain-rate", "1", "--log.level", "debug"}})
	b.until(func() error {
		if !strings.Contains(j.stderr.String(), "closed the connection") {
			return errors.New("it has closed nothing yet")
		}
		return nil
	})
	j.cmd.Process.Signal(unix.SIGTERM)
	a := b.answer(j).exits(0).finds(first, sparedFor(judge.ReasonInterrupted)).finds(second, sparedFor(judge.ReasonInterrupted))
	if closed, n := a.process(first).DrainedConnections+a.process(second).DrainedConnections, countEnded(t, held); n != closed || n == 0 || n > 3 {
		t.Errorf("%d clients are gone, %d reported", n, closed)
	}
	b.stay(all...)

	// A reload comes in between: what is left is a later pass's.
	j = b.startAgent(command{args: []string{"reap", "--deadline", "0s", "--drain-rate", "0.5", "--settle", "1s", "--log.level", "debug"}})
	b.until(func() error {
		if !strings.Contains(j.stderr.String(), "closed the connection") {
			return errors.New("it has closed nothing yet")
		}
		return nil
	})
	s.hold(1)
	s.reload()
	b.answer(j).exits(3).refuses(first, judge.ReasonChanged).sent(first).sent(second)
	if n := countEnded(t, held); n > 5 {
		t.Errorf("%d clients are gone", n)
	}

	// It takes longer than it may.
	b.agent("reap", "--deadline", "0s", "--drain-rate", "0.5", "--drain-timeout", "1s").exits(0).
		finds(first, isTerminated).finds(second, isTerminated)
	if n := len(b.processes()); n != 2 {
		t.Errorf("%d processes are left, want the master and the active", n)
	}
	probe.unbroken(b)
}
