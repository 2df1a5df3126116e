package preflight

import (
	"context"
	"fmt"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/dataplane/probe"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// program is the daemon's name: of its unit, of its log.
const program = "neutron-ndp-proxy-agent"

// limit bounds each check, whatever it waits for.
const limit = 20 * time.Second

// Environment is all that the checks see of the world. [Machine] is the real one, but
// for what the caller's room knows: Broker, Server and Needs.
type Environment struct {
	Version string
	// Args is where the configuration is read from. Without sources, and with the unit
	// installed, it is what the unit's ExecStart= names.
	Args config.Args
	UID  int // of this process
	Now  func() time.Time

	// Unit is what systemd says of the daemon's unit.
	Unit func(ctx context.Context) (Unit, error)
	// Account looks up a user and a group by name.
	Account func(user, group string) (Account, error)
	// As runs fn with the file rights of an account; only root may.
	As func(a Account, fn func() error) error
	// Needs are the capabilities that the work needs, and how this process and this
	// machine stand with them.
	Needs func(announce bool) ([]Need, error)
	// Kernel is [probe.Run].
	Kernel func(ctx context.Context, o probe.Options) []probe.Result
	// HasChain is [probe.HasChain].
	HasChain func(ctx context.Context, dir, namespace, table, chain string) (bool, error)
	// Mounts is /proc/self/mountinfo.
	Mounts func() ([]byte, error)
	// Devices are those of the host's own network namespace, by name.
	Devices func() ([]string, error)
	// Processes are all that run here and can be seen.
	Processes func() ([]Process, error)
	// Synchronised reports whether the kernel takes its clock for right.
	Synchronised func() (bool, error)
	// Daemon asks the daemon behind a control socket.
	Daemon func(ctx context.Context, socket string) (admin.Status, error)
	// Broker connects to one broker and goes again; see amqp.Try.
	Broker func(ctx context.Context, cfg *config.Config, e config.Endpoint) error
	// Server returns a client that can ask neutron-server while its Run runs, with
	// those brokers only.
	Server func(cfg *config.Config, brokers []config.Endpoint) (Server, error)
}

// Server is what is asked of neutron-server; *rpc.Client of rpc.NewCaller is one.
type Server interface {
	Run(ctx context.Context) error
	ServicePlugins(ctx context.Context) ([]string, error)
	Reports(ctx context.Context, hosts []string) ([]rpc.Reported, []rpc.Malformed, error)
}

// Need is one capability.
type Need struct {
	Name, Use string
	// Effective: this process has it. Bounding: a process here can be given it.
	Effective, Bounding bool
}

// Account is a user with a group, by number.
type Account struct {
	User, Group string
	UID, GID    int
	Groups      []int // supplementary ones
}

// Process is one that runs on this machine.
type Process struct {
	PID  int
	Args []string
}

// examination is one run: the environment and what several checks need to know.
type examination struct {
	Environment
	cfg      *config.Config // what was understood
	examined config.Examined
	unit     Unit
	unitErr  error
	daemon   admin.Status
	asked    error // why the daemon said nothing
}

// check is one function that says something of one or more things.
type check struct {
	name string
	run  func(x *examination, ctx context.Context) []Line
}

// checks are all there are, in the order of the report.
func checks() []check {
	return []check{
		{"files", (*examination).files},
		{"access", (*examination).access},
		{"options", (*examination).options},
		{"extension", (*examination).extension},
		{"l3-files", (*examination).l3Files},
		{"mode", (*examination).mode},
		{"source", (*examination).source},
		{"uplinks", (*examination).uplinks},
		{"server", (*examination).remote}, // and broker, plugin, host, l3-agent, ndp-agent, server-clock
		{"clock", (*examination).clock},
		{"capabilities", (*examination).capabilities},
		{"kernel", (*examination).kernel}, // ipv6, sysctls, neighbours, nftables, rules
		{"namespaces", (*examination).namespaces},
		{"user", (*examination).user},
		{"runtime-dir", (*examination).runtimeDir},
		{"log", (*examination).log},
		{"unit", (*examination).unitState},
		{"daemon", (*examination).daemonState},
		{"others", (*examination).others},
	}
}

// Run makes all checks.
func Run(ctx context.Context, env Environment) Report {
	x := &examination{Environment: env}
	x.begin(ctx)
	all := checks()
	found := make([][]Line, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { found[i] = x.bounded(ctx, c) })
	}
	wg.Wait()
	r := Report{Version: env.Version, Host: x.cfg.Host}
	for _, lines := range found {
		r.Lines = append(r.Lines, lines...)
	}
	r.finish()
	return r
}

// begin finds out what several checks need.
func (x *examination) begin(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	x.unit, x.unitErr = x.Unit(ctx)
	if len(x.Args.Sources) == 0 && x.installed() {
		x.Args.Sources = x.unit.sources()
	}
	x.examined = config.Examine(x.Args)
	x.cfg = x.examined.Config
	if x.cfg.NDPProxy.ControlSocket == "" {
		x.asked = errNoSocket
		return
	}
	x.daemon, x.asked = x.Daemon(ctx, x.cfg.NDPProxy.ControlSocket)
}

// bounded runs a check for no longer than the limit. One that hangs in the kernel is
// left behind: the process is about to end.
func (x *examination) bounded(ctx context.Context, c check) []Line {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan []Line, 1)
	go func() { done <- c.run(x, ctx) }()
	var lines []Line
	select {
	case lines = <-done:
	case <-time.After(limit + time.Second): // who hears of the end of ctx says more
		lines = []Line{fail("look for what hangs: a file system, a lock of the kernel, systemd", "no end within %v", limit)}
	}
	for i := range lines {
		if lines[i].Check == "" {
			lines[i].Check = c.name
		}
	}
	return lines
}

// neutron reports whether broker and server matter.
func (x *examination) neutron() bool { return x.cfg.NDPProxy.Source == config.SourceNeutron }

// origin is where an option was set, for messages: " (file:line)", or that it was not.
func (x *examination) origin(option string) string {
	if at := x.cfg.Origins[option]; at != "" {
		return fmt.Sprintf(" (%s)", at)
	}
	return " (default)"
}
