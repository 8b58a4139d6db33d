package serve

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// MaxConnections is the most connections that serve has at once, below the 1,024
	// descriptors that a process has by default. askTime is how long a connection may
	// be silent, before its request and after its answer. So a flood has a connection
	// for a second, and the kernel's queue goes on by MaxConnections a second, in its
	// order: a queue of net.core.somaxconn (4,096) is through before Prometheus's 10s are.
	//
	// Measured with 3,000 connections at once that come again, silent or with half a
	// request: 40 of 40 scrapes. With 100 connections and 5s none was through in time;
	// where the connection that was silent for longest gave way to a new one, 20 to 38
	// were, for a scrape was closed as well before its turn.
	MaxConnections = 800
	askTime        = time.Second
	// answerPatience is how long those that are connected when serve stops have to
	// say what they want, answerAgain how often it is asked whether they have.
	answerPatience = 2 * time.Second
	answerAgain    = 5 * time.Millisecond
)

// limit gives each listener its part of MaxConnections.
func limit(listeners []net.Listener) {
	for i, l := range listeners {
		listeners[i] = netutil.LimitListener(l, max(1, MaxConnections/len(listeners)))
	}
}

// seats are the connections that serve has, by what they do.
type seats struct {
	mu    sync.Mutex
	taken map[net.Conn]http.ConnState
}

func newSeats() *seats { return &seats{taken: map[net.Conn]http.ConnState{}} }

// change is http.Server.ConnState.
func (s *seats) change(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.taken, c)
		return
	}
	s.taken[c] = state
}

// answer waits until nobody is left who asks or is answered, for a bounded time.
func (s *seats) answer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	for again := time.NewTicker(answerAgain); ; {
		if !s.busy() {
			again.Stop()
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return
		}
	}
}

func (s *seats) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.taken {
		if state != http.StateIdle {
			return true
		}
	}
	return false
}
