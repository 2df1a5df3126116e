package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/uplink"
	"neutron-ndp-proxy-agent/ndsend/announcer"
	"neutron-ndp-proxy-agent/rpc/amqp"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// newClient returns the client of broker and server. wantPort and called are those of
// [rpc.Config].
func newClient(cfg *config.Config, wantPort func(id string) bool, called func(rpc.Method, time.Duration, error), log *zap.Logger) (*rpc.Client, error) {
	c := clientConfig(cfg, log)
	c.WantPort, c.Called = wantPort, called
	client, err := rpc.New(c)
	if err != nil {
		return nil, fmt.Errorf("message broker: %w", err)
	}
	return client, nil
}

// clientConfig translates the operator's options for the room that knows AMQP.
func clientConfig(cfg *config.Config, log *zap.Logger) rpc.Config {
	// The files are read for each connection, as oslo.messaging's driver does:
	// a renewed authority or certificate counts from the next one on.
	var secure func() (*tls.Config, error)
	if cfg.Rabbit.SSL {
		secure = cfg.Rabbit.TLSConfig
	}
	hosts := make([]amqp.Endpoint, 0, len(cfg.Transport.Hosts))
	for _, h := range cfg.Transport.Hosts {
		hosts = append(hosts, amqp.Endpoint{
			Host: h.Host, Port: int(h.Port), User: h.User, Password: h.Password,
		})
	}
	return rpc.Config{
		Broker: amqp.Config{
			Hosts:     hosts,
			VHost:     cfg.Transport.VHost,
			TLS:       secure,
			Heartbeat: cfg.Rabbit.HeartbeatTimeout,
			Retry: amqp.Retry{
				Interval: cfg.Rabbit.RetryInterval, Backoff: cfg.Rabbit.RetryBackoff, Max: cfg.Rabbit.RetryMax,
			},
			ReconnectDelay: cfg.Rabbit.ReconnectDelay,
			ReconnectSplay: cfg.Rabbit.ReconnectSplay,
			Failover:       amqp.Strategy(cfg.Rabbit.FailoverStrategy),
			Login:          amqp.Login(cfg.Rabbit.LoginMethod),
			Logger:         log,
		},
		Host:            cfg.Host,
		ControlExchange: cfg.ControlExchange,
		Queues: rpc.Queues{
			Durable:         cfg.Rabbit.DurableQueues,
			AutoDelete:      cfg.Rabbit.AutoDelete,
			Quorum:          cfg.Rabbit.QuorumQueue,
			TransientQuorum: cfg.Rabbit.TransientQuorumQueue,
			StreamFanout:    cfg.Rabbit.StreamFanout,
			Expires:         cfg.NDPProxy.QueueExpires,
			DeliveryLimit:   cfg.Rabbit.QuorumDeliveryLimit,
			MaxMemoryLength: cfg.Rabbit.QuorumMemoryLength,
			MaxMemoryBytes:  cfg.Rabbit.QuorumMemoryBytes,
		},
		CallTimeout: cfg.RPCResponseTimeout,
		Prefetch:    cfg.Rabbit.PrefetchCount,
		RouterChunk: cfg.NDPProxy.SyncChunkSize,
		Version:     buildinfo.Get().Version,
		Logger:      log,
	}
}

// describeLink is what there is to say of the link to the broker, "" if messages
// flow. No error: it may be long, and is in the log.
func describeLink(s rpc.Status) string {
	switch {
	case !s.Connected:
		return "not connected to a broker since " + s.Since.UTC().Format(time.RFC3339)
	case s.Blocked != "":
		return "the broker " + s.Endpoint + " blocks publishers"
	case !s.Subscribed:
		return "connected to " + s.Endpoint + ", not subscribed yet"
	}
	return ""
}

// newUplinks returns the watcher of the host's own devices.
func newUplinks(cfg *config.Config, log *zap.Logger) (*uplink.Watcher, error) {
	w, err := uplink.New(uplink.Options{Logger: log, Names: cfg.NDPProxy.Uplinks})
	if err != nil {
		return nil, fmt.Errorf("[ndp_proxy] uplinks: %w", err)
	}
	return w, nil
}

// advertiser is what announces: the engine, or nobody.
type advertiser interface {
	agent.Announcer
	Stats() announcer.Stats
	Close()
}

// newAnnouncer returns the engine, or with announce = false one that owes
// nothing. settled hears of a namespace where nothing is owed any more on a device.
func newAnnouncer(ctx context.Context, cfg *config.Config, enter func(ns string, fn func() error) error, settled func(ns string), left func(waited []time.Duration), log *zap.Logger) advertiser {
	if !cfg.NDPProxy.Announce {
		return silent{}
	}
	perSecond := float64(cfg.NDPProxy.AnnounceRate)
	if perSecond == 0 {
		perSecond = announcer.Unpaced
	}
	return announcer.New(ctx, announcer.Options{
		Logger:   log,
		Enter:    enter,
		Gone:     func(err error) bool { return dataplane.Classify(err) == dataplane.ClassGone },
		Router:   cfg.NDPProxy.AnnounceRouterFlag,
		Count:    cfg.NDPProxy.AnnounceCount,
		Interval: cfg.NDPProxy.AnnounceInterval,
		Rate:     perSecond,
		Left:     left,
		Settled:  func(t announcer.Target) { settled(t.Namespace) },
	})
}

// silent announces nothing: the operator said announce = false.
type silent struct{}

func (silent) Owe(announcer.Target, ...netip.Addr)     {}
func (silent) Refresh(announcer.Target, ...netip.Addr) {}
func (silent) Owing(string) bool                       { return false }
func (silent) Retain(announcer.Target, ...netip.Addr)  {}
func (silent) Drop(announcer.Target)                   {}
func (silent) Kick(announcer.Target)                   {}
func (silent) Stats() announcer.Stats                  { return announcer.Stats{} }
func (silent) Close()                                  {}
