package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// perFiller is how many connections one filler holds both ends of: two
// descriptors each, of the 20,000 that a process may have on small machines.
const perFiller = 9000

// fill makes connections of a kind and keeps both ends until standard input ends.
// Then it closes them so that no TIME_WAIT stays behind.
func fill(kind, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	makes := map[string]func(int) ([]int, error){"tcp4": fillTCP, "tcp6": fillTCP6, "udp": fillUDP}[kind]
	if makes == nil {
		return fmt.Errorf("no connections of %q", kind)
	}
	fds, err := makes(n)
	if err != nil {
		return err
	}
	err = stay()
	for _, fd := range fds {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(fd)
	}
	return err
}

func fillTCP(n int) ([]int, error) {
	return connections(n, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func fillTCP6(n int) ([]int, error) {
	return connections(n, unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
}

// connections makes some of TCP to a listener of its own, and returns the ends that
// made them. Plain calls: Go's own network would keep a record of each.
func connections(n, family int, address unix.Sockaddr) (ends []int, err error) {
	listener, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Bind(listener, address), unix.Listen(listener, 16)); err != nil {
		return nil, err
	}
	bound, err := unix.Getsockname(listener)
	if err != nil {
		return nil, err
	}
	for range n {
		fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
		if err != nil {
			return nil, err
		}
		if err := unix.Connect(fd, bound); err != nil {
			return nil, err
		}
		if _, _, err := unix.Accept(listener); err != nil {
			return nil, err
		}
		ends = append(ends, fd)
	}
	return ends, nil
}

// fillUDP makes pairs of connected UDP sockets, as QUIC has one for each client. They
// are on an address of this process's own: one has few ports.
func fillUDP(n int) (ends []int, err error) {
	pid := os.Getpid()
	for range n {
		var pair [2]int
		var names [2]unix.Sockaddr
		for i := range pair {
			if pair[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err != nil {
				return nil, err
			}
			if err = unix.Bind(pair[i], &unix.SockaddrInet4{Addr: [4]byte{127, byte(1 + pid>>16), byte(pid >> 8), byte(pid)}}); err != nil {
				return nil, err
			}
			if names[i], err = unix.Getsockname(pair[i]); err != nil {
				return nil, err
			}
		}
		for i := range pair {
			if err := unix.Connect(pair[i], names[1-i]); err != nil {
				return nil, err
			}
		}
		ends = append(ends, pair[:]...)
	}
	return ends, nil
}

// hold opens connections to an address, one byte there and back on each.
func hold(count, address string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	held := make([]net.Conn, n) // an unused connection would be closed
	for i := range held {
		c, err := net.Dial("tcp4", address)
		if err != nil {
			return err
		}
		if _, err := c.Write([]byte{'.'}); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return err
		}
		held[i] = c
	}
	err = stay()
	runtime.KeepAlive(held)
	return err
}

// sink answers each connection with what it sends.
func sink(address string) error {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			// From one socket to another Go would splice, through two more
			// descriptors for each.
			go io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		}
	}()
	return stay()
}

// stay says that all is there, and waits for the end of standard input.
func stay() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// network is a network namespace; the zero value is our own.
type network struct {
	enter []string // what a command begins with to run in it
	end   func()
}

// newNetwork makes one in which nothing is.
func newNetwork(ctx context.Context) (network, error) {
	pid, end, err := start(ctx, "unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && read -r line")
	if err != nil {
		return network{}, err
	}
	return network{[]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pid), "--"}, end}, nil
}

// command is one that runs in it.
func (n network) command(ctx context.Context, args ...string) *exec.Cmd {
	args = slices.Concat(n.enter, args)
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// part starts another process of this program in it and waits until it is ready.
// It ends when its standard input is closed.
func (n network) part(ctx context.Context, args ...string) (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	_, end, err = start(ctx, slices.Concat(n.enter, []string{self}, args)...)
	return end, err
}

// start starts a command and waits until it says that it is ready. It ends when
// its standard input is closed.
func start(ctx context.Context, args ...string) (pid int, end func(), err error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	end = func() {
		in.Close()
		_ = cmd.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		end()
		return 0, nil, fmt.Errorf("%s: %q, %w", strings.Join(args, " "), line, err)
	}
	return cmd.Process.Pid, end, nil
}

// configuration is that of a service: the port of its frontend, and of its server. It
// listens on IPv6 as well, of which there is no connection: to find that out the kernel
// would walk all connections.
const configuration = `
global
    maxconn 9500
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend fe
    bind 127.0.0.1:%[1]d
    bind ipv6@[::1]:%[1]d
    default_backend be
backend be
    server s1 127.0.0.2:%[2]d
`

// service is a HAProxy with one residual process.
type service struct {
	network  network
	dir      string // for its files
	port     int    // of its frontend
	daemon   bool   // without a master
	master   *exec.Cmd
	residual string // its pid
	clients  int    // that this one holds
	end      []func()
}

// startService starts HAProxy, holds client connections and reloads it once.
func startService(ctx context.Context, s service) (*service, error) {
	if err := s.start(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return &s, nil
}

func (s *service) start(ctx context.Context) error {
	endSink, err := s.network.part(ctx, "sink", fmt.Sprintf("127.0.0.2:%d", s.port+1))
	if err != nil {
		return err
	}
	s.end = append(s.end, endSink)
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("haproxy.cfg"), fmt.Appendf(nil, configuration, s.port, s.port+1), 0o600); err != nil {
		return err
	}
	if err := s.load(ctx, ""); err != nil {
		return err
	}
	first, err := s.worker(ctx, "")
	if err != nil {
		return err
	}
	endHold, err := s.network.part(ctx, "hold", strconv.Itoa(s.clients), fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return err
	}
	s.end = append([]func(){endHold}, s.end...)
	if err := s.load(ctx, first); err != nil {
		return err
	}
	if _, err := s.worker(ctx, first); err != nil {
		return err
	}
	s.residual = first
	return nil
}

func (s *service) file(name string) string { return filepath.Join(s.dir, name) }

// load starts HAProxy, or reloads it when there is a former worker.
func (s *service) load(ctx context.Context, former string) error {
	if s.daemon {
		args := []string{"haproxy", "-D", "-p", s.file("pid"), "-f", s.file("haproxy.cfg")}
		if former != "" {
			args = append(args, "-sf", former)
		}
		return s.network.command(ctx, args...).Run()
	}
	if former != "" {
		return s.master.Process.Signal(unix.SIGUSR2)
	}
	s.master = s.network.command(ctx, "haproxy", "-W", "-S", s.file("master.sock"), "-f", s.file("haproxy.cfg"))
	return s.master.Start()
}

// worker waits until another worker than the former listens, and is alone in it.
func (s *service) worker(ctx context.Context, former string) (string, error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		list := s.file("pid")
		if !s.daemon {
			list = fmt.Sprintf("/proc/%d/task/%[1]d/children", s.master.Process.Pid)
		}
		pids, err := os.ReadFile(list)
		if err != nil {
			return "", err
		}
		all := strings.Fields(string(pids))
		if len(all) == 0 || all[len(all)-1] == former {
			continue
		}
		// The old one has stopped to listen by the time that the new one is alone
		// in the kernel's eyes: ready to be looked at.
		out, err := s.network.command(ctx, "ss", "-Hltne", "sport", "=", fmt.Sprintf(":%d", s.port)).Output()
		if err != nil {
			return "", err
		}
		young := all[len(all)-1]
		if listens(young, string(out)) && (former == "" || !listens(former, string(out))) {
			return young, nil
		}
	}
	return "", errors.New("HAProxy does not come up")
}

// listens tells whether a process holds one of the sockets that ss lists. To ask
// ss for the processes would read all descriptors of the host.
func listens(pid, listed string) bool {
	links, _ := filepath.Glob("/proc/" + pid + "/fd/*")
	for _, link := range links {
		target, _ := os.Readlink(link)
		inode, isSocket := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:[")
		if isSocket && strings.Contains(listed, " ino:"+inode+" ") {
			return true
		}
	}
	return false
}

// stop ends the service and its clients. The processes of a daemon are children
// of the bench, which is the init of its namespace of pids.
func (s *service) stop() {
	if s.daemon {
		young, _ := os.ReadFile(s.file("pid"))
		for _, text := range append(strings.Fields(string(young)), s.residual) {
			if pid, err := strconv.Atoi(text); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
				_, _ = unix.Wait4(pid, nil, 0, nil)
			}
		}
	}
	if s.master != nil && s.master.Process != nil {
		// It ends all its workers and waits for them.
		_ = s.master.Process.Signal(unix.SIGTERM)
		_ = s.master.Wait()
	}
	for _, end := range s.end {
		end()
	}
}

// filler holds sockets, so that there are so many in all, in turns in each of
// some networks, and of each of some kinds.
type filler struct {
	networks []network
	kinds    []string // as fill has them
	end      []func()
	sockets  int
}

// grow adds sockets until there are so many, and says how far it is.
func (f *filler) grow(ctx context.Context, sockets int, progress func(int)) error {
	for f.sockets < sockets {
		n := min(perFiller, (sockets-f.sockets+1)/2)
		in, kind := f.networks[len(f.end)%len(f.networks)], f.kinds[len(f.end)/len(f.networks)%len(f.kinds)]
		end, err := in.part(ctx, "fill", kind, strconv.Itoa(n))
		if err != nil {
			return err
		}
		f.end = append(f.end, end)
		f.sockets += 2 * n
		progress(f.sockets)
	}
	return nil
}

// stop ends them, all at once.
func (f *filler) stop() {
	var wg sync.WaitGroup
	for _, end := range f.end {
		wg.Go(end)
	}
	wg.Wait()
	f.end, f.sockets = nil, 0
}

// sleepers starts processes that do nothing, a shell's children.
func sleepers(ctx context.Context, n int) (end func(), err error) {
	_, end, err = start(ctx, "sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 3600 & i=$((i+1)); done; echo ready; read -r line; kill $(cat /proc/$$/task/$$/children); wait", n))
	return end, err
}
