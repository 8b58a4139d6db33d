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
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// perFiller is how many connections one filler holds both ends of: two
// descriptors each, of the 20,000 that a process may have on small machines.
const perFiller = 9000

// fill makes connections to a listener of its own and keeps both ends until
// standard input ends.
func fill(count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	for range n {
		// Plain calls: Go's own network would keep a record of each.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		if _, _, err := unix.Accept(int(file.Fd())); err != nil {
			return err
		}
	}
	return stay()
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

// part starts another process of this program and waits until it says that it
// is ready. It ends when its standard input is closed.
func part(ctx context.Context, args ...string) (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() {
		in.Close()
		_ = cmd.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		end()
		return nil, fmt.Errorf("%s: %q, %w", strings.Join(args, " "), line, err)
	}
	return end, nil
}

const (
	frontend = "127.0.0.1:8000"
	backend  = "127.0.0.2:8001"
)

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
    bind ` + frontend + `
    default_backend be
backend be
    server s1 ` + backend + `
`

// service is a HAProxy with one residual process.
type service struct {
	master   *exec.Cmd
	residual string // its pid
	end      []func()
}

// startService starts HAProxy, holds client connections and reloads it once.
func startService(ctx context.Context, dir string, clients int) (*service, error) {
	s := &service{}
	if err := s.start(ctx, dir, clients); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *service) start(ctx context.Context, dir string, clients int) error {
	endSink, err := part(ctx, "sink", backend)
	if err != nil {
		return err
	}
	s.end = append(s.end, endSink)
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return err
	}
	s.master = exec.CommandContext(ctx, "haproxy", "-W", "-S", filepath.Join(dir, "master.sock"), "-f", file)
	if err := s.master.Start(); err != nil {
		return err
	}
	first, err := s.worker("")
	if err != nil {
		return err
	}
	endHold, err := part(ctx, "hold", strconv.Itoa(clients), frontend)
	if err != nil {
		return err
	}
	s.end = append([]func(){endHold}, s.end...)
	if err := s.master.Process.Signal(unix.SIGUSR2); err != nil {
		return err
	}
	if _, err := s.worker(first); err != nil {
		return err
	}
	s.residual = first
	return nil
}

// worker waits until another worker than the former listens, and is alone in it.
func (s *service) worker(former string) (string, error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		master := strconv.Itoa(s.master.Process.Pid)
		children, err := os.ReadFile("/proc/" + master + "/task/" + master + "/children")
		if err != nil {
			return "", err
		}
		all := strings.Fields(string(children))
		if len(all) == 0 || all[len(all)-1] == former {
			continue
		}
		// The old one has stopped to listen by the time that the new one is alone
		// in the kernel's eyes: ready to be looked at.
		out, err := exec.Command("ss", "-Hltnp", "sport", "=", ":8000").Output()
		if err != nil {
			return "", err
		}
		young := all[len(all)-1]
		if text := string(out); strings.Contains(text, "pid="+young+",") && (former == "" || !strings.Contains(text, "pid="+former+",")) {
			return young, nil
		}
	}
	return "", errors.New("HAProxy does not come up")
}

// stop ends the service and its clients.
func (s *service) stop() {
	if s.master != nil && s.master.Process != nil {
		// It ends all its workers and waits for them.
		_ = s.master.Process.Signal(unix.SIGTERM)
		_ = s.master.Wait()
	}
	for _, end := range s.end {
		end()
	}
}

// filler holds sockets, so that the namespace has so many in all.
type filler struct {
	end     []func()
	sockets int
}

// grow adds sockets until there are so many, and says how far it is.
func (f *filler) grow(ctx context.Context, sockets int, progress func(int)) error {
	for f.sockets < sockets {
		n := min(perFiller, (sockets-f.sockets+1)/2)
		end, err := part(ctx, "fill", strconv.Itoa(n))
		if err != nil {
			return err
		}
		f.end = append(f.end, end)
		f.sockets += 2 * n
		progress(f.sockets)
	}
	return nil
}

func (f *filler) stop() {
	for _, end := range f.end {
		end()
	}
}

// sleepers starts processes that do nothing, a shell's children.
func sleepers(ctx context.Context, n int) (end func(), err error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do sleep 3600 & i=$((i+1)); done; echo ready; read -r line; kill $(cat /proc/$$/task/$$/children); wait", n))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() {
		in.Close()
		_ = cmd.Wait()
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		end()
		return nil, fmt.Errorf("start %d processes: %q, %w", n, line, err)
	}
	return end, nil
}
