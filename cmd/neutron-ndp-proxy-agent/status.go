package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"neutron-ndp-proxy-agent/agent/admin"
)

// status asks the running daemon how it is, and returns an exit code.
func status(c command, arguments []string, stdout, stderr io.Writer) int {
	ask := newAsker(c, stderr)
	asJSON := ask.Bool("json", false, "print the daemon's answer as JSON")
	if _, code, ok := ask.parse(arguments, 0, 0); !ok {
		return code
	}
	client, code, ok := ask.client()
	if !ok {
		return code
	}
	s, raw, err := client.Status(context.Background())
	if err != nil {
		return ask.failed(err)
	}
	if *asJSON {
		if err := printJSON(stdout, raw); err != nil {
			return ask.failed(err)
		}
	} else if err := admin.Print(stdout, s); err != nil {
		ask.say(err)
		return exitFailed
	}
	if !s.Well() {
		return exitFailed
	}
	return exitOK
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
