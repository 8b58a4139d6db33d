package inspect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Benchmarks, to be run by hand: go test -run=NONE -bench=. ./inspect

// myself is this process with so many TCP connections, twice as many sockets.
func myself(b *testing.B, connections int) (*Host, *Process) {
	b.Helper()
	// As HAProxy's: of TCP alone, with SO_REUSEPORT.
	listens := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		callErr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(callErr, err)
	}}
	listens.SetMultipathTCP(false)
	l, err := listens.Listen(b.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	for range connections {
		for _, open := range []func() (net.Conn, error){
			func() (net.Conn, error) { return net.Dial("tcp4", l.Addr().String()) }, l.Accept,
		} {
			c, err := open()
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
		}
	}
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	h := NewHost(Linux{}, []string{exe})
	b.Cleanup(h.Close)
	p := h.read(os.Getpid(), true)
	if p == nil || p.Err != nil {
		b.Fatalf("%+v", p)
	}
	return h, p
}

func BenchmarkExamineSockets(b *testing.B) {
	for _, connections := range []int{10, 100, 1000} {
		h, p := myself(b, connections)
		for _, peers := range []bool{false, true} {
			b.Run(fmt.Sprintf("connections=%d/peers=%v", connections, peers), func(b *testing.B) {
				tables := h.Tables()
				tables.Peers = peers
				b.ReportAllocs()
				for b.Loop() {
					h.ExamineSockets(context.Background(), tables, p)
				}
				if p.Err != nil || len(p.Sockets.Ends) < connections {
					b.Fatal(p.Err)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(2*connections), "ns/descriptor")
			})
		}
	}
}

func BenchmarkFindListener(b *testing.B) {
	h, p := myself(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		h.FindListener(h.Tables(), p)
	}
	if p.Err != nil || len(p.Sockets.Listening) != 1 {
		b.Fatalf("%+v", p)
	}
}

// BenchmarkObserve lists the processes of this machine and some hundred more.
func BenchmarkObserve(b *testing.B) {
	const more = 300
	for range more {
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	h := NewHost(Linux{}, []string{"haproxy"})
	defer h.Close()
	processes, err := h.kernel.Pids(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Observe(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(processes)), "ns/process")
}

func BenchmarkReadProcess(b *testing.B) {
	h, p := myself(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if q := h.read(p.PID, true); q == nil || q.Err != nil {
			b.Fatalf("%+v", q)
		}
	}
}

func BenchmarkDumpListening(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dumpListening(Linux{}, true, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseShowSess(b *testing.B) {
	text := []byte(strings.Repeat("0x7f5c64021340: proto=tcpv4 src=10.0.0.2:50001 fe=fe be=be srv=s1 ts=00 epoch=0x1 age=2h7m calls=3 rate=0 cpu=0 lat=0\n", 1000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseShowSess(text); err != nil {
			b.Fatal(err)
		}
	}
}
