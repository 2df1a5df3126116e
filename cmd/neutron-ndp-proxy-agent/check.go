package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/agent/preflight"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
	"neutron-ndp-proxy-agent/rpc/amqp"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

// check looks at all that the daemon depends on, and returns an exit code.
func check(c command, arguments []string, stdout, stderr io.Writer) int {
	l := newCommandLine(c, stderr)
	asJSON := l.Bool("json", false, "print what was found as JSON")
	var colour terminal.Mode
	l.Var(&colour, "color", terminal.Usage)
	if _, code, ok := l.parse(arguments, 0, 0); !ok {
		return code
	}
	// An interrupted check takes the queue of its answers with it.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r := preflight.Run(ctx, checkEnvironment(l.args))
	var err error
	if *asJSON {
		err = r.JSON(stdout)
	} else {
		screen := terminal.Of(stdout, colour, os.LookupEnv)
		err = r.Print(stdout, func(s preflight.Status, text string) string { return screen.Paint(styleOf(s), text) })
	}
	if err != nil {
		l.say(err)
		return exitFailed
	}
	if r.Result == preflight.Fail {
		return exitFailed
	}
	return exitOK
}

func styleOf(s preflight.Status) terminal.Style {
	switch s {
	case preflight.OK:
		return terminal.Good
	case preflight.Warn:
		return terminal.Warn
	}
	return terminal.Bad
}

// checkEnvironment is the machine, with what only this program knows.
func checkEnvironment(args config.Args) preflight.Environment {
	env := preflight.Machine()
	env.Version, env.Args, env.Needs = buildinfo.Get().Version, args, needs
	env.Broker = func(ctx context.Context, cfg *config.Config, e config.Endpoint) error {
		c := hurried(cfg, []config.Endpoint{e})
		return amqp.Try(ctx, c.Broker, c.Broker.Hosts[0])
	}
	env.Server = func(cfg *config.Config, brokers []config.Endpoint) (preflight.Server, error) {
		client, err := rpc.NewCaller(hurried(cfg, brokers))
		if err != nil {
			return nil, fmt.Errorf("message broker: %w", err)
		}
		return client, nil
	}
	return env
}

// hurried is the daemon's own configuration of the client, for somebody who waits at a
// terminal, and who is no daemon to those who look at the broker's connections.
func hurried(cfg *config.Config, brokers []config.Endpoint) rpc.Config {
	some := *cfg
	some.Transport.Hosts = brokers
	c := clientConfig(&some, zap.NewNop())
	c.CallTimeout = min(c.CallTimeout, preflight.AnswerLimit)
	c.Broker.DialTimeout, c.Broker.OpTimeout = preflight.AnswerLimit, preflight.AnswerLimit
	c.Broker.ConnectionName = program + " check:" + cfg.Host
	return c
}

// needs is how this process, and any on this machine, stands with the capabilities.
func needs(announce bool) ([]preflight.Need, error) {
	has, err := effective()
	if err != nil {
		return nil, err
	}
	bounding, err := boundingSet()
	if err != nil {
		return nil, err
	}
	var out []preflight.Need
	for _, c := range capabilities(announce) {
		out = append(out, preflight.Need{Name: c.name, Use: c.use, Effective: has&(1<<c.bit) != 0, Bounding: bounding&(1<<c.bit) != 0})
	}
	return out, nil
}

// boundingSet is what this process, and those it starts, can ever have.
func boundingSet() (uint64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "CapBnd:"); found {
			var set uint64
			_, err := fmt.Sscanf(value, "%x", &set)
			return set, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no CapBnd")
}
