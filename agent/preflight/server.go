package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// AnswerLimit bounds each question to the server, the way to the broker included.
const AnswerLimit = 5 * time.Second

// remote looks at the brokers, then at the server behind them.
func (x *examination) remote(ctx context.Context) []Line {
	if !x.neutron() {
		return nil
	}
	const fix = "see options: transport_url has to be right first"
	if len(x.cfg.Transport.Hosts) == 0 {
		return append(named("broker", notChecked(fix, "no usable transport_url")), named("server", notChecked(fix, "no broker is known"))...)
	}
	lines, reached := x.brokers(ctx)
	if len(reached) == 0 {
		return append(lines, named("server", notChecked("see broker", "no broker can be reached"))...)
	}
	return append(lines, x.server(ctx, reached)...)
}

// brokers tries all of them at once.
func (x *examination) brokers(ctx context.Context) (lines []Line, reached []config.Endpoint) {
	hosts := x.cfg.Transport.Hosts
	errs := make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() { errs[i] = x.Broker(ctx, x.cfg, h) })
	}
	wg.Wait()
	for i, h := range hosts {
		if errs[i] == nil {
			reached = append(reached, h)
		}
	}
	how := "without TLS"
	if x.cfg.Rabbit.SSL {
		how = "TLS"
	}
	for i, h := range hosts {
		switch err := errs[i]; {
		case err == nil:
			lines = append(lines, ok("%s: user %s, virtual host %s, %s", h, h.User, x.cfg.Transport.VHost, how))
		case len(reached) > 0: // as good as a broker that is down for maintenance
			lines = append(lines, warn(x.remedy(h, err), "%s: %v", h, err))
		default:
			lines = append(lines, fail(x.remedy(h, err), "%s: %v", h, err))
		}
	}
	return named("broker", lines...), reached
}

// remedy says what to do about a broker that can't be used.
func (x *examination) remedy(h config.Endpoint, err error) string {
	switch amqp.ObstacleOf(err) {
	case amqp.ObstacleName:
		return "correct the name in transport_url, or the resolver of this machine (DNS, /etc/hosts)"
	case amqp.ObstacleUnreachable:
		return fmt.Sprintf("start RabbitMQ there, see that it listens on port %d (rabbitmq-diagnostics listeners) and that no firewall is between", h.Port)
	case amqp.ObstacleTLS:
		return "docs/security.md, TLS to the broker"
	case amqp.ObstacleSilent:
		return fmt.Sprintf("something listens on port %d and says nothing: another service, a listener with TLS, or a broker that hangs", h.Port)
	case amqp.ObstacleLoginMethod:
		return "rabbit_login_method: leave it out, or name one of auth_mechanisms of the broker"
	case amqp.ObstacleLogin:
		return "compare transport_url with the broker (rabbitmqctl authenticate_user <user>); special characters of a password are written %XX"
	case amqp.ObstacleVHost:
		return "what follows the last / of transport_url; rabbitmqctl list_vhosts and list_permissions -p <virtual host> on the broker"
	}
	return "the log of the broker says more"
}

// server asks the server through the brokers that can be used.
func (x *examination) server(ctx context.Context, brokers []config.Endpoint) []Line {
	s, err := x.Server(x.cfg, brokers)
	if err != nil {
		return named("server", notChecked("see options", "%v", err))
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(running) }) // what is in its way, the questions hear
	defer func() {
		stop() // deletes the queue of the answers
		wg.Wait()
	}()

	began := x.Now()
	plugins, err := s.ServicePlugins(ctx)
	var remote *oslo.RemoteError
	if err != nil && !errors.As(err, &remote) {
		return named("server", x.noAnswer(err))
	}
	lines := named("server", ok("neutron-server answers (%v)", x.Now().Sub(began).Round(time.Millisecond)))
	switch {
	case err != nil:
		lines = append(lines, named("plugin", notChecked("openstack extension show l3-ndp-proxy", "the server does not list its plugins: %v", err))...)
	case slices.Contains(plugins, pluginType):
		lines = append(lines, named("plugin", ok("the server has the service plug-in ndp_proxy"))...)
	default:
		lines = append(lines, named("plugin", fail("neutron.conf of every neutron-server: service_plugins = router,ndp_proxy (docs/install.md); neutron-db-manage upgrade heads; restart it",
			"the server has no service plug-in ndp_proxy, but %s", strings.Join(plugins, ", ")))...)
	}
	return append(lines, x.agents(ctx, s)...)
}

// noAnswer says why the server says nothing.
func (x *examination) noAnswer(err error) Line {
	switch {
	case errors.Is(err, amqp.ErrUnroutable):
		return fail("start neutron-server (with its RPC workers), or compare transport_url, its virtual host and control_exchange with the server's",
			"no neutron-server listens in virtual host %s, exchange %s", x.cfg.Transport.VHost, x.cfg.ControlExchange)
	case errors.Is(err, oslo.ErrTimeout):
		return fail("look at the log and the load of neutron-server: its queues are served by rpc_workers", "neutron-server took the question and did not answer: %v", err)
	case errors.Is(err, amqp.ErrBlocked):
		return fail("the broker is short of memory or disk: rabbitmq-diagnostics alarms", "%v", err)
	}
	return fail("the broker's log says more; the user needs the rights to configure, write and read (rabbitmqctl list_permissions -p <virtual host>)", "%v", err)
}
