package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/haproxy-reaper/haproxy-reaper/metrics"
)

const (
	// maxConnections bounds the connections at once, maxHeader the bytes of a
	// request's header; a scrape needs one and a few hundred.
	maxConnections = 100
	maxHeader      = 16 << 10
	// firstPass is how long a scrape waits for the first pass, so that a restart
	// leaves no gap in the gauges. Prometheus waits for 10s.
	firstPass = 5 * time.Second
)

// newWebServer serves metrics, health and the page. Clients that are slow lose
// their connection, and so does the one that is longest silent when there are
// too many: passes go on and a scrape gets through.
func newWebServer(s *serving, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	scrape := metrics.Handler(func() metrics.Input { return *s.input.Load() }, log)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		wait, cancel := context.WithTimeout(r.Context(), firstPass)
		defer cancel()
		select {
		case <-s.first:
		case <-wait.Done():
		}
		scrape.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /-/healthy", yesOrNo(s.isHealthy, "haproxy-reaper is healthy.\n", "No pass has ended or got on in three intervals.\n"))
	mux.HandleFunc("GET /-/ready", yesOrNo(s.isReady, "haproxy-reaper is ready.\n", "The first pass has not ended yet.\n"))
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /style.css", style)
	seats := &seats{max: maxConnections, taken: map[net.Conn]time.Time{}}
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ConnState:         seats.change,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func yesOrNo(good func() bool, yes, no string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		text := yes
		if !good() {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = no
		}
		io.WriteString(w, text)
	}
}

// listenAndServe listens as the --web flags say, and calls listening once it
// does.
func listenAndServe(server *http.Server, c *config, log *slog.Logger, listening func()) error {
	once := sync.OnceFunc(listening)
	server.BaseContext = func(net.Listener) context.Context {
		once()
		return context.Background()
	}
	systemd := bool(c.systemdSocket)
	return web.ListenAndServe(server, &web.FlagConfig{
		WebListenAddresses: &c.listenAddresses,
		WebSystemdSocket:   &systemd,
		WebConfigFile:      &c.webConfigFile,
	}, log)
}

// seats are the connections at once. When they are all taken, the one that has
// been reading, answering or waiting for longest gives up its own: a scrape
// takes milliseconds.
type seats struct {
	max   int
	mu    sync.Mutex
	taken map[net.Conn]time.Time // since when in its state
}

func (s *seats) change(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, seated := s.taken[c]
	switch {
	case state == http.StateNew:
		if len(s.taken) >= s.max {
			s.free()
		}
		s.taken[c] = time.Now()
	case !seated: // it was closed already
	case state == http.StateClosed, state == http.StateHijacked:
		delete(s.taken, c)
	default:
		s.taken[c] = time.Now()
	}
}

// free closes the connection that is longest in its state.
func (s *seats) free() {
	var longest net.Conn
	for c, since := range s.taken {
		if longest == nil || since.Before(s.taken[longest]) {
			longest = c
		}
	}
	delete(s.taken, longest)
	longest.Close()
}
