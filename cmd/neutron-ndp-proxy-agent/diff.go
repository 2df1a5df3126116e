package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

// Exit codes of diff, where 2 is an answer and therefore no error.
const (
	exitDiffers = 2
	// exitDiffUsage is EX_USAGE of sysexits.h.
	exitDiffUsage = 64
)

// diff shows what the daemon would write now, and returns an exit code.
func diff(c command, arguments []string, stdout, stderr io.Writer) int {
	ask := newAsker(c, stderr)
	asJSON := ask.Bool("json", false, "print the daemon's answer as JSON")
	query := selectionFlags(ask)
	var mode terminal.Mode
	ask.Var(&mode, "color", terminal.Usage)
	var client *admin.Client
	_, code, ok := ask.parse(arguments, 0, 0)
	if ok {
		client, code, ok = ask.client()
	}
	switch {
	case !ok && code == exitUsage:
		return exitDiffUsage
	case !ok:
		return code
	}
	d, err := client.Diff(context.Background(), query)
	if err != nil {
		return ask.failed(err)
	}
	if *asJSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(d)
	} else {
		err = admin.PrintDiff(stdout, d, lineStyle(terminal.Of(stdout, mode, os.LookupEnv)))
	}
	if err != nil {
		ask.say(err)
		return exitFailed
	}
	if !d.Ready {
		ask.say(errors.New("the daemon has not had its first full sync: what nobody has named yet is not shown as unwanted"))
	}
	switch {
	case !d.Known():
		if d.Error != "" {
			ask.say(fmt.Errorf("the answer may lack namespaces: %s", d.Error))
		}
		return exitFailed
	case d.Differs():
		return exitDiffers
	}
	return exitOK
}

// lineStyle colours a line by its first character.
func lineStyle(screen terminal.Screen) func(sign byte, line string) string {
	styles := map[byte]terminal.Style{'-': terminal.Bad, '+': terminal.Good, '!': terminal.Warn, '#': terminal.Faint, '@': terminal.Strong}
	return func(sign byte, line string) string { return screen.Paint(styles[sign], line) }
}

// selectionFlags are --router and --namespace, as the daemon takes them.
func selectionFlags(ask *asker) url.Values {
	query := url.Values{}
	ask.Func("router", "only the namespaces of this router (`id`)", func(id string) error {
		query.Set("router", id)
		return nil
	})
	ask.Func("namespace", "only this `namespace`; may be repeated", func(ns string) error {
		query.Add("namespace", ns)
		return nil
	})
	return query
}
