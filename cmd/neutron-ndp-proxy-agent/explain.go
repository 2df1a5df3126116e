package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

// clientGrace is for the way to the daemon and back.
const clientGrace = 2 * time.Second

// explaining is one run of the command.
type explaining struct {
	*asker
	json, probe bool
	colour      terminal.Mode
	stdout      io.Writer
}

// explainAddress asks the running daemon about an address, and returns an exit code.
func explainAddress(c command, arguments []string, stdout, stderr io.Writer) int {
	e := explaining{asker: newAsker(c, stderr), stdout: stdout}
	e.BoolVar(&e.json, "json", false, "print the answer as JSON")
	e.BoolVar(&e.probe, "probe", false, "also ask for the address from outside, or watch; needs root")
	e.Var(&e.colour, "color", terminal.Usage)
	words, code, ok := e.parse(arguments, 1, 1)
	if !ok {
		return code
	}
	addr, err := explain.ParseAddress(words[0])
	if err != nil {
		e.say(err)
		return exitUsage
	}
	client, code, ok := e.client()
	if !ok {
		return code
	}
	// What a probe made goes with the process; a signal ends it in order all the same.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	answer, err := askAbout(ctx, client, addr)
	if err != nil {
		return e.unexplained(addr, err)
	}
	if e.probe {
		answer = probeFor(ctx, answer, addr)
	}
	if err := e.print(answer); err != nil {
		e.say(err)
		return exitFailed
	}
	if !answer.Answered {
		return exitFailed
	}
	return exitOK
}

func askAbout(ctx context.Context, client *admin.Client, addr netip.Addr) (a explain.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, explain.Limit+clientGrace)
	defer cancel()
	_, err = client.Get(ctx, explain.Path, url.Values{explain.ParamAddress: {addr.String()}}, &a)
	return a, err
}

// unexplained says what can be said without an answer: where nobody listens, that is
// the first broken link.
func (e *explaining) unexplained(addr netip.Addr, err error) int {
	if errors.Is(err, admin.ErrNotRunning) {
		if err := e.print(explain.NoDaemon(addr, err)); err != nil {
			e.say(err)
		}
	}
	e.failed(err)
	return exitUnreachable // 1 says that a link is broken
}

func (e *explaining) print(a explain.Answer) error {
	if e.json {
		out, err := json.MarshalIndent(a, "", "  ")
		if err == nil {
			_, err = fmt.Fprintln(e.stdout, string(out))
		}
		return err
	}
	_, err := io.WriteString(e.stdout, describeAnswer(a, terminal.Of(e.stdout, e.colour, os.LookupEnv)))
	return err
}

// describeAnswer is the answer for people. It may come from whoever listens on the
// socket.
func describeAnswer(a explain.Answer, s terminal.Screen) string {
	styles := map[explain.Status]terminal.Style{
		explain.OK: terminal.Good, explain.Broken: terminal.Bad, explain.NotReached: terminal.Faint, explain.Unknown: terminal.Warn,
	}
	var links, end terminal.Table
	for _, l := range a.Links {
		links.Row(terminal.Cell{Text: string(l.Status), Style: styles[l.Status]}, terminal.Text(l.Name), terminal.Text(l.Facts))
	}
	verdict := terminal.Cell{Text: a.Verdict, Style: terminal.Good}
	if !a.Answered {
		verdict.Style = terminal.Bad
	}
	end.Row(terminal.Text("verdict"), verdict)
	if a.Do != "" {
		end.Row(terminal.Text("to do"), terminal.Text(a.Do))
	}
	for _, l := range a.Links {
		if l.Status == explain.Unknown && l.Do != "" {
			end.Row(terminal.Text("to see "+l.Name), terminal.Text(l.Do))
		}
	}
	for _, n := range a.Notes {
		end.Row(terminal.Text("note"), terminal.Text(n))
	}
	return links.String(s) + "\n" + end.String(s)
}
