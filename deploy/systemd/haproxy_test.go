package systemd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
)

// What the tests add to Debian's own haproxy.cfg: a tunnel that keeps its
// worker for as long as the client likes, and a page that tells who answers.
const frontends = `
listen tunnel
    mode tcp
    bind 127.0.0.1:2222
    timeout client 1h
    timeout server 1h
    server backend 127.0.0.1:2223

frontend web
    bind 127.0.0.1:8080
    http-request return status 200 content-type text/plain lf-string "%pid"
`

// serveTunnel adds the frontends to the machine's HAProxy, and the backend of
// the tunnel: it greets, and repeats what it hears.
func (m *machine) serveTunnel() {
	m.t.Helper()
	var backend net.Listener
	err := m.inside(func() (err error) {
		backend, err = net.Listen("tcp", "127.0.0.1:2223")
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { backend.Close() })
	go func() {
		for {
			c, err := backend.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "hello\n")
				io.Copy(c, c)
			}()
		}
	}()
	const cfg = "/etc/haproxy/haproxy.cfg"
	m.write(cfg, m.read(cfg)+frontends, 0o644)
	m.must("systemctl", "restart", "haproxy")
}

// A client holds a connection through the tunnel, and with it the worker that
// was the active one when it came.
type client struct {
	net.Conn
	lines *bufio.Reader
}

func (m *machine) hold() client {
	m.t.Helper()
	c := m.dial("127.0.0.1:2222")
	held := client{c, bufio.NewReader(c)}
	if line, err := held.lines.ReadString('\n'); line != "hello\n" {
		m.t.Fatalf("the tunnel said %q, %v; want a greeting", line, err)
	}
	return held
}

// echo tells whether the connection still carries bytes both ways.
func (c client) echo() error {
	if _, err := io.WriteString(c, "still there\n"); err != nil {
		return err
	}
	line, err := c.lines.ReadString('\n')
	if line != "still there\n" {
		return fmt.Errorf("heard %q, %v", line, err)
	}
	return nil
}

// answering is the pid of the worker that answers a new connection.
func (m *machine) answering() string {
	m.t.Helper()
	c := m.dial("127.0.0.1:8080")
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	answer, err := io.ReadAll(c)
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	if !strings.Contains(head, " 200 ") {
		m.t.Fatalf("HAProxy answered %q, %v", answer, err)
	}
	return body
}

// workers are the pids of the children of HAProxy's master, oldest first.
func (m *machine) workers() []string {
	m.t.Helper()
	main := m.show("haproxy.service", "MainPID")
	return strings.Fields(m.read("/proc/" + main + "/task/" + main + "/children"))
}

// reloadHolding holds a connection and reloads HAProxy, n times, each time
// until a new worker answers. It returns the workers that it left behind and
// their clients.
func (m *machine) reloadHolding(n int) (old []string, clients []client) {
	m.t.Helper()
	for range n {
		before := m.answering()
		clients = append(clients, m.hold())
		m.must("systemctl", "reload", "haproxy")
		m.until(func() error {
			if now := m.answering(); now == before {
				return fmt.Errorf("worker %s still answers after the reload", now)
			}
			return nil
		})
		old = append(old, before)
	}
	if got := m.workers(); !slices.Equal(got[:len(got)-1], old) {
		m.t.Fatalf("the workers are %q, want %q and one more", got, old)
	}
	return old, clients
}
