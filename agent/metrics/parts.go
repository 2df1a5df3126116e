package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Loop is what is asked of *agent.Agent.
type Loop interface {
	Totals() agent.Totals
	Drift() map[dataplane.Kind]int
	Namespaces() []agent.Namespace
	Queue() (waiting, running, retrying int)
	Discovery() dataplane.Discovery
}

// Parts are what is asked whenever somebody asks us. All functions return at once.
type Parts struct {
	Loop     Loop
	SyncedAt func() time.Time
	Health   Health
	// Announcer is nil where nothing is announced.
	Announcer func() announcer.Stats
	// Broker is nil where none is needed.
	Broker func() rpc.Status
	// Dropped are the lines of the log that were left out, and those that were lost.
	Dropped func() (leftOut, lost uint64)
}

// Watch adds what is asked for. Once, before anybody asks.
func (m *Metrics) Watch(p Parts) { m.registry.MustRegister(&collector{p, m.table, m.descs()}) }

// descs are those of the metrics that no hook keeps.
func (m *Metrics) descs() map[string]*prometheus.Desc {
	kept := map[string]bool{}
	for _, name := range []string{
		buildInfo, looksTotal, lookDuration, queueWait, appliesTotal, applyDuration, messageToKernel, kernelToWire,
		kernelWrites, syncsTotal, syncDuration, syncLastSuccess, rpcErrors, rpcDuration,
	} {
		kept[Prefix+name] = true
	}
	out := map[string]*prometheus.Desc{}
	for name, d := range m.table {
		if !kept[name] {
			out[name] = prometheus.NewDesc(name, d.Help, d.labels(), nil)
		}
	}
	return out
}

// collector asks the parts.
type collector struct {
	p     Parts
	table described
	descs map[string]*prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(name string, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[c.table.of(name, Gauge).Name], prometheus.GaugeValue, value, labels...)
	}
	counter := func(name string, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(c.descs[c.table.of(name, Counter).Name], prometheus.CounterValue, value, labels...)
	}
	gauge(readyGauge, flag(len(c.p.Health.Unready()) == 0))
	gauge(overdueParts, float64(len(c.p.Health.Overdue())))
	leftOut, lost := c.p.Dropped()
	counter(logLinesDropped, float64(leftOut), flood)
	counter(logLinesDropped, float64(lost), unspent)
	gauge(lastFullSync, unix(c.p.SyncedAt()))
	c.loop(gauge, counter)
	c.announcer(gauge, counter)
	if c.p.Broker != nil {
		c.broker(c.p.Broker(), gauge, counter)
	}
}

// write makes one value.
type write = func(name string, value float64, labels ...string)

func (c *collector) loop(gauge, counter write) {
	t := c.p.Loop.Totals()
	gauge(routersGauge, float64(t.Enabled), "enabled")
	gauge(routersGauge, float64(t.Routers-t.Enabled), "disabled")
	gauge(proxiesWanted, float64(t.Wanted()))
	gauge(proxiesGauge, float64(t.Answered), "answered")
	gauge(proxiesGauge, float64(t.Pending), "pending")
	gauge(proxiesGauge, float64(t.Failed), "failed")
	gauge(proxiesGauge, float64(t.Elsewhere), "elsewhere")
	gauge(proxiesGauge, float64(t.Disabled), "disabled")
	states := map[string]int{"ok": 0, "waiting": 0, "failed": 0, "new": 0}
	for _, ns := range c.p.Loop.Namespaces() {
		states[state(ns)]++
	}
	for s, n := range states {
		gauge(namespacesGauge, float64(n), s)
	}
	for kind, n := range c.p.Loop.Drift() {
		counter(driftRepaired, float64(n), string(kind))
	}
	d := c.p.Loop.Discovery()
	counter(solicitations, float64(d.Solicitations))
	counter(advertisements, float64(d.Advertisements))
	waiting, running, retrying := c.p.Loop.Queue()
	gauge(queueLength, float64(waiting), "waiting")
	gauge(queueLength, float64(running), "running")
	gauge(queueLength, float64(retrying), "retrying")
}

// state is what `status` calls it.
func state(ns agent.Namespace) string {
	switch {
	case !ns.Looked:
		return "new"
	case ns.Error || ns.Failed > 0:
		return "failed"
	case ns.Trouble != "":
		return "waiting"
	}
	return "ok"
}

func (c *collector) announcer(gauge, counter write) {
	var s announcer.Stats
	if c.p.Announcer != nil {
		s = c.p.Announcer()
	}
	counter(announcementsSent, float64(s.Sent))
	c.table.of(announcementFails, Counter).each(func(values []string) {
		counter(announcementFails, float64(s.Failed[ndsend.Reason(values[0])]), values[0])
	})
	counter(announcementsBad, float64(s.Rejected))
	counter(announcementsGone, float64(s.GivenUp))
	gauge(announcementsOwed, float64(s.Owed))
	gauge(announcementsAgain, float64(s.Repeating))
}

func (c *collector) broker(s rpc.Status, gauge, counter write) {
	gauge(brokerConnected, flag(s.Connected))
	gauge(brokerSubscribed, flag(s.Subscribed))
	gauge(brokerBlocked, flag(s.Blocked != ""))
	counter(brokerConnections, float64(s.Connections))
	counter(brokerAttempts, float64(s.Attempts))
	counter(brokerLosses, float64(s.Losses))
	counter(messagesTotal, float64(s.Events), "event")
	counter(messagesTotal, float64(s.Ignored), "ignored")
	counter(messagesTotal, float64(s.Unwanted), "unwanted")
	counter(messagesTotal, float64(s.Garbled), "garbled")
	counter(messagesTotal, float64(s.Duplicates), "duplicate")
	counter(messagesTotal, float64(s.Superseded), "superseded")
	counter(repliesDropped, float64(s.StrayReplies), "stray")
	counter(repliesDropped, float64(s.GarbledReplies), "garbled")
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// unix is a time as Prometheus has them, 0 for none.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
