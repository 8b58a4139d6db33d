package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors/version"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// namespace is the prefix of every name.
const namespace = "haproxy_reaper"

// Input is all that metrics are made of.
type Input struct {
	// Report is the last pass. One that saw nothing of the host says why in
	// Report.Errors, and has its DryRun, DeadlineSeconds and CanSignal. The zero
	// Report is none: there are counters of earlier runs, and no pass yet.
	Report   judge.Report
	Counters state.Counters
	Run      time.Time     // end of the last pass; zero: there was none
	Success  time.Time     // end of the last pass that did not fail; zero: there was none
	Duration time.Duration // of the last pass
}

// seen tells whether there was a pass.
func (in Input) seen() bool { return in.Report.Version > 0 }

// NewCollector is a collector of everything in families.go, for that input.
func NewCollector(in Input) prometheus.Collector {
	c := &collector{pass: newPass(in)}
	for _, f := range families {
		name := prometheus.BuildFQName(namespace, "", f.name)
		c.descs = append(c.descs, prometheus.NewDesc(name, f.help, f.labels, nil))
	}
	return c
}

// NewRegistry holds NewCollector and build_info, and nothing else.
func NewRegistry(in Input) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(in), version.NewCollector(namespace))
	return registry
}

type collector struct {
	descs []*prometheus.Desc // of families, in their order
	pass  *pass
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range c.descs {
		descs <- desc
	}
}

func (c *collector) Collect(samples chan<- prometheus.Metric) {
	for n, f := range families {
		f.collect(c.pass, sink{desc: c.descs[n], kind: f.kind, samples: samples})
	}
}

// sink takes the samples of one family; labels are in the order of its own.
type sink struct {
	desc    *prometheus.Desc
	kind    prometheus.ValueType
	samples chan<- prometheus.Metric
}

func (s sink) value(v float64, labels ...string) {
	sample, err := prometheus.NewConstMetric(s.desc, s.kind, v, labels...)
	s.send(sample, err)
}

// lifetimes takes one histogram, which in the exposition is cumulative.
func (s sink) lifetimes(l state.Lifetimes, labels ...string) {
	var count uint64
	buckets := make(map[float64]uint64, len(state.LifetimeBounds))
	for i, bound := range state.LifetimeBounds {
		if i < len(l.Buckets) {
			count += l.Buckets[i]
		}
		buckets[bound.Seconds()] = count
	}
	for i := len(state.LifetimeBounds); i < len(l.Buckets); i++ {
		count += l.Buckets[i]
	}
	sample, err := prometheus.NewConstHistogram(s.desc, count, l.SumSeconds, buckets, labels...)
	s.send(sample, err)
}

func (s sink) send(sample prometheus.Metric, err error) {
	if err != nil {
		sample = prometheus.NewInvalidMetric(s.desc, err)
	}
	s.samples <- sample
}
