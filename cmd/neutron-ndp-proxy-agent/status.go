package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

// statusCommand is one call of status.
type statusCommand struct {
	*asker
	asJSON bool
	watch  watchFlag
	colour terminal.Mode
	query  admin.Query
	stdout io.Writer
}

// status asks the running daemon how it is, and returns an exit code.
func status(c command, arguments []string, stdout, stderr io.Writer) int {
	s := statusCommand{asker: newAsker(c, stderr), stdout: stdout}
	s.BoolVar(&s.asJSON, "json", false, "print the daemon's answer as JSON; with --watch one line each")
	s.Var(&s.watch, "watch", "show it again every `SECONDS` (2) until interrupted; written --watch=SECONDS")
	s.Var(&s.colour, "color", terminal.Usage)
	s.StringVar(&s.query.Router, "router", "", "only this router, by its `id`, the beginning of it, or its name; with its addresses")
	s.StringVar(&s.query.Namespace, "namespace", "", "only the routers in this `namespace`, or the one whose name begins so; with their addresses")
	s.StringVar(&s.query.Address, "address", "", "only this `address`, and its router")
	if _, code, ok := s.parse(arguments, 0, 0); !ok {
		return code
	}
	if s.query.Address != "" {
		a, err := netip.ParseAddr(s.query.Address)
		if err != nil || !a.Is6() || a.Zone() != "" {
			s.say(fmt.Errorf("--address: %q is no IPv6 address", s.query.Address))
			return exitUsage
		}
	}
	client, code, ok := s.client()
	if !ok {
		return code
	}
	if s.watch.every > 0 {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		return s.repeat(ctx, client)
	}
	text, code, err := s.once(context.Background(), client)
	if err != nil {
		return s.failed(err)
	}
	return s.show(text, code)
}

func (s *statusCommand) show(text string, code int) int {
	if _, err := io.WriteString(s.stdout, text); err != nil {
		s.say(err)
		return exitFailed
	}
	return code
}

// once asks, and returns what is to be shown and the exit code.
func (s *statusCommand) once(ctx context.Context, client *admin.Client) (text string, code int, err error) {
	answer, raw, err := client.StatusOf(ctx, s.query)
	if err != nil {
		return "", exitFailed, err
	}
	narrow := s.query != admin.Query{}
	well := answer.Well()
	if narrow {
		well = answer.WellInPart()
		if answer.Routers == nil {
			return "", exitUnreachable, errors.New("the daemon is of an older version, which knows no --router, --namespace and --address")
		}
	}
	screen := terminal.Of(s.stdout, s.colour, os.LookupEnv)
	switch {
	case s.asJSON && s.watch.every > 0:
		var line bytes.Buffer
		err = json.Compact(&line, raw)
		text = line.String() + "\n"
	case s.asJSON:
		var out bytes.Buffer
		err = printJSON(&out, raw)
		text = out.String()
	case narrow:
		text = details(answer, screen)
	default:
		text = page(answer, screen)
	}
	if !well {
		code = exitFailed
	}
	return text, code, err
}

// repeat shows it until the context ends, and returns the last one's code. On a
// terminal each replaces the one before; a daemon that is not there is waited for.
func (s *statusCommand) repeat(ctx context.Context, client *admin.Client) int {
	last := exitOK
	for first := true; ; first = false {
		text, code, err := s.once(ctx, client)
		if ctx.Err() != nil {
			return last
		}
		if refusal := (*admin.Refusal)(nil); errors.As(err, &refusal) && first {
			return s.failed(err)
		}
		screen := terminal.Of(s.stdout, s.colour, os.LookupEnv)
		now := time.Now().Format(time.RFC3339)
		switch {
		case err != nil && s.asJSON:
			code = s.failed(err)
		case err != nil:
			text, code = screen.Paint(terminal.Bad, err.Error())+"\n", exitUnreachable
		}
		if !s.asJSON {
			text = screen.Paint(terminal.Faint, fmt.Sprintf("%s, every %v", now, s.watch.every)) + "\n\n" + text
			if screen.Terminal {
				text = screen.Redraw(text, first)
			} else {
				text += "\n"
			}
		}
		if s.show(text, exitOK) != exitOK {
			return exitFailed
		}
		last = code
		select {
		case <-ctx.Done():
			return last
		case <-time.After(s.watch.every):
		}
	}
}

// printJSON prints a daemon's answer for people and machines.
func printJSON(w io.Writer, raw []byte) error {
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, out.String())
	return err
}
