//go:build rabbitmq

package chaos

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	rpc "neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/rabbit"
	"neutron-ndp-proxy-agent/test/sim"
)

// stage is one host with its daemon, a broker, a Neutron, and traffic.
type stage struct {
	*sim.World
	// mixed: faults follow each other at random, so that what the log says of one need
	// not be the line that TestFaults asks for.
	mixed bool
	t     *testing.T
	host  *sim.Host
	ext   *sim.External
	// legacy, dvr and victim are the routers: two kinds, and one more of the
	// first kind that faults of the kernel may hit.
	legacy, dvr, victim *part

	broker  *rabbit.Broker
	proxy   *rabbit.Proxy // in front of it, as the daemon sees it
	neutron *neutron
	// root is the namespace that the daemon's process is in, control the one
	// that it reaches the broker in.
	root, control *nettest.Namespace

	dir    string
	daemon *daemon
	hosts  string // of transport_url
	more   string // of [ndp_proxy]
}

// part is a router with what is behind it.
type part struct {
	name string
	r    *sim.Router
	in   *sim.Internal
	// steady is published and stays so; mover is published and withdrawn while
	// a fault lasts; hidden never is.
	steady, mover, hidden *sim.Instance
	moved                 *sim.Proxy // of mover, nil: not published
	namespace, device     string     // where it is answered for

	near, far, leak *flow
}

const (
	hostName     = "chaos-host1"
	scope        = "5c09e000-0000-4000-8000-000000000001"
	agentUser    = "ndp-agent"
	agentSecret  = "agent-secret"
	controlAddr  = "192.0.2.1"
	silentTable  = "cut"
	audit        = 5 * time.Second // audit_interval
	callTimeout  = 4 * time.Second // rpc_response_timeout
	heartbeat    = 6 * time.Second // heartbeat_timeout_threshold
	retryMax     = 2 * time.Second // rabbit_interval_max
	readyWithin  = 30 * time.Second
	stopWithin   = 10 * time.Second
	flowInterval = 5 * time.Millisecond
)

// newStage is a host at work: all is published that is to be, the traffic runs.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{World: sim.New(t), t: t, broker: rabbit.Start(t), dir: t.TempDir()}
	s.host = s.AddHost(hostName, sim.ModeDVRSNAT)
	s.ext = s.AddExternal(sim.ExternalOptions{Scope: scope})
	s.legacy, s.dvr, s.victim = s.addPart("legacy", sim.Legacy), s.addPart("dvr", sim.DVR), s.addPart("victim", sim.Legacy)

	lab := nettest.New(t)
	s.root, s.control = lab.Namespace("root"), lab.Namespace("control")
	lab.Veth(s.root, "eth0", s.control, "eth0")
	s.root.AddAddr("eth0", "192.0.2.2/30")
	s.control.AddAddr("eth0", controlAddr+"/30")
	s.broker.SetUser(t, agentUser, agentSecret, "/")
	s.proxy = s.broker.NewProxyOn(t, s.listen(t, 0))
	s.hosts = s.brokerAt(s.proxy.Port)
	s.neutron = startNeutron(t, s.broker.URL, s.World, s.host)
	s.host.Attach(sim.Outside{
		Tell:  func(e rpc.Event) { s.neutron.outbox <- e },
		Words: func() string { return s.daemon.tail(15) },
	})
	s.start(t)
	s.SettleWithin(t, 30*time.Second)
	s.AwaitLinks()
	for _, p := range s.parts() {
		s.plant(p)
		p.steady.Reaches(s.ext.BehindAddr, 5*time.Second)
		s.ext.Upstream.Reaches(p.steady.Addr, 5*time.Second)
		s.ext.Behind.Reaches(p.steady.Addr, 5*time.Second)
		p.near = startFlow(t, s.ext.Upstream, p.steady.UDP(), flowInterval)
		p.far = startFlow(t, s.ext.Behind, p.steady.UDP(), 4*flowInterval)
		// The upstream need not ask who has it: the filter alone keeps it closed.
		s.ext.Upstream.Run("ip", "-6", "neigh", "replace", p.hidden.Addr.String(), "lladdr",
			s.host.Namespace(p.namespace).MAC(p.device).String(), "dev", "eth0", "nud", "permanent")
		p.leak = startFlow(t, s.ext.Upstream, p.hidden.UDP(), 4*flowInterval)
	}
	return s
}

func (s *stage) addPart(name string, kind sim.Kind) *part {
	p := &part{name: name, in: s.AddInternal(sim.InternalOptions{Scope: scope, Distributed: kind.Distributed()})}
	p.r = s.AddRouter(kind, s.host)
	s.SetGateway(p.r, s.ext)
	s.Attach(p.r, p.in)
	p.steady, p.mover, p.hidden = s.AddInstance(p.in, s.host), s.AddInstance(p.in, s.host), s.AddInstance(p.in, s.host)
	s.Publish(p.r, p.steady)
	p.namespace, p.device = p.r.QRouter(), p.r.Gateway.QG()
	if kind.Distributed() {
		p.namespace, p.device = s.ext.FIP(), p.r.FG(s.host)
	}
	return p
}

func (s *stage) parts() []*part { return []*part{s.legacy, s.dvr, s.victim} }

// listen opens a port where the daemon looks for its broker; 0: any.
func (s *stage) listen(t testing.TB, port int) (l net.Listener) {
	t.Helper()
	s.control.Do(func() (err error) {
		l, err = net.Listen("tcp4", net.JoinHostPort(controlAddr, fmt.Sprint(port)))
		return err
	})
	return l
}

// brokerAt is one host of a transport_url.
func (s *stage) brokerAt(port int) string {
	return fmt.Sprintf("%s:%s@%s:%d", agentUser, agentSecret, controlAddr, port)
}

func (s *stage) runtimeDir() string { return filepath.Join(s.dir, "run") }

// config is an operator's configuration, impatient.
func (s *stage) config() string {
	return fmt.Sprintf(`[DEFAULT]
host = %s
agent_mode = %s
transport_url = rabbit://%s/
rpc_response_timeout = %.0f
debug = false
[agent]
report_interval = 2
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = %.0f
kombu_reconnect_delay = 0.2
rabbit_retry_interval = 1
rabbit_retry_backoff = 1
rabbit_interval_max = %.0f
[ndp_proxy]
netns_dir = %s
runtime_dir = %s
audit_interval = %.0f
queue_expires = 60
announce_interval = 0.1
`, s.host.Name, s.host.Mode, s.hosts, callTimeout.Seconds(), heartbeat.Seconds(), retryMax.Seconds(),
		s.host.Lab.Dir, s.runtimeDir(), audit.Seconds()) + s.more
}

// start runs the daemon and waits until it is ready.
func (s *stage) start(t testing.TB) {
	t.Helper()
	s.daemon = launch(s.t, s.root, s.dir, s.config())
	s.daemon.awaitReady(t, readyWithin)
}

// churn publishes what is not published, and the other way round: Neutron goes
// on while something is broken.
func (s *stage) churn() {
	for _, p := range s.parts() {
		if p.moved == nil {
			p.moved = s.Publish(p.r, p.mover)
		} else {
			s.Unpublish(p.moved)
			p.moved = nil
		}
	}
}

// silence drops every packet between the daemon and the broker, in both
// directions and without a word; speak ends that.
func (s *stage) silence() {
	s.control.Run("nft", fmt.Sprintf(`table inet %s {
	chain in { type filter hook input priority 0; iifname eth0 drop; }
	chain out { type filter hook output priority 0; oifname eth0 drop; }
}`, silentTable))
}

func (s *stage) speak() { s.control.Run("nft", "delete", "table", "inet", silentTable) }

// deleteQueue deletes a queue by hand: its consumer is cancelled.
func (s *stage) deleteQueue(t testing.TB, name string) {
	t.Helper()
	s.broker.API(t, http.MethodDelete, "/api/queues/%2F/"+name, nil, nil)
}

// tap is what our queue is bound to. Without a binding the daemon would live on
// audits alone.
func (s *stage) tap(t testing.TB) (lines []string) {
	t.Helper()
	name := rpc.QueueName(s.host.Name)
	var bindings []struct {
		Source string
		Key    string `json:"routing_key"`
	}
	if _, ok := s.broker.Queues(t, "/")[name]; !ok {
		return []string{"no queue"}
	}
	s.broker.API(t, http.MethodGet, "/api/queues/%2F/"+name+"/bindings", nil, &bindings)
	for _, b := range bindings {
		lines = append(lines, fmt.Sprintf("bound to %q by %q", b.Source, b.Key))
	}
	slices.Sort(lines)
	return lines
}

// replyQueue is where the daemon has its answers sent.
func (s *stage) replyQueue(t testing.TB) string {
	t.Helper()
	calls := s.neutron.now().Calls("")
	if len(calls) == 0 {
		t.Fatal("the daemon has not called")
	}
	return calls[len(calls)-1].ReplyQueue
}

// way is what the kernels on the way of a part's packets know, for a failure's report.
func (s *stage) way(p *part) string {
	ask := func(ns *nettest.Namespace, command ...string) string {
		out, err := ns.Try(command[0], command[1:]...)
		return fmt.Sprintf("%s: %s\n%s%v\n", ns.Name, strings.Join(command, " "), out, err)
	}
	ns := s.host.Namespace(p.namespace)
	return ask(s.ext.Upstream, "ip", "-6", "-s", "neigh", "show") + ask(p.steady.Namespace, "ip", "-6", "-s", "neigh", "show") +
		ask(ns, "ip", "-6", "-s", "neigh", "show") + ask(ns, "ip", "-6", "address", "show") + ask(ns, "ip", "-6", "route", "show") +
		ask(ns, "ip", "-6", "route", "show", "table", "local") + ask(ns, "ip", "-6", "maddress", "show", "dev", p.device) +
		ask(ns, "ip", "-6", "neigh", "show", "proxy") + ask(ns, "nft", "list", "ruleset") +
		ask(ns, "sysctl", "net.ipv6.conf."+p.device+".forwarding", "net.ipv6.conf."+p.device+".proxy_ndp")
}

// keepLogs copies the daemon's log to a place that outlives the test, and says where.
func (s *stage) keepLogs(t testing.TB) {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Log(err)
		return
	}
	f, err := os.CreateTemp("", "chaos-daemon-*.log")
	if err != nil {
		t.Log(err)
		return
	}
	_, err = f.Write(text)
	t.Logf("the daemon's log (%d lines) is in %s (%v)", strings.Count(string(text), "\n"), f.Name(), err)
	_ = f.Close()
}
