package metrics

import (
	"fmt"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/source/neutron"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// Prefix begins the name of each metric of ours.
const Prefix = "ndp_proxy_agent_"

// Type is what Prometheus makes of a metric.
type Type string

// The types.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Description is all there is to know of a metric.
type Description struct {
	Name string // with the prefix
	Type Type
	// Unit of the value in words: "seconds", "proxies".
	Unit   string
	Labels []Label
	// Help is what it counts, one sentence for Prometheus' HELP.
	Help string
	// Do is how to read it and what to do, for the operator.
	Do string
	// Buckets of a histogram.
	Buckets []float64
	// Neutron: it is there only with source = neutron.
	Neutron bool
}

// Label is a dimension with few values.
type Label struct {
	Name string
	// Values are all it can have; none: one, which is the build's.
	Values []string
}

// label makes one of a closed set of another room.
func label[T ~string](name string, values []T) Label {
	l := Label{Name: name}
	for _, v := range values {
		l.Values = append(l.Values, string(v))
	}
	return l
}

// words makes one of words of our own.
func words(name string, values ...string) Label { return Label{name, values} }

// fine is for what takes microseconds to seconds, coarse for what may wait for others.
func fine() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func coarse() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

// Names of the metrics, without the prefix.
const (
	buildInfo          = "build_info"
	readyGauge         = "ready"
	overdueParts       = "overdue_parts"
	logLinesDropped    = "log_lines_dropped_total"
	routersGauge       = "routers"
	proxiesGauge       = "proxies"
	proxiesWanted      = "proxies_wanted"
	namespacesGauge    = "namespaces"
	messageToKernel    = "message_to_kernel_seconds"
	kernelToWire       = "kernel_to_wire_seconds"
	looksTotal         = "looks_total"
	lookDuration       = "look_duration_seconds"
	queueWait          = "queue_wait_seconds"
	queueLength        = "queue_length"
	appliesTotal       = "applies_total"
	applyDuration      = "apply_duration_seconds"
	kernelWrites       = "kernel_writes_total"
	driftRepaired      = "drift_repaired_total"
	solicitations      = "neighbor_solicitations_total"
	advertisements     = "neighbor_advertisements_total"
	announcementsSent  = "announcements_sent_total"
	announcementFails  = "announcement_failures_total"
	announcementsOwed  = "announcements_owed"
	announcementsAgain = "announcements_repeating"
	announcementsGone  = "announcements_given_up_total"
	announcementsBad   = "announcements_rejected_total"
	lastFullSync       = "last_full_sync_timestamp_seconds"
	syncsTotal         = "syncs_total"
	syncDuration       = "sync_duration_seconds"
	syncLastSuccess    = "sync_last_success_timestamp_seconds"
	rpcDuration        = "rpc_duration_seconds"
	rpcErrors          = "rpc_errors_total"
	brokerConnected    = "broker_connected"
	brokerSubscribed   = "broker_subscribed"
	brokerBlocked      = "broker_blocked"
	brokerConnections  = "broker_connections_total"
	brokerAttempts     = "broker_connect_attempts_total"
	brokerLosses       = "broker_connection_losses_total"
	messagesTotal      = "messages_total"
	repliesDropped     = "replies_dropped_total"
)

// Values of labels of our own.
const (
	ok, failed     = "ok", "failed"
	quick, deep    = "quick", "deep"
	flood, unspent = "flood", "not_written"
)

// Descriptions returns the table of all metrics, in the order of the documentation,
// those of the Go runtime and of the process not included.
func Descriptions() []Description {
	depths := words("depth", quick, deep)
	result := words("result", ok, failed)
	table := []Description{
		{
			Name: buildInfo, Type: Gauge, Unit: "1", Labels: []Label{{Name: "version"}, {Name: "commit"}},
			Help: "The build that runs, always 1.",
			Do:   "Compare over hosts after an upgrade.",
		}, {
			Name: readyGauge, Type: Gauge, Unit: "0 or 1",
			Help: "Whether /readyz says ready: in sync once, connected to the broker, nothing stuck.",
			Do:   "0 for long: ask /readyz or `neutron-ndp-proxy-agent status`, which say why not. The kernel goes on answering for what is published.",
		}, {
			Name: overdueParts, Type: Gauge, Unit: "parts",
			Help: "Parts of the daemon that promised to make progress and did not; the watchdog restarts it for them.",
			Do:   "Not 0: `status` and the log name them.",
		}, {
			Name: logLinesDropped, Type: Counter, Unit: "lines", Labels: []Label{words("reason", flood, unspent)},
			Help: "Lines of the log that were left out since there were too many of their kind, or that could not be written.",
			Do:   "Rises with flood: the log itself says of which kind. With not_written: the log's disk or pipe is full or slow.",
		},
		{
			Name: routersGauge, Type: Gauge, Unit: "routers", Labels: []Label{words("state", "enabled", "disabled")},
			Help: "Routers on this host, with and without NDP proxying.",
		}, {
			Name: proxiesWanted, Type: Gauge, Unit: "proxies",
			Help: "NDP proxies that are this host's to answer for, now or as the backup of an HA router.",
			Do:   "Those of routers that are not enabled, and those that other hosts serve, are not among them.",
		}, {
			Name: proxiesGauge, Type: Gauge, Unit: "proxies", Labels: []Label{words("state", "answered", "pending", "failed", "elsewhere", "disabled")},
			Help: "NDP proxies of the routers on this host by how it stands with them.",
			Do: "answered: the kernel answers. pending: something has to come first (a namespace, the gateway's address; on the backup of an HA router this is as it should be). " +
				"failed: refused, by us or by the kernel: `status` says why. elsewhere: another host serves it. disabled: its router is not enabled.",
		}, {
			Name: namespacesGauge, Type: Gauge, Unit: "namespaces", Labels: []Label{words("state", "ok", "waiting", "failed", "new")},
			Help: "Namespaces with a router of this host, or something of ours, by the outcome of the last look.",
			Do:   "failed for long: `status` names them and the error.",
		},
		{
			Name: messageToKernel, Type: Histogram, Unit: "seconds", Buckets: coarse(),
			Help: "Time from when the oldest message that a look made true was received until all of it was written to the kernel.",
			Do: "Only looks that wrote something because of a message count, and only when all could be written. A message about a router adds the time to ask the server for it. " +
				"High: compare with queue_wait_seconds (too few workers), rpc_duration_seconds (a slow server) and apply_duration_seconds (a slow kernel).",
		}, {
			Name: kernelToWire, Type: Histogram, Unit: "seconds", Buckets: coarse(),
			Help: "Time from when an address became answerable until its first advertisement was handed to the device.",
			Do:   "Handed over is not seen by the neighbours, but the last that we can see. It has the wait for a carrier, for duplicate address detection and for the pace (announce_rate).",
		},
		{
			Name: looksTotal, Type: Counter, Unit: "looks", Labels: []Label{depths, label("outcome", agent.Outcomes())},
			Help: "Looks at a namespace: reading it, comparing, writing the difference.",
			Do:   "deep ones are of audits. troubled: something failed and is tried again. forbidden: a capability or a limit of the machine is missing.",
		}, {
			Name: lookDuration, Type: Histogram, Unit: "seconds", Labels: []Label{depths}, Buckets: fine(),
			Help: "Time that a look took, with its writes.",
		}, {
			Name: queueWait, Type: Histogram, Unit: "seconds", Labels: []Label{depths}, Buckets: fine(),
			Help: "Time from the oldest reason for a look until a worker began it.",
			Do:   "quick ones wait for long: raise `workers`.",
		}, {
			Name: queueLength, Type: Gauge, Unit: "namespaces", Labels: []Label{words("state", "waiting", "running", "retrying")},
			Help: "Namespaces that wait for a look, are being looked at, or come again after a failure.",
		}, {
			Name: appliesTotal, Type: Counter, Unit: "changes", Labels: []Label{result},
			Help: "Sets of changes written to a namespace; failed: not all of it could be.",
		}, {
			Name: applyDuration, Type: Histogram, Unit: "seconds", Buckets: fine(),
			Help: "Time that the writes of one look took.",
		}, {
			Name: kernelWrites, Type: Counter, Unit: "writes",
			Help: "Writes to the kernel that were tried: entries, sysctls, routes, rules, filter transactions.",
			Do:   "Rises although nothing changes in the cloud: another program undoes what is written (drift_repaired_total).",
		}, {
			Name: driftRepaired, Type: Counter, Unit: "repairs", Labels: []Label{label("kind", dataplane.Kinds())},
			Help: "What others had changed of what the daemon wrote, and was set right.",
			Do:   "Rises again and again: another program works against this one, often the L3 agent's ndp_proxy extension or a firewall script.",
		},
		{
			Name: solicitations, Type: Counter, Unit: "messages",
			Help: "Neighbour solicitations that the devices which publish received, read from the kernel with each audit.",
			Do:   "The kernel counts those for addresses that are answered for, and for the device's own. It counts neither by address, nor what it drops in its queue of proxied ones (proxy_delay above 0).",
		}, {
			Name: advertisements, Type: Counter, Unit: "messages",
			Help: "Neighbour advertisements that left these devices, the kernel's answers and announcements together, read with each audit.",
			Do:   "Less announcements_sent_total it should grow as neighbor_solicitations_total does; if it stays behind, the kernel does not answer: `proxy_ndp` is off for a while, proxy_delay is not 0, or a firewall drops the answers.",
		}, {
			Name: announcementsSent, Type: Counter, Unit: "advertisements",
			Help: "Unsolicited neighbour advertisements handed to a device, each copy.",
		}, {
			Name: announcementFails, Type: Counter, Unit: "attempts", Labels: []Label{label("reason", ndsend.Reasons())},
			Help: "Attempts to send a burst that failed; what it was for stays owed and is tried again.",
			Do:   "not-ready passes by itself (no carrier, duplicate address detection). permission: CAP_NET_RAW is missing. filtered: a local firewall drops ICMPv6.",
		}, {
			Name: announcementsOwed, Type: Gauge, Unit: "announcements",
			Help: "Announcements of which no copy has left.",
			Do:   "Not 0 for long: neighbours may send to where the address was before; `status` and the log say which device is not ready.",
		}, {
			Name: announcementsAgain, Type: Gauge, Unit: "announcements",
			Help: "Announcements with further copies to come.",
		}, {
			Name: announcementsGone, Type: Counter, Unit: "announcements",
			Help: "Announcements that were dropped because the namespace or device stayed away.",
		}, {
			Name: announcementsBad, Type: Counter, Unit: "addresses",
			Help: "Addresses that can't be announced at all.",
			Do:   "Not 0: a fault of ours, report it with the log line.",
		},
		{
			Name: lastFullSync, Type: Gauge, Unit: "Unix time",
			Help: "When the source last told everything, 0 if it never did.",
			Do:   "With source = file: when the file was last taken.",
		}, {
			Name: syncsTotal, Type: Counter, Unit: "questions", Labels: []Label{label("what", neutron.Questions()), result}, Neutron: true,
			Help: "Questions to neutron-server, each of one or more calls.",
			Do:   "full_sync after each connection and every full_sync_interval; audit every audit_interval; the others when a message says that something changed.",
		}, {
			Name: syncDuration, Type: Histogram, Unit: "seconds", Labels: []Label{label("what", neutron.Questions())}, Buckets: coarse(), Neutron: true,
			Help: "Time until a question was answered, or failed.",
		}, {
			Name: syncLastSuccess, Type: Gauge, Unit: "Unix time", Labels: []Label{label("what", neutron.Questions())}, Neutron: true,
			Help: "When a question of the kind was last answered, 0 if none was.",
			Do:   "A full sync does for an audit. Older than a few audit_intervals: what the server tells nobody (a deleted port) is not noticed.",
		},
		{
			Name: rpcDuration, Type: Histogram, Unit: "seconds", Labels: []Label{label("method", rpc.Methods())}, Buckets: coarse(), Neutron: true,
			Help: "Time of calls to neutron-server, failed ones included; _count is how many there were.",
		}, {
			Name: rpcErrors, Type: Counter, Unit: "calls", Labels: []Label{label("method", rpc.Methods()), label("class", rpc.Classes())}, Neutron: true,
			Help: "Calls that failed.",
			Do: "timeout: the server is too slow or gone (rpc_response_timeout). disconnected, blocked, refused: look at RabbitMQ. unroutable: no neutron-server listens. " +
				"remote: the server answered with a failure, the log has its words.",
		}, {
			Name: brokerConnected, Type: Gauge, Unit: "0 or 1", Neutron: true,
			Help: "Whether a broker is connected.",
		}, {
			Name: brokerSubscribed, Type: Gauge, Unit: "0 or 1", Neutron: true,
			Help: "Whether pushes of neutron-server flow.",
		}, {
			Name: brokerBlocked, Type: Gauge, Unit: "0 or 1", Neutron: true,
			Help: "Whether the broker takes no messages, being low on memory or disk.",
		}, {
			Name: brokerConnections, Type: Counter, Unit: "connections", Neutron: true,
			Help: "Connections made to a broker; all but the first are reconnects.",
		}, {
			Name: brokerAttempts, Type: Counter, Unit: "attempts", Neutron: true,
			Help: "Attempts to connect to a broker.",
		}, {
			Name: brokerLosses, Type: Counter, Unit: "connections", Neutron: true,
			Help: "Connections that were lost.",
		}, {
			Name: messagesTotal, Type: Counter, Unit: "messages", Neutron: true,
			Labels: []Label{words("result", "event", "ignored", "unwanted", "garbled", "duplicate", "superseded")},
			Help:   "Messages of neutron-server to this host's queue by what became of them.",
			Do: "event: taken. ignored: none of our business. unwanted: of a port that nobody here publishes. duplicate: sent twice. superseded: replaced by a reconnect (counted as event, too). " +
				"garbled: not understood, so the next audit asks for everything; the log says what.",
		}, {
			Name: repliesDropped, Type: Counter, Unit: "replies", Labels: []Label{words("reason", "stray", "garbled")}, Neutron: true,
			Help: "Answers of neutron-server that came to no call (too late), or could not be understood.",
		},
	}
	for i := range table {
		table[i].Name = Prefix + table[i].Name
	}
	return table
}

// described is the table by name.
type described map[string]Description

func newDescribed(source bool) described {
	d := described{}
	for _, m := range Descriptions() {
		if source || !m.Neutron {
			d[m.Name] = m
		}
	}
	return d
}

// of returns the description of a metric. One that is not in the table is a mistake
// of ours that any test finds.
func (d described) of(name string, want Type) Description {
	m, ok := d[Prefix+name]
	if !ok || m.Type != want {
		panic(fmt.Sprintf("metrics: %s %s is not in the table", want, name))
	}
	return m
}

func (m Description) labels() []string {
	var names []string
	for _, l := range m.Labels {
		names = append(names, l.Name)
	}
	return names
}
