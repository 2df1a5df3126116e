package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/source/neutron"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Options of [New].
type Options struct {
	// Version and Commit of the build.
	Version, Commit string
	// Neutron: there is a broker and a server to tell of.
	Neutron bool
}

// Metrics has the hooks for what happens. They may be called from any goroutine, and
// do not wait.
type Metrics struct {
	o        Options
	registry *prometheus.Registry
	table    described

	looks                                 *prometheus.CounterVec
	lookTook, queueWaited                 *prometheus.HistogramVec
	applies                               *prometheus.CounterVec
	applying, messageToKernel, kernelWire prometheus.Histogram
	writes                                prometheus.Counter
	// Nil without Neutron.
	syncs, callErrors  *prometheus.CounterVec
	syncTook, callTook *prometheus.HistogramVec
	syncSucceeded      *prometheus.GaugeVec
}

// New returns metrics with the hooks ready and all values at 0; [Metrics.Watch] adds
// those that are asked for.
func New(o Options) *Metrics {
	m := &Metrics{o: o, registry: prometheus.NewPedanticRegistry(), table: newDescribed(o.Neutron)}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := m.gauge(buildInfo)
	build.WithLabelValues(o.Version, o.Commit).Set(1)

	m.looks = m.counter(looksTotal)
	m.lookTook, m.queueWaited = m.histogram(lookDuration), m.histogram(queueWait)
	m.applies = m.counter(appliesTotal)
	m.applying = single(m.histogram(applyDuration))
	m.messageToKernel, m.kernelWire = single(m.histogram(messageToKernel)), single(m.histogram(kernelToWire))
	m.writes = m.counter(kernelWrites).WithLabelValues()
	if o.Neutron {
		m.syncs, m.syncTook, m.syncSucceeded = m.counter(syncsTotal), m.histogram(syncDuration), m.gauge(syncLastSuccess)
		m.callErrors, m.callTook = m.counter(rpcErrors), m.histogram(rpcDuration)
	}
	return m
}

// single is the only one of a family without labels.
func single(v *prometheus.HistogramVec) prometheus.Histogram {
	return v.WithLabelValues().(prometheus.Histogram) // what else it is, is the library's
}

func (m *Metrics) counter(name string) *prometheus.CounterVec {
	d := m.table.of(name, Counter)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.labels())
	m.registry.MustRegister(v)
	d.each(func(values []string) { v.WithLabelValues(values...) })
	return v
}

func (m *Metrics) gauge(name string) *prometheus.GaugeVec {
	d := m.table.of(name, Gauge)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: d.Name, Help: d.Help}, d.labels())
	m.registry.MustRegister(v)
	d.each(func(values []string) { v.WithLabelValues(values...) })
	return v
}

func (m *Metrics) histogram(name string) *prometheus.HistogramVec {
	d := m.table.of(name, Histogram)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets}, d.labels())
	m.registry.MustRegister(v)
	d.each(func(values []string) { v.WithLabelValues(values...) })
	return v
}

// each goes through all combinations of the labels' values, so that what never
// happened shows as 0: a rate over a series that appears with its first event misses
// that one. None, if a label is the build's.
func (d Description) each(do func(values []string)) {
	var walk func(values []string)
	walk = func(values []string) {
		if len(values) == len(d.Labels) {
			do(values)
			return
		}
		for _, v := range d.Labels[len(values)].Values {
			walk(append(values[:len(values):len(values)], v))
		}
	}
	walk(nil)
}

// Looked counts a look; it is the hook of agent.Options.
func (m *Metrics) Looked(l agent.Look) {
	depth := quick
	if l.Deep {
		depth = deep
	}
	m.looks.WithLabelValues(depth, string(l.End)).Inc()
	m.lookTook.WithLabelValues(depth).Observe(l.Took.Seconds())
	m.queueWaited.WithLabelValues(depth).Observe(l.Waited.Seconds())
	if !l.Applied {
		return
	}
	m.applies.WithLabelValues(outcome(l.Failures > 0)).Inc()
	m.applying.Observe(l.Applying.Seconds())
	m.writes.Add(float64(l.Writes))
	if l.Message > 0 {
		m.messageToKernel.Observe(l.Message.Seconds())
	}
}

// Left counts first copies of announcements; it is the hook of announcer.Options.
func (m *Metrics) Left(waited []time.Duration) {
	for _, w := range waited {
		m.kernelWire.Observe(w.Seconds())
	}
}

// Called counts a call to the server; it is the hook of the client's Config.
func (m *Metrics) Called(method rpc.Method, took time.Duration, err error) {
	m.callTook.WithLabelValues(string(method)).Observe(took.Seconds())
	if err != nil {
		m.callErrors.WithLabelValues(string(method), string(rpc.Classify(err))).Inc()
	}
}

// Asked counts a question to the server; it is the hook of the source's Options.
func (m *Metrics) Asked(q neutron.Question, took time.Duration, err error) {
	m.syncs.WithLabelValues(string(q), outcome(err != nil)).Inc()
	m.syncTook.WithLabelValues(string(q)).Observe(took.Seconds())
	if err == nil {
		m.syncSucceeded.WithLabelValues(string(q)).SetToCurrentTime()
	}
}

func outcome(bad bool) string {
	if bad {
		return failed
	}
	return ok
}
