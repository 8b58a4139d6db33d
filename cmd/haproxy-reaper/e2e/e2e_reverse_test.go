package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// edge is the HAProxy that clients connect to. It has no way to the inner one:
// that connects to it, and is sent the clients' requests over that connection
// (reverse HTTP).
const edge = `
global
    user haproxy
    group haproxy
    expose-experimental-directives
    stats socket /run/bed/edge-stats.sock level admin
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend public
    bind 127.0.0.1:7000
    default_backend inner
backend inner
    server inner rhttp@
frontend attach
    bind 127.0.0.1:7001 proto h2
    tcp-request session attach-srv inner/inner
`

// startReverse starts an edge and behind it a service whose frontend is reached
// by reverse HTTP, and by a port as well.
func (b *bed) startReverse(model judge.Model) *service {
	b.t.Helper()
	backend := webBackend{b.t.Context(), make(chan struct{})}
	b.startService("edge", setup{model: judge.ModelDaemon, text: edge, address: "127.0.0.1:7000"})
	return b.startService("web", setup{model: model, global: "    expose-experimental-directives\n", backend: b.startBackend(), sections: `
frontend reverse
    mode http
    bind rhttp@edge/edge nbconn 1
    default_backend web
backend edge
    mode http
    server edge 127.0.0.1:7001 proto h2
backend web
    mode http
    server s1 ` + b.serve(backend.serve) + `
`})
}

// holdByReverse has the active worker serve a client through the edge: a request
// that is not answered.
func (s *service) holdByReverse() net.Conn {
	b := s.b
	b.t.Helper()
	b.until(func() error {
		if text := b.ask(bedDir+"/edge-stats.sock", "show servers conn inner"); !strings.Contains(text, " 1 ") {
			return errors.New("nothing has connected to the edge")
		}
		return nil
	})
	c := b.connect("127.0.0.1:7000")
	fmt.Fprint(c, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	b.until(func() error {
		if n := strings.Count(b.ask(bedDir+"/web-stats.sock", "show sess"), "be=web"); n != 1 {
			return fmt.Errorf("%d requests are under way", n)
		}
		return nil
	})
	return c
}

// Clients that come over a connection which HAProxy made itself are clients that
// nothing but the master CLI knows of: no rule may take the worker for empty.
func TestClientsThatComeByReverseHTTPAreUnknownClients(t *testing.T) {
	hasReverse := func(r release) bool { return r.since(2, 9) }
	inReleases(t, hasReverse, func(t *testing.T, b *bed) {
		s := b.startReverse(judge.ModelMasterWorker)
		c := s.holdByReverse()
		old := s.makeOld(c)
		if text := b.ask(s.cli, fmt.Sprintf("@!%d show info;quit", old.PID)); !strings.Contains(text, "CurrConns: 1\n") {
			t.Fatal("the master CLI does not know of the client: this shows nothing:", text)
		}
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).counts(old, "client", 0).counts(old, "unknown", 1)
		b.agent("reap", "--deadline", "1h", "--idle-after", "1ms").exits(0).finds(old, isWaited)
		b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h").exits(0).finds(old, sparedFor(judge.ReasonActiveClients))
		b.stay(before...)
		s.reapsExactly(old)
	})
}

// Beside them others are counted.
func TestClientsThatComeByReverseHTTPAreUnknownBesideOthers(t *testing.T) {
	hasReverse := func(r release) bool { return r.since(2, 9) }
	inReleases(t, hasReverse, func(t *testing.T, b *bed) {
		s := b.startReverse(judge.ModelMasterWorker)
		s.hold(2)
		old := s.makeOld(s.holdByReverse())
		b.agent("status").exits(0).counts(old, "client", 2).counts(old, "unknown", 1)
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--idle-after", "1ms").exits(0).finds(old, isWaited)
		b.stay(before...)
	})
}
