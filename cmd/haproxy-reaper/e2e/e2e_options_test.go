package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// What HAProxy sets on its sockets decides what they are. These tests measure it on
// each release, socket by socket.

// options are those that the decision asks for; the last one only of listeners.
type options struct{ reuseAddr, reusePort, nonblock bool }

// measured are the options of each kind of socket that a process has, by what the
// test calls it, and the inodes of each kind; what it has no name for is left out.
func (b *bed) measured(p process, name func(kind int, listens bool, local, peer string) string) (found map[string]options, inodes map[string][]uint64) {
	b.t.Helper()
	found, inodes = map[string]options{}, map[string][]uint64{}
	var k inspect.Linux
	pid := b.outside(p)
	pidfd, err := k.PidfdOpen(pid)
	if err != nil {
		b.t.Fatal(err)
	}
	defer unix.Close(pidfd)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, entry := range fds {
		var fd int
		if _, err := fmt.Sscan(entry.Name(), &fd); err != nil {
			b.t.Fatal(err)
		}
		dup, err := k.PidfdGetfd(pidfd, fd)
		if err != nil {
			continue // closed by now
		}
		local, err := k.SockName(dup)
		if err == nil && (local.Family == unix.AF_INET || local.Family == unix.AF_INET6) {
			of := func(option int) int { n, _ := k.SockoptInt(dup, unix.SOL_SOCKET, option); return n }
			peer, _ := k.PeerName(dup)
			flags, _ := k.StatusFlags(dup)
			text := ""
			if peer.Family != 0 {
				text = peer.IP.String()
			}
			kind, listens := of(unix.SO_TYPE), of(unix.SO_ACCEPTCONN) != 0
			if is := name(kind, listens, local.IP.String(), text); is != "" {
				got := options{reuseAddr: of(unix.SO_REUSEADDR) != 0, reusePort: of(unix.SO_REUSEPORT) != 0}
				got.nonblock = flags&unix.O_NONBLOCK != 0 && (listens || kind == unix.SOCK_DGRAM && got.reuseAddr)
				if before, known := found[is]; known && before != got {
					is += ", another one"
				}
				found[is] = got
				inode, err := k.Inode(dup)
				if err != nil {
					b.t.Fatal(err)
				}
				inodes[is] = append(inodes[is], inode)
			}
		}
		unix.Close(dup)
	}
	return found, inodes
}

// silentServer is a name server that answers nothing.
type silentServer struct {
	address string
	asked   sync.Map // ports that it was asked from
}

func (b *bed) silentServer() *silentServer {
	b.t.Helper()
	var c net.PacketConn
	err := b.amongClients(func() (err error) { c, err = net.ListenPacket("udp4", "127.0.0.1:0"); return err })
	if err != nil {
		b.t.Fatal(err)
	}
	s := &silentServer{address: c.LocalAddr().String()}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			_, from, err := c.ReadFrom(make([]byte, 1<<16))
			if err != nil {
				return
			}
			s.asked.Store(fmt.Sprint(from.(*net.UDPAddr).Port), true)
		}
	})
	b.t.Cleanup(func() { c.Close(); done.Wait() })
	return s
}

// everyKind is a configuration with each kind of socket that the release has.
func everyKind(b *bed, resolver, silent string) setup {
	s := setup{
		global:   "    log 127.0.0.1:514 local0\n",
		defaults: "    log global\n    option tcplog\n    option logasap\n",
		sections: `
resolvers dns
    nameserver one ` + resolver + `
frontend with-source
    bind 127.0.0.1:8001
    bind [::1]:8001
    default_backend source
frontend with-a-name
    bind 127.0.0.1:8002
    default_backend resolved
backend source
    server s1 BACKEND source 127.0.0.1:10000-20000
backend resolved
    server s1 srv.example:1 resolvers dns init-addr none
ring collector
    size 32768
    timeout connect 5s
    timeout server 1h
    server s1 BACKEND
`,
		files: map[string]string{},
	}
	if b.since(2, 3) {
		s.sections += "log-forward syslog\n    dgram-bind 127.0.0.1:1514\n    log ring@collector local0\n"
	}
	if b.since(3, 0) {
		s.global += "    limited-quic\n"
		s.files[bedDir+"/web.pem"] = certificate(b.t)
		s.sections += "frontend quic\n    mode http\n    bind quic4@127.0.0.1:8443 ssl crt " + bedDir + "/web.pem alpn h3\n    default_backend silent\nbackend silent\n    mode http\n    server s1 " + silent + "\n"
	}
	return s
}

// The options of a listener are those of what it accepts, and tell both from what
// HAProxy has made itself.
func TestTheOptionsOfEachSocketOfHAProxy(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		resolver := b.silentServer()
		never := make(chan struct{})
		defer close(never)
		silent := b.serve(func(net.Conn) { <-never })
		with := everyKind(b, resolver.address, silent)
		with.model, with.backend = model, b.startBackend()
		s := b.startService("web", with)
		s.hold(2)
		for _, address := range []string{"127.0.0.1:8001", "[::1]:8001"} {
			c, err := b.dial(address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := echo(c); err != nil {
				t.Fatal(err)
			}
		}
		if b.since(3, 0) {
			if err := b.requestByQUIC("127.0.0.1:8443"); err != nil {
				t.Fatal("request by QUIC:", err)
			}
		}
		name := func(kind int, listens bool, local, peer string) string {
			port := local[strings.LastIndex(local, ":")+1:]
			_, asks := resolver.asked.Load(port)
			switch {
			case kind == unix.SOCK_DGRAM && peer == "" && (port == "1514" || port == "8443"):
				return "a datagram listener"
			case kind == unix.SOCK_DGRAM && asks: // connected, up to some 3.0; not, with some 3.2 on
				return "a resolver's"
			case kind == unix.SOCK_DGRAM && peer == "":
				return "a log's"
			case kind == unix.SOCK_DGRAM && port == "8443":
				return "of a QUIC client"
			case kind == unix.SOCK_DGRAM:
				return "a datagram socket of no known kind " + local + " " + peer
			case listens:
				return "a listener"
			case peer == with.backend && strings.HasPrefix(port, "10") && len(port) == 5:
				return "to a server, with source"
			case peer == with.backend, peer == silent:
				return "to a server"
			case peer != "":
				return "accepted"
			}
			return ""
		}
		listener, made := options{true, true, true}, options{}
		want := map[string]options{
			"a listener": listener, "accepted": {true, true, false}, "to a server": made, "to a server, with source": {true, false, false},
			"a log's": made, "a resolver's": made,
		}
		if b.since(2, 3) {
			want["a datagram listener"] = listener
		}
		if b.since(3, 0) {
			want["of a QUIC client"] = options{true, false, true}
		}
		var inodes map[string][]uint64
		b.until(func() error { // the resolver's is there when it has something to ask
			got, of := b.measured(s.active(), name)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{})); diff != "" {
				return errors.New("options (-want +got):\n" + diff)
			}
			inodes = of
			return nil
		})

		// sock_diag shows none of them. Of a log's socket it shows that its reading side is
		// shut down, which ss writes as an arrow without a head.
		udp := b.run(command{args: []string{"ss", "-uanHe"}})
		for kind, list := range inodes {
			for _, inode := range list {
				for line := range strings.Lines(udp) {
					if strings.Contains(line, fmt.Sprintf(" ino:%d ", inode)) && strings.Contains(line, "-->") != (kind == "a log's") {
						t.Errorf("%s is shut down, or is not: %s", kind, line)
					}
				}
			}
		}
		listed := func(kind string) bool {
			return strings.Contains(udp, fmt.Sprintf(" ino:%d ", inodes[kind][0]))
		}
		if !listed("a log's") || !listed("a resolver's") {
			t.Errorf("ss does not list all: this shows nothing\n%s", udp)
		}
	})
}

// Under noreuseport SO_REUSEADDR is all that a listener has, and "source" as well.
func TestTheOptionsOfSocketsUnderNoReusePort(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		backend := b.startBackend()
		s := b.startService("web", setup{backend: backend, global: "    noreuseport\n"})
		s.hold(1)
		name := func(kind int, listens bool, local, peer string) string {
			switch {
			case kind != unix.SOCK_STREAM:
				return ""
			case listens:
				return "a listener"
			case peer == backend:
				return "to a server"
			}
			return "accepted"
		}
		want := map[string]options{"a listener": {true, false, true}, "accepted": {true, false, false}, "to a server": {}}
		got, _ := b.measured(s.active(), name)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("options (-want +got):\n%s", diff)
		}
	})
}

// Of the descriptors that a service manager passed, HAProxy makes those non-blocking
// that its configuration names, and leaves the others as they are.
func TestTheFlagsOfListenersThatWerePassed(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.withPassed()
		old := s.superseded()
		name := func(_ int, listens bool, local, _ string) string {
			if listens {
				return local
			}
			return ""
		}
		used, unused := options{true, false, true}, options{true, false, false}
		got, _ := b.measured(old, name)
		if diff := cmp.Diff(map[string]options{"127.0.0.1:8004": unused}, got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("listeners of the old worker (-want +got):\n%s", diff)
		}
		want := map[string]options{"127.0.0.1:8000": used, "127.0.0.1:8004": unused}
		got, _ = b.measured(s.active(), name)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("listeners of the active (-want +got):\n%s", diff)
		}
	})
}

// withPassed is a service that was passed two listeners, as by a socket unit with two
// ListenStream: descriptor 3 on port 8000 and 4 on 8004, both in blocking mode.
func (b *bed) withPassed() *service {
	b.t.Helper()
	var files []*os.File
	for _, port := range []int{8000, 8004} {
		err := b.inside(func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			files = append(files, os.NewFile(uintptr(fd), "listener"))
			return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 16))
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	s := b.startService("web", setup{
		inherit: files, text: strings.ReplaceAll(tcpOnly, "bind 127.0.0.1:8000", "bind fd@3"),
	})
	for _, f := range files {
		f.Close()
	}
	return s
}

// superseded reloads a service with a client, whatever the old worker goes on to
// hold, and returns the old one.
func (s *service) superseded() process {
	s.b.t.Helper()
	s.hold(1)
	old := s.active()
	s.startReload()
	s.b.until(func() error {
		if young := s.active(); young.ProcID == old.ProcID || !young.ready() {
			return errors.New("the new worker is not there")
		}
		if _, err := s.showProc(); err != nil {
			return err
		}
		c, err := s.b.dial(s.cli)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.WriteString(c, fmt.Sprintf("@!%d show info;quit\n", old.PID)); err != nil {
			return err
		}
		text, err := io.ReadAll(c)
		if err == nil && !strings.Contains(string(text), "Stopping: 1") {
			err = fmt.Errorf("the old worker does not stop: %s", text)
		}
		return err
	})
	return old
}

// An old worker that holds a descriptor which nothing of the service uses is
// residual like any; what the configuration uses, it has given back.
func TestAListenerThatWasPassedAndIsNotUsedHoldsNobodyBack(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.withPassed()
		old := []process{s.superseded(), s.superseded()}
		for _, p := range old {
			if !p.holds(b.listening()) {
				t.Fatal("the old worker holds no listener: this shows nothing")
			}
		}
		s.reapsExactly(old...)
		c, err := b.dial("127.0.0.1:8004") // it waits in the queue of a socket that is still there
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

// With grace an old worker accepts through what it was passed, although it stops and
// the master and the active hold the same socket: it is left alone.
func TestAListenerThatWasPassedAndIsUsedWithinTheGraceIsOne(t *testing.T) {
	inReleases(t, func(r release) bool { return r.since(2, 5) }, func(t *testing.T, b *bed) {
		s := b.withPassed()
		b.write(s.config, strings.Replace(b.read(s.config), "global\n", "global\n    grace 1h\n", 1))
		first := s.superseded() // has no grace yet
		old := s.superseded()
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--settle", "300ms").exits(0)
		a.finds(first, isTerminated).finds(old, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""})
		b.stay(without(before, first)...)
	})
}
