package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent/plaintext"
)

// logLevel shows or sets what the running daemon logs, and returns an exit code.
func logLevel(c command, arguments []string, stdout, stderr io.Writer) int {
	ask := newAsker(c, stderr)
	asJSON := ask.Bool("json", false, "print the daemon's answer as JSON")
	last := ask.Duration("for", 0, "a `time` like 10m, after which the configured level comes back by itself")
	words, code, ok := ask.parse(arguments, 0, 1)
	if !ok {
		return code
	}
	query := url.Values{}
	if len(words) > 0 {
		if _, known := levelOf(words[0]); !known {
			ask.say(fmt.Errorf("unknown level %q: it is one of %s", words[0], strings.Join(levelNames(), ", ")))
			return exitUsage
		}
		query.Set("level", words[0])
	}
	switch {
	case *last < 0 || *last > longestLevel:
		ask.say(fmt.Errorf("--for is a time of at most %v", longestLevel))
		return exitUsage
	case *last > 0 && len(words) == 0:
		ask.say(errors.New("--for needs a level"))
		return exitUsage
	case *last > 0:
		query.Set("for", last.String())
	}
	client, code, ok := ask.client()
	if !ok {
		return code
	}
	do := client.Get
	if len(words) > 0 {
		do = client.Post
	}
	var answer levelAnswer
	raw, err := do(context.Background(), "/v1/log-level", query, &answer)
	if err != nil {
		return ask.failed(err)
	}
	if *asJSON {
		if err := printJSON(stdout, raw); err != nil {
			return ask.failed(err)
		}
		return exitOK
	}
	fmt.Fprintln(stdout, plaintext.Line(answer.text(), 200))
	return exitOK
}

// text is one line for people.
func (a levelAnswer) text() string {
	switch {
	case a.Level == a.Configured && a.Until == nil:
		return a.Level + ", as configured"
	case a.Until != nil:
		return fmt.Sprintf("%s until %s, then %s as configured", a.Level, a.Until.UTC().Format(time.RFC3339), a.Configured)
	}
	return fmt.Sprintf("%s until the daemon ends; configured is %s", a.Level, a.Configured)
}
