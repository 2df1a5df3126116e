package config

import (
	"time"

	"neutron-ndp-proxy-agent/rpc/secret"
)

// Where the published addresses come from: values of [NDPProxy.Source].
const (
	SourceNeutron = "neutron"
	SourceFile    = "file"
)

// The working modes of the L3 agent beside us: values of [Config.AgentMode],
// as in Neutron's l3_agent.ini.
const (
	ModeLegacy        = "legacy"
	ModeDVR           = "dvr"
	ModeDVRSNAT       = "dvr_snat"
	ModeDVRNoExternal = "dvr_no_external"
)

// Config is everything the daemon was told, validated and with defaults filled
// in. It holds secrets only as [secret.Text], so printing or logging it is safe.
type Config struct {
	Files   []string          // the files that were read, in order of rising precedence
	Origins map[string]string // "[group] option" -> "file:line"; options at their default are absent

	Host      string // [DEFAULT] host: what Neutron calls this machine
	AgentMode string // one of the Mode constants
	// VRRPAdvertInterval is ha_vrrp_advert_int: keepalived tells the other
	// nodes of an HA router this often that it is the primary.
	VRRPAdvertInterval time.Duration
	StatePath          string // [DEFAULT] state_path, to which other options refer
	ControlExchange    string // [DEFAULT] control_exchange, "neutron" by default

	ReportInterval     time.Duration // [agent] report_interval
	AgentDownTime      time.Duration // [DEFAULT] agent_down_time of the server, as far as its value is here
	RPCResponseTimeout time.Duration // [DEFAULT] rpc_response_timeout
	Extensions         []string      // [agent] extensions of the L3 agent beside us

	Log       Log
	Transport Transport // zero unless NDPProxy.Source is SourceNeutron
	Rabbit    Rabbit    // [oslo_messaging_rabbit], overridden by transport_url's query
	NDPProxy  NDPProxy  // [ndp_proxy], ours
}

// Log holds oslo.log's options that mean something to a daemon that is not
// Python. use_syslog, use_journal and log_config_append only cause a warning.
type Log struct {
	Debug     bool
	File      string // log_file as written; see [Log.Path]
	Dir       string // log_dir as written; see [Log.Path]
	WatchFile bool   // watch_log_file: reopen when the file is moved away
	UseJSON   bool
	UseStderr bool
}

// Transport is a parsed transport_url.
type Transport struct {
	Hosts []Endpoint // at least one, in the order written (oslo shuffles them)
	VHost string     // "/" when the URL names none
}

// Endpoint is one broker with the credentials to use there.
type Endpoint struct {
	Host     string      // name or address, IPv6 without brackets
	Port     uint16      // 5672 unless given, also with TLS: oslo does not switch to 5671
	User     string      // "guest" when the URL has none, as kombu does
	Password secret.Text // likewise
}

// Rabbit is [oslo_messaging_rabbit], as far as it changes what this client
// does; Load warns of the rest. Options that the transport_url's query names are already overridden.
type Rabbit struct {
	SSL               bool
	SSLVersion        string // "" or an oslo name in lower case: tlsv1, tlsv1_1, tlsv1_2, sslv23
	SSLKeyFile        string
	SSLCertFile       string
	SSLCAFile         string // "" = the system's roots
	SSLVerifyHostname bool   // ssl_enforce_hostname_verification
	SSLEnforceFIPS    bool   // ssl_enforce_fips_mode: reported, see the warning of Load

	HeartbeatTimeout time.Duration // heartbeat_timeout_threshold; 0 = no heartbeats

	LoginMethod      string        // PLAIN, AMQPLAIN or EXTERNAL
	FailoverStrategy string        // round-robin or shuffle
	RetryInterval    time.Duration // first wait between two attempts, at least 1 s
	RetryBackoff     time.Duration // added for each further attempt
	RetryMax         time.Duration // rabbit_interval_max, at least RetryInterval
	ReconnectDelay   time.Duration // kombu_reconnect_delay, before an attempt after a lost connection
	ReconnectSplay   time.Duration // kombu_reconnect_splay, upper bound of a random wait on top

	PrefetchCount int // 0 = unlimited

	DurableQueues        bool // amqp_durable_queues; quorum queues are durable whatever this says
	AutoDelete           bool // amqp_auto_delete, of the control exchange and its queues
	HAQueues             bool // only checked against QuorumQueue: RabbitMQ has taken policies instead since 3.0
	QuorumQueue          bool
	QuorumDeliveryLimit  int // 0 = none; so are the next two
	QuorumMemoryLength   int
	QuorumMemoryBytes    int
	TransientQuorumQueue bool // reply and fanout queues are quorum queues
	StreamFanout         bool // fanouts are streams
}

// NDPProxy is [ndp_proxy], the options of this daemon. Each is explained in
// configs/ndp_proxy_agent.ini, which is generated from the same table.
type NDPProxy struct {
	Source             string // SourceNeutron or SourceFile
	SourceFile         string
	AuditInterval      time.Duration
	FullSyncInterval   time.Duration // 0 = only after a reconnect
	SyncChunkSize      int
	Workers            int
	MaxAddresses       int           // published on one device
	ProxyDelay         time.Duration // negative = leave the kernel's
	Announce           bool
	AnnounceRouterFlag bool
	AnnounceCount      int
	AnnounceInterval   time.Duration
	AnnounceRate       int           // advertisements a second and device; 0 = no pace
	AnnounceRefresh    time.Duration // 0 = never
	Uplinks            []string      // names or shell patterns; empty = physical devices, bonds and teams
	BesideExtension    bool
	RemoveForeign      bool // remove_foreign_entries
	NetnsDir           string
	RuntimeDir         string
	ControlSocket      string // path; empty = none
	MetricsListen      string // host:port or unix:/path; empty = none
	PProf              bool   // /debug/pprof/ at the control socket
	Protocol           uint8
	Table              string
	QueueExpires       time.Duration
}

// Warning is something the operator should know and the daemon can live with.
type Warning struct {
	Where string // "file:line" or "", when it is about no single place
	Text  string
}

// String is the warning on one line.
func (w Warning) String() string {
	if w.Where == "" {
		return printable(w.Text)
	}
	return printable(w.Where + ": " + w.Text)
}
