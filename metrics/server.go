package metrics

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// maxScrapes is how many scrapes are answered at once; one more is told 503.
const maxScrapes = 16

// Handler serves what WriteTextfile writes, of the Input that there is then, and
// besides that the go_ and process_ metrics of the serving process itself.
func Handler(input func() Input, log *slog.Logger) http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	passes := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return NewRegistry(input()).Gather() })
	return promhttp.HandlerFor(prometheus.Gatherers{passes, own}, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	})
}
