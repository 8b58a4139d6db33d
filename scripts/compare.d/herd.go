package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	// clientTimeout is how long a client waits for a connection and its handshake,
	// clientPause the time after a failure before it tries again.
	clientTimeout = time.Second
	clientPause   = 100 * time.Millisecond
	// bystanders come at this distance, whatever becomes of the others.
	bystanderEvery = 20 * time.Millisecond
)

// herd are clients that keep a connection each, and reconnect at once when it
// ends; and new clients of the service that have nothing to do with them.
type herd struct {
	address string

	mu        sync.Mutex
	connected int           // clients that hold a connection
	cuts      []time.Time   // when a connection ended
	tries     []time.Time   // when a client that was cut off tried to connect
	failed    int           // of the tries, and of the bystanders'
	back      int           // tries that succeeded
	slowest   time.Duration // that a bystander took for connection and handshake
}

// graze lets a client live until the context ends.
func (h *herd) graze(ctx context.Context) {
	again := false
	for ctx.Err() == nil {
		c, err := h.connect(ctx, again)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(clientPause):
			}
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		var b [1]byte
		_, _ = c.Read(b[:]) // nothing is ever sent: it is the end, well or not
		stop()
		c.Close()
		again = true
		h.note(ctx, func() {
			h.connected--
			h.cuts = append(h.cuts, time.Now())
		})
	}
}

// note changes what is known, as long as the herd is watched.
func (h *herd) note(ctx context.Context, change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() == nil {
		change()
	}
}

func (h *herd) connect(ctx context.Context, again bool) (net.Conn, error) {
	if again {
		h.note(ctx, func() { h.tries = append(h.tries, time.Now()) })
	}
	c, err := h.dial(ctx)
	h.note(ctx, func() {
		switch {
		case err == nil:
			h.connected++
			if again {
				h.back++
			}
		case again:
			h.failed++
		}
	})
	return c, err
}

func (h *herd) dial(ctx context.Context) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: clientTimeout, KeepAlive: -1}, Config: &tls.Config{InsecureSkipVerify: true}}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	return d.DialContext(ctx, "tcp4", h.address)
}

// passBy lets new clients come, one after another.
func (h *herd) passBy(ctx context.Context) {
	tick := time.NewTicker(bystanderEvery)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		wg.Go(func() {
			began := time.Now()
			c, err := h.dial(ctx)
			h.note(ctx, func() {
				h.slowest = max(h.slowest, time.Since(began))
				if err != nil {
					h.failed++
				}
			})
			if err == nil {
				c.Close()
			}
		})
	}
}

// connectedNow is how many hold a connection, and how many of them are back.
func (h *herd) connectedNow() (connected, back int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.connected, h.back
}
