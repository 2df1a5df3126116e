package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/metrics"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/agent/pulse"
	filesource "neutron-ndp-proxy-agent/agent/source/file"
	neutronsource "neutron-ndp-proxy-agent/agent/source/neutron"
	"neutron-ndp-proxy-agent/agent/statereport"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	"neutron-ndp-proxy-agent/dataplane"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

const program = "neutron-ndp-proxy-agent"

// Times that are nobody's option: they bound how fast the loop comes back to
// what failed; see also longestRetry.
const (
	retryMin   = 100 * time.Millisecond
	serverMin  = time.Second
	fileRescan = 5 * time.Second
	fileSettle = 250 * time.Millisecond
)

// longestRetry bounds the back-off after failures well under the audit
// interval, so that an audit never finds the one before still waiting.
func longestRetry(audit time.Duration) time.Duration {
	return min(30*time.Second, audit/2)
}

// requests are what an operator may ask for while the daemon runs.
type requests struct {
	// look is SIGHUP: open the log file anew (reopen), tell whether the
	// configuration has changed (reread), look at everything.
	look   <-chan os.Signal
	reopen func() error
	reread func()
	// dropped are the lines of the log that were left out, and those that were lost.
	dropped func() (leftOut, lost uint64)
	// announce is SIGUSR1: announce again what is answered for here.
	announce <-chan os.Signal
	// levels are the log's.
	levels *levels
}

// serve wires the parts together and runs them until the context ends.
func serve(ctx context.Context, cfg *config.Config, log *zap.Logger, asked requests) error {
	log.Info("starting", zap.String("version", buildinfo.Get().String()), zap.String("host", cfg.Host),
		zap.String("agent_mode", cfg.AgentMode), zap.String("source", cfg.NDPProxy.Source), zap.Strings("files", cfg.Files))
	limit, watched := watchdog(log)
	monitor := pulse.New(limit)
	counts := newMetrics(cfg)
	kernel := dataplane.New(dataplane.Options{
		Logger:   log,
		NetnsDir: cfg.NDPProxy.NetnsDir,
		Protocol: cfg.NDPProxy.Protocol,
		Table:    cfg.NDPProxy.Table,
	})
	var loop *agent.Agent
	// The announcer ends by Close, after the loop. What is owed then is for the
	// next run, which finds it in the runtime directory.
	enter := func(ns string, fn func() error) error {
		defer monitor.Work("announce in " + ns)()
		return kernel.Enter(ns, fn)
	}
	sender := newAnnouncer(ctx, cfg, enter, func(ns string) { loop.Settled(ns) }, counts.Left, log)
	defer sender.Close()

	uplinks, err := newUplinks(cfg, log)
	if err != nil {
		return err
	}
	remember, refresh := "", time.Duration(0)
	if cfg.NDPProxy.Announce {
		remember, refresh = filepath.Join(cfg.NDPProxy.RuntimeDir, "owed"), cfg.NDPProxy.AnnounceRefresh
	}
	loop = agent.New(agent.Options{
		Scope:     scopeOf(cfg.NDPProxy.Source),
		Dataplane: kernel,
		Watcher:   kernel.NewWatcher(dataplane.WatchOptions{Turn: monitor.Turn}),
		Announcer: sender,
		Carrier:   uplinks.Carrier(),
		// The one that hears of the other first resigns at the next
		// advertisement; keepalived takes its time for the rest.
		CarrierWait: cfg.VRRPAdvertInterval + time.Second,
		Refresh:     refresh,
		Debts:       remember,
		Pulse:       monitor,
		Discovery:   kernel.Discovery,
		Looked:      counts.Looked,
		Log:         log,
		Workers:     cfg.NDPProxy.Workers,
		Plan:        plan.Options{ProxyDelay: cfg.NDPProxy.ProxyDelay, Exclusive: cfg.NDPProxy.RemoveForeign, Most: cfg.NDPProxy.MaxAddresses},
		Audit:       cfg.NDPProxy.AuditInterval,
		RetryMin:    retryMin,
		RetryMax:    longestRetry(cfg.NDPProxy.AuditInterval),
		Jitter:      rand.Float64,
	})

	feed := newFileFeed
	if cfg.NDPProxy.Source == config.SourceNeutron {
		feed = newNeutronFeed
	}
	f, err := feed(cfg, loop, monitor, counts, log)
	if err != nil {
		return err
	}
	stop := ctx
	g, ctx := errgroup.WithContext(ctx)
	handlers := watch(counts, loop, monitor, f, sender, asked.dropped, log)
	control := newControl(cfg, loop, monitor, f, newExplainer(cfg, loop, kernel, monitor, sender, f), asked.levels, atControl(cfg, handlers), log)
	g.Go(func() error { return control.Run(ctx) })
	defer asked.levels.Close()
	scraped := metrics.NewServer(metrics.ServerOptions{Address: cfg.NDPProxy.MetricsListen, Handlers: handlers, Log: log})
	g.Go(func() error { return scraped.Run(ctx) })
	for _, run := range f.beside {
		g.Go(func() error { return run(ctx) })
	}
	if cfg.NDPProxy.Announce {
		g.Go(func() error { return uplinks.Run(ctx) })
	}
	g.Go(func() error { return loop.Run(ctx, f.source) })
	systemd := &herald{
		log: log, loop: loop, pulse: monitor, link: f.link, limit: limit, watchdog: watched,
		notify: func(state string) (bool, error) { return daemon.SdNotify(false, state) },
	}
	g.Go(func() error { return systemd.run(ctx) })
	g.Go(func() error {
		announceAll := loop.AnnounceAll
		if !cfg.NDPProxy.Announce {
			announceAll = func() { log.Warn("SIGUSR1: nothing is announced with announce = false") }
		}
		return obey(ctx, log, asked, func() { loop.LookAgain(); f.resync() }, announceAll)
	})
	if err := g.Wait(); stop.Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // we were asked to stop
}

// scopeOf tells in which namespaces a source may have published something.
func scopeOf(source string) func(namespace string) bool {
	if source == config.SourceFile {
		return filesource.Scope
	}
	return neutronsource.Scope
}

// feed is a source and what runs beside it.
type feed struct {
	source agent.Source
	beside []func(ctx context.Context) error
	resync func() // asks the source for everything again
	// sync does so and waits; nil where there is no server to ask.
	sync func(ctx context.Context) error
	// link is what there is to say of the link to the server, "" if it stands.
	link func() string
	// broker is the connection, nil where none is needed.
	broker func() *admin.Broker
	// trouble is why what the source says now is not used; nil where that is not known.
	trouble func() string
	// status is the client's, for metrics; nil where there is none.
	status func() rpc.Status
	// server is how neutron-server answers, nil alike.
	server func() *admin.NeutronServer
	// ask asks the server about an address; nil where there is none.
	ask func(ctx context.Context, addr netip.Addr) ([]explain.ServerProxy, error)
}

func newFileFeed(cfg *config.Config, loop *agent.Agent, monitor *pulse.Monitor, _ *metrics.Metrics, log *zap.Logger) (feed, error) {
	source := filesource.New(filesource.Options{
		Path: cfg.NDPProxy.SourceFile, Inventory: loop.Inventory(), Log: log,
		Rescan: fileRescan, Settle: fileSettle, Pulse: monitor,
	})
	return feed{
		source:  source,
		resync:  func() {}, // the file is read whenever it changes
		link:    func() string { return "" },
		broker:  func() *admin.Broker { return nil },
		server:  func() *admin.NeutronServer { return nil },
		trouble: source.Trouble,
	}, nil
}

func newNeutronFeed(cfg *config.Config, loop *agent.Agent, monitor *pulse.Monitor, counts *metrics.Metrics, log *zap.Logger) (feed, error) {
	var wantPort func(id string) bool // nil: ports are nobody's business
	if neutronsource.WantsPorts(cfg.AgentMode) {
		wantPort = loop.Inventory().WantsPort
	}
	server := &serverWatch{}
	client, err := newClient(cfg, wantPort, func(m rpc.Method, took time.Duration, err error) {
		counts.Called(m, took, err)
		server.called(m, took, err)
	}, log)
	if err != nil {
		return feed{}, err
	}
	source := neutronsource.New(neutronsource.Options{
		Server: client, Inventory: loop.Inventory(), Pulse: monitor, Log: log, Asked: counts.Asked,
		Stands: loop.Stands, Host: cfg.Host, Mode: cfg.AgentMode,
		Audit: cfg.NDPProxy.AuditInterval, AuditRouters: cfg.NDPProxy.SyncChunkSize,
		FullSync: cfg.NDPProxy.FullSyncInterval,
		RetryMin: serverMin, RetryMax: longestRetry(cfg.NDPProxy.AuditInterval), Jitter: rand.Float64,
	})
	f := feed{
		source: source, beside: []func(context.Context) error{client.Run}, resync: source.Resync,
		link:   func() string { return describeLink(client.Status()) },
		broker: func() *admin.Broker { return describeBroker(client.Status()) },
		status: client.Status,
		server: server.status,
		ask: func(ctx context.Context, addr netip.Addr) ([]explain.ServerProxy, error) {
			return askServer(ctx, client, addr)
		},
	}
	f.sync = resyncing(f.link, f.resync, source.PulledSince)
	if cfg.ReportInterval > 0 { // 0: never, as with Neutron's agents
		f.beside = append(f.beside, statereport.New(statereport.Options{
			Server: client, Interval: cfg.ReportInterval, Timeout: min(cfg.RPCResponseTimeout, cfg.ReportInterval),
			AgentMode: cfg.AgentMode, Totals: loop.Totals, InSync: loop.Ready(), Log: log,
		}).Run)
	}
	return f, nil
}

// obey does what the operator asks for by signals.
func obey(ctx context.Context, log *zap.Logger, asked requests, lookAgain, announceAll func()) error {
	var reading sync.Mutex
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked.announce:
			announceAll()
		case <-asked.look:
			if err := asked.reopen(); err != nil {
				log.Warn("SIGHUP: the log goes on in the old file", zap.Error(err))
			}
			// Beside the loop, and not waited for at the end: the files may be
			// a pipe, or on a server that does not answer.
			if reading.TryLock() {
				go func() {
					defer reading.Unlock()
					asked.reread()
				}()
			}
			log.Info("SIGHUP: looking at everything again")
			lookAgain()
		}
	}
}
