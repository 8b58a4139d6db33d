package machine

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

// ServeTunnel adds the frontends to the machine's HAProxy, and the backend of
// the tunnel: it greets, and repeats what it hears.
func (m *Machine) ServeTunnel() {
	m.T.Helper()
	var backend net.Listener
	err := m.Inside(func() (err error) {
		backend, err = net.Listen("tcp", "127.0.0.1:2223")
		return err
	})
	if err != nil {
		m.T.Fatal(err)
	}
	m.T.Cleanup(func() { backend.Close() })
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
	m.Write(cfg, m.Read(cfg)+frontends, 0o644)
	m.Must("systemctl", "restart", "haproxy")
}

// A Client holds a connection through the tunnel, and with it the worker that
// was the active one when it came.
type Client struct {
	net.Conn
	Lines *bufio.Reader
}

func (m *Machine) Hold() Client {
	m.T.Helper()
	c := m.Dial("127.0.0.1:2222")
	held := Client{c, bufio.NewReader(c)}
	if line, err := held.Lines.ReadString('\n'); line != "hello\n" {
		m.T.Fatalf("the tunnel said %q, %v; want a greeting", line, err)
	}
	return held
}

// Echo tells whether the connection still carries bytes both ways.
func (c Client) Echo() error {
	if _, err := io.WriteString(c, "still there\n"); err != nil {
		return err
	}
	line, err := c.Lines.ReadString('\n')
	if line != "still there\n" {
		return fmt.Errorf("heard %q, %v", line, err)
	}
	return nil
}

// Answering is the pid of the worker that answers a new connection.
func (m *Machine) Answering() string {
	m.T.Helper()
	c := m.Dial("127.0.0.1:8080")
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	answer, err := io.ReadAll(c)
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	if !strings.Contains(head, " 200 ") {
		m.T.Fatalf("HAProxy answered %q, %v", answer, err)
	}
	return body
}

// Workers are the pids of the children of HAProxy's master, oldest first.
func (m *Machine) Workers() []string {
	m.T.Helper()
	main := m.Show("haproxy.service", "MainPID")
	return strings.Fields(m.Read("/proc/" + main + "/task/" + main + "/children"))
}

// ReloadHolding holds a connection and reloads HAProxy, n times, each time
// Until a new worker answers. It returns the workers that it left behind and
// their clients.
func (m *Machine) ReloadHolding(n int) (old []string, clients []Client) {
	m.T.Helper()
	for range n {
		before := m.Answering()
		clients = append(clients, m.Hold())
		m.Must("systemctl", "reload", "haproxy")
		m.Until(func() error {
			if now := m.Answering(); now == before {
				return fmt.Errorf("worker %s still answers after the reload", now)
			}
			return nil
		})
		old = append(old, before)
	}
	if got := m.Workers(); !slices.Equal(got[:len(got)-1], old) {
		m.T.Fatalf("the workers are %q, want %q and one more", got, old)
	}
	return old, clients
}
