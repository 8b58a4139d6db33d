package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
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

// webServer serves metrics, health and the page. Clients that are slow lose their
// connection, and so does the one that is longest silent when there are too
// many: passes go on and a scrape gets through.
type webServer struct {
	http.Server
	seats   *seats
	handed  []net.Listener // by systemd
	serving chan error     // what came of listening and serving, once
}

func newWebServer(s *serving, log *slog.Logger) *webServer {
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
	seats := newSeats(maxConnections)
	return &webServer{
		Server: http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    maxHeader,
			ConnState:         seats.change,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		seats:   seats,
		serving: make(chan error, 1),
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

// listenAndServe listens as the --web flags say, calls listening once it does,
// and serves until it is stopped. After an error of listening it accepts no
// connection.
func (w *webServer) listenAndServe(c *config, log *slog.Logger, listening func() error) {
	once := sync.OnceValue(listening)
	w.BaseContext = func(l net.Listener) context.Context {
		if once() != nil {
			l.Close()
		}
		return context.Background()
	}
	flags := &web.FlagConfig{WebListenAddresses: &c.listenAddresses, WebSystemdSocket: new(bool), WebConfigFile: &c.webConfigFile}
	if !c.systemdSocket {
		w.serving <- web.ListenAndServe(&w.Server, flags, log)
		return
	}
	var err error
	w.handed, err = activation.Listeners()
	switch {
	case err != nil:
		w.serving <- fmt.Errorf("%s: %w", c.source("web.systemd-socket"), err)
	case len(w.handed) == 0:
		w.serving <- fmt.Errorf("%s: systemd has handed over no socket", c.source("web.systemd-socket"))
	default:
		w.serving <- web.ServeMultiple(w.handed, &w.Server, flags, log)
	}
}

// stop ends the server in order, and returns why it ended before that, if it
// did. Who is connected is answered. Who is not yet, waits at systemd's socket
// for the next serve, where that holds it.
func (w *webServer) stop(ctx context.Context, log *slog.Logger) error {
	var err error
	if len(w.handed) > 0 {
		for _, l := range w.handed {
			l.Close()
		}
		err = <-w.serving // from now on nobody is accepted
		// Shutdown would hang up on whose request it reads from now on (net/http).
		w.seats.answer(ctx)
	}
	if shutdownErr := w.Shutdown(ctx); shutdownErr != nil {
		log.Debug("end the scrapes", "error", shutdownErr)
		w.Close()
	}
	if len(w.handed) == 0 {
		err = <-w.serving
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
