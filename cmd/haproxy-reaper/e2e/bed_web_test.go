package e2e

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// webBackend is one that speaks HTTP/1: a websocket sends back what it gets, and
// /slow is answered when it is let go.
type webBackend struct {
	ctx   context.Context // of the test
	letGo chan struct{}
}

func (w webBackend) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, 4.2.2
			fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				base64.StdEncoding.EncodeToString(sum[:]))
			io.Copy(c, in)
			return
		}
		if r.URL.Path == "/slow" {
			select {
			case <-w.letGo:
			case <-w.ctx.Done():
				return
			}
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
	}
}

// watched is a client's connection that notes how it ended: io.EOF is a FIN.
type watched struct {
	net.Conn
	name   string
	end    chan error
	silent *atomic.Bool // of the bed's clients: see Write
}

// Write says nothing any more once the clients are silent: a TLS client answers a
// goodbye with its own, and if that comes before HAProxy has closed, HAProxy closes
// with something unread, which is a RST of the client's own making.
func (w *watched) Write(b []byte) (int, error) {
	if w.silent.Load() {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		select {
		case w.end <- err:
		default:
		}
	}
	return n, err
}

// Close hears the end of it first: TLS is content with a close_notify.
func (w *watched) Close() error {
	w.SetReadDeadline(time.Now().Add(time.Second))
	for b := make([]byte, 1024); ; {
		if _, err := w.Read(b); err != nil {
			return w.Conn.Close()
		}
	}
}

// watch connects a client that is to be drained.
func (b *bed) watch(name, address string, silent *atomic.Bool) *watched {
	b.t.Helper()
	c, err := b.dial(address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return &watched{Conn: c, name: name, end: make(chan error, 1), silent: silent}
}

// hearsFIN wants the connection to end, and well.
func (w *watched) hearsFIN(b *bed) {
	b.t.Helper()
	select {
	case err := <-w.end:
		if err != io.EOF {
			b.t.Errorf("%s: %v, want EOF", w.name, err)
		}
		w.end <- err
	case <-time.After(bedPatience):
		b.t.Fatalf("%s: its connection has not ended", w.name)
	}
}

// listen reads on until the connection ends.
func (w *watched) listen(in io.Reader) { go io.Copy(io.Discard, in) }

// get asks for a path and reads the answer's head.
func get(b *bed, c net.Conn, in *bufio.Reader, path string, header string) *http.Response {
	b.t.Helper()
	c.SetDeadline(time.Now().Add(2 * bedPatience))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, header)
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		b.t.Fatalf("GET %s: %v", path, err)
	}
	return r
}

// over is a client of HTTP on one connection.
func over(c net.Conn, h2 bool) *http.Client {
	dial := func(context.Context, string, string) (net.Conn, error) {
		if c == nil {
			return nil, errors.New("one connection is all there is")
		}
		tlsConn := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{map[bool]string{true: "h2", false: "http/1.1"}[h2]}})
		c = nil
		return tlsConn, tlsConn.Handshake()
	}
	return &http.Client{Timeout: 2 * bedPatience, Transport: &http.Transport{DialTLSContext: dial, ForceAttemptHTTP2: h2}}
}

func fetch(client *http.Client, path string) (proto string, err error) {
	r, err := client.Get("https://127.0.0.1" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != "done" {
		return "", fmt.Errorf("%q, %v", body, err)
	}
	return r.Proto, nil
}
