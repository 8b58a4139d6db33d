package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// answerPatience is how long those who are connected when serve stops have to
// say what they want, and answerAgain how often it is asked whether they have.
const (
	answerPatience = 2 * time.Second
	answerAgain    = 5 * time.Millisecond
)

// seats are the connections at once. When they are all taken, the one that has
// been reading, answering or waiting for longest gives up its own: a scrape
// takes milliseconds.
type seats struct {
	max   int
	mu    sync.Mutex
	taken map[net.Conn]seat
}

type seat struct {
	state http.ConnState
	since time.Time // in that state
}

func newSeats(most int) *seats { return &seats{max: most, taken: map[net.Conn]seat{}} }

// change is http.Server.ConnState.
func (s *seats) change(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, seated := s.taken[c]
	switch {
	case state == http.StateNew:
		if len(s.taken) >= s.max {
			s.free()
		}
		s.taken[c] = seat{state, time.Now()}
	case !seated: // it was closed already
	case state == http.StateClosed, state == http.StateHijacked:
		delete(s.taken, c)
	default:
		s.taken[c] = seat{state, time.Now()}
	}
}

// free closes the connection that is longest in its state.
func (s *seats) free() {
	var longest net.Conn
	for c, it := range s.taken {
		if longest == nil || it.since.Before(s.taken[longest].since) {
			longest = c
		}
	}
	delete(s.taken, longest)
	longest.Close()
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
	for _, it := range s.taken {
		if it.state != http.StateIdle {
			return true
		}
	}
	return false
}
