package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// Handler serves what WriteTextfile writes, of the Input that there is then, and
// besides that the go_ and process_ metrics of the serving process itself.
func Handler(input func() Input, log *slog.Logger) http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	passes := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return NewRegistry(input()).Gather() })
	return promhttp.HandlerFor(prometheus.Gatherers{passes, own}, promhttp.HandlerOpts{
		ErrorLog:          errorLog{log},
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
		// However many ask at once, one is gathered for, and none is turned away. A
		// compressor takes a megabyte for each.
		CoalesceGather:     true,
		DisableCompression: true,
	})
}

// errorLog is promhttp.Logger. A client that hangs up is no error of ours, and
// clients that do so by the thousand must not fill the log.
type errorLog struct{ log *slog.Logger }

func (e errorLog) Println(v ...any) {
	level := slog.LevelError
	if len(v) > 0 && v[0] == "error encoding and sending metric family:" {
		level = slog.LevelDebug
	}
	e.log.Log(context.Background(), level, strings.TrimSpace(fmt.Sprintln(v...)))
}
