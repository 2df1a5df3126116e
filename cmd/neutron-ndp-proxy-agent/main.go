package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
)

// Exit codes, in the manual page.
const (
	exitOK     = 0
	exitFailed = 1 // something outside that a restart may mend, a log file that can't be opened or an L3 agent that does the same included
	exitUsage  = 2 // the command line or the configuration: a restart does not help
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(arguments []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("neutron-ndp-proxy-agent", flag.ContinueOnError)
	fs.SetOutput(stderr)
	args := config.Args{Hostname: os.Hostname, LookupEnv: os.LookupEnv}
	args.AddFlags(fs)
	version := fs.Bool("version", false, "print the version and exit")
	generate := fs.Bool("generate-config", false, "print a sample ndp_proxy_agent.ini with every option and exit")
	debug := fs.Bool("debug", false, "log at debug level whatever the configuration says")
	switch err := fs.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "neutron-ndp-proxy-agent: unexpected argument %q\n", fs.Arg(0))
		return exitUsage
	}
	switch {
	case *version:
		fmt.Fprintln(stdout, buildinfo.Get())
		return exitOK
	case *generate:
		if err := config.GenerateSample(stdout); err != nil {
			fmt.Fprintf(stderr, "neutron-ndp-proxy-agent: %v\n", err)
			return exitFailed
		}
		return exitOK
	}

	// One that reads our log and ends must not end us: the write fails instead.
	signal.Ignore(syscall.SIGPIPE)
	// Before anything that may take its time: the default action of these signals
	// ends the program. One that comes before serve listens is kept, and they are
	// caught to the very end, so that none makes a failure of an orderly stop.
	hangup, announce := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	signal.Notify(announce, syscall.SIGUSR1)

	cfg, warnings, err := config.Load(args)
	if err != nil {
		fmt.Fprintf(stderr, "neutron-ndp-proxy-agent: %v\n", err)
		return exitUsage
	}
	if err := cfg.Refusal(); err != nil {
		fmt.Fprintf(stderr, "neutron-ndp-proxy-agent: %v\n", err)
		return exitUsage
	}
	log, output, err := newLogger(cfg.Log, *debug, stderr)
	if err != nil {
		// At boot the log's disk may be mounted after our start.
		fmt.Fprintf(stderr, "neutron-ndp-proxy-agent: %v\n", err)
		return exitFailed
	}
	defer func() { _ = output.Close() }() // where could it be said?
	for _, w := range warnings {
		log.Warn(w.String())
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the program at once: after the first one the
	// default action is in force again.
	context.AfterFunc(ctx, stop)
	reread := func() { reread(args, cfg, log) }
	if err := serve(ctx, cfg, log, requests{look: hangup, reopen: output.Reopen, reread: reread, announce: announce}); err != nil {
		log.Error("stopped", zap.Error(err))
		return exitFailed
	}
	log.Info("stopped; the dataplane stays as it is")
	return exitOK
}

// reread tells what the next start would make of the configuration as it is
// now: this run keeps what it was started with.
func reread(args config.Args, running *config.Config, log *zap.Logger) {
	cfg, _, err := config.Load(args)
	switch {
	case err != nil:
		log.Warn("SIGHUP: the configuration has changed, and the next start will refuse it", zap.Error(err))
	case cfg.Refusal() != nil:
		log.Warn("SIGHUP: the configuration has changed, and the next start will refuse it", zap.Error(cfg.Refusal()))
	case !reflect.DeepEqual(cfg, running):
		log.Warn("SIGHUP: the configuration has changed; it takes effect at the next start")
	}
}
