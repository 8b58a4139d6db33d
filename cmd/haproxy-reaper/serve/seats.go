package serve

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// answerPatience is how long those that are connected when serve stops have to
	// say what they want, answerAgain how often it is asked whether they have.
	answerPatience = 2 * time.Second
	answerAgain    = 5 * time.Millisecond
)

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
