package serve

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
	// maxHeader bounds the bytes of a request's header; a scrape needs a few hundred.
	maxHeader = 16 << 10
	// firstPass is how long a scrape waits for the first pass, so that a restart
	// leaves no gap in the gauges. Prometheus waits for 10s.
	firstPass = 5 * time.Second
)

// webServer serves metrics, health and the page. Clients that are slow lose their
// connection: passes go on and a scrape gets through.
type webServer struct {
	http.Server
	seats   *seats
	handed  []net.Listener // by systemd
	serving chan error     // what came of listening and serving, once
}

func newWebServer(s *serving) *webServer {
	mux := http.NewServeMux()
	scrape := metrics.Handler(func() metrics.Input { return *s.input.Load() }, s.log)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		patience, cancel := context.WithTimeout(r.Context(), firstPass)
		defer cancel()
		select {
		case <-s.first:
		case <-patience.Done():
		}
		scrape.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /-/healthy", yesOrNo(s.isHealthy, "haproxy-reaper is healthy.\n", "No pass has ended or got on in three intervals.\n"))
	mux.HandleFunc("GET /-/ready", yesOrNo(s.isReady, "haproxy-reaper is ready.\n", "The first pass has not ended yet.\n"))
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /style.css", style)
	seats := newSeats()
	return &webServer{
		Server: http.Server{
			Handler:           withoutBody(mux),
			ReadHeaderTimeout: askTime,
			ReadTimeout:       2 * firstPass, // its end is that of the request's context
			WriteTimeout:      2 * firstPass,
			IdleTimeout:       askTime,
			MaxHeaderBytes:    maxHeader,
			ConnState:         seats.change,
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		},
		seats:   seats,
		serving: make(chan error, 1),
	}
}

// withoutBody answers requests, and waits for no body that one has announced.
func withoutBody(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			http.NewResponseController(w).SetReadDeadline(time.Now())
		}
		handler.ServeHTTP(w, r)
	})
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
func (w *webServer) listenAndServe(o Options, listening func() error) {
	once := sync.OnceValue(listening)
	w.BaseContext = func(l net.Listener) context.Context {
		if once() != nil {
			l.Close()
		}
		return context.Background()
	}
	listeners, err := listen(o)
	if err != nil {
		w.serving <- err
		return
	}
	limit(listeners)
	if o.SystemdSocket {
		w.handed = listeners
	}
	w.serving <- web.ServeMultiple(listeners, &w.Server, &web.FlagConfig{WebConfigFile: &o.WebConfigFile}, o.Log)
}

// listen opens what the --web flags name, or takes what systemd has opened.
func listen(o Options) (listeners []net.Listener, err error) {
	if o.SystemdSocket {
		listeners, err = activation.Listeners()
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", o.SystemdSocketFrom, err)
		case len(listeners) == 0:
			return nil, fmt.Errorf("%s: systemd has handed over no socket", o.SystemdSocketFrom)
		}
		return listeners, nil
	}
	for _, address := range o.ListenAddresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
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
