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
	"runtime/debug"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
)

// Exit codes, in the manual page.
const (
	exitOK          = 0
	exitFailed      = 1 // something outside that a restart may mend, a log file that can't be opened included
	exitUsage       = 2 // the command line, the configuration, or the L3 agent's extension beside us: a restart does not help
	exitUnreachable = 3 // of a command that asks the daemon: none could be asked
	// exitNoPermission is EX_NOPERM of sysexits.h, by which name systemd shows
	// it: a capability is missing, or something can't be read or written.
	exitNoPermission = 77
)

// stopLimit bounds the end after a signal, whatever hangs; TimeoutStopSec= in the
// unit is longer.
const stopLimit = 5 * time.Second

func main() {
	// A panic, or the watchdog's SIGABRT, ends with a signal and not with Go's exit
	// code 2, which is ours for a configuration that a restart does not mend.
	debug.SetTraceback("crash")
	// The broker's password is in our memory: no core dump, and no look into it
	// for others of the same user.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fmt.Fprintf(os.Stderr, "neutron-ndp-proxy-agent: PR_SET_DUMPABLE: %v\n", err)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(arguments []string, stdout, stderr io.Writer) int {
	if c, ok := find(arguments); ok {
		return c.run(c, arguments[1:], stdout, stderr)
	}
	return runDaemon(arguments, stdout, stderr)
}

func runDaemon(arguments []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("neutron-ndp-proxy-agent", flag.ContinueOnError)
	fs.SetOutput(stderr)
	args := config.Args{Hostname: os.Hostname, LookupEnv: os.LookupEnv}
	args.AddFlags(fs)
	version := fs.Bool("version", false, "print the version and exit")
	generate := fs.Bool("generate-config", false, "print a sample ndp_proxy_agent.ini with every option and exit")
	debug := fs.Bool("debug", false, "log at debug level whatever the configuration says")
	fs.Usage = func() {
		fmt.Fprintln(stderr, "usage: neutron-ndp-proxy-agent [options]\n       neutron-ndp-proxy-agent <command> [options]\ncommands:")
		listCommands(stderr)
		fmt.Fprintln(stderr, "options of the daemon (-h after a command shows its own):")
		fs.PrintDefaults()
	}
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
	around, err := look(cfg)
	if err == nil {
		err = around.refusal()
	}
	if err != nil {
		fmt.Fprintf(stderr, "neutron-ndp-proxy-agent: %v\n", err)
		return exitNoPermission
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
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, cfg, log, requests{look: hangup, reopen: output.Reopen, reread: reread, announce: announce, dropped: output.Dropped, levels: newLevels(output.level, log)})
	}()
	if err := await(ctx, ended); err != nil {
		log.Error("stopped", zap.Error(err))
		return exitFailed
	}
	log.Info("stopped; the dataplane stays as it is")
	return exitOK
}

// await waits for the end, but not for ever once it was asked for. Whatever is
// left then ends with the process; the kernel and the runtime directory are always
// such that the next start can go on.
func await(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(stopLimit):
		return fmt.Errorf("not everything ended within %v of the signal", stopLimit)
	}
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
