package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
)

// status asks the running daemon how it is, and returns an exit code.
func status(arguments []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("neutron-ndp-proxy-agent status", flag.ContinueOnError)
	fs.SetOutput(stderr)
	args := config.Args{LookupEnv: os.LookupEnv}
	args.AddFlags(fs)
	asJSON := fs.Bool("json", false, "print the daemon's answer as JSON")
	socket := fs.String("socket", "", "the `path` of the control socket, instead of the configuration's")
	switch err := fs.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "neutron-ndp-proxy-agent status: unexpected argument %q\n", fs.Arg(0))
		return exitUsage
	}
	say := func(err error) { fmt.Fprintf(stderr, "neutron-ndp-proxy-agent status: %v\n", err) }
	var unread error
	if *socket == "" {
		var err error
		if *socket, unread, err = config.ControlSocket(args); err != nil {
			say(err)
			return exitUsage
		}
		if *socket == "" {
			say(errors.New("[ndp_proxy] control_socket is empty: the daemon cannot be asked"))
			return exitUnreachable
		}
	}
	s, raw, err := admin.NewClient(*socket).Status(context.Background())
	if err != nil {
		say(err)
		if unread != nil {
			say(fmt.Errorf("what may say of another socket could not be read (--socket names one): %w", unread))
		}
		return exitUnreachable
	}
	if *asJSON {
		var out bytes.Buffer
		if err := json.Indent(&out, bytes.TrimSpace(raw), "", "  "); err != nil {
			say(err)
			return exitUnreachable
		}
		fmt.Fprintln(stdout, out.String())
	} else if err := admin.Print(stdout, s); err != nil {
		say(err)
		return exitFailed
	}
	if !s.Well() {
		return exitFailed
	}
	return exitOK
}
