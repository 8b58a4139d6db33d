package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// service is a HAProxy with a TLS frontend, before an echo.
type service struct {
	cmd     *exec.Cmd
	log     bytes.Buffer
	address string
	echo    net.Listener
	ready   int // times that it said so
}

// startService runs HAProxy in the foreground, as a master with one worker, for so
// many clients; global is what its global section has besides.
func startService(dir string, clients int, global string) (*service, error) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	s := &service{echo: echo, address: "127.0.0.1:8443"}
	pem, err := certificate()
	if err != nil {
		return nil, err
	}
	cfg, cert := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "compare.pem")
	text := fmt.Sprintf(`global
    maxconn %d
    %s
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
frontend tls
    bind %s ssl crt %s backlog 4096
    default_backend echo
backend echo
    server s1 %s
`, clients+1000, global, s.address, cert, echo.Addr())
	if err := errors.Join(os.WriteFile(cert, pem, 0o600), os.WriteFile(cfg, []byte(text), 0o600)); err != nil {
		return nil, err
	}
	s.cmd = exec.Command("haproxy", "-W", "-S", filepath.Join(dir, "master.sock"), "-f", cfg)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	return s, nil
}

// workers are the master's children.
func (s *service) workers() ([]string, error) {
	pid := s.cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	var list []string
	for _, child := range bytes.Fields(b) {
		list = append(list, string(child))
	}
	return list, err
}

// reload starts a second worker, and waits until it serves.
func (s *service) reload(ctx context.Context) error {
	if err := s.cmd.Process.Signal(unix.SIGUSR2); err != nil {
		return err
	}
	return until(ctx, "the new worker serves", func() bool {
		list, err := s.workers()
		return err == nil && len(list) == 2 && s.takesFromTheNewest(list[1])
	})
}

// takesFromTheNewest tells whether the new worker has opened its listener, which
// it has taken over from the old one.
func (s *service) takesFromTheNewest(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	const caught = "SigCgt:\t"
	_, rest, found := bytes.Cut(b, []byte(caught))
	if err != nil || !found {
		return false
	}
	var mask uint64
	_, err = fmt.Sscanf(string(rest), "%x", &mask)
	return err == nil && mask&(1<<(unix.SIGUSR1-1)) != 0
}

// stop ends HAProxy, its workers with it.
func (s *service) stop() {
	s.echo.Close()
	_ = s.cmd.Process.Signal(unix.SIGTERM)
	_ = s.cmd.Wait()
}

// until asks again and again, until the answer is yes.
func until(ctx context.Context, what string, yes func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waited in vain until %s", what))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
