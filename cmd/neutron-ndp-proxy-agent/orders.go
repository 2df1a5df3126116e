package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/cmd/internal/terminal"
)

// ordering is the command line of a command that has the daemon do something.
type ordering struct {
	*asker
	asJSON *bool
	wait   *time.Duration
	mode   terminal.Mode
}

func newOrdering(c command, stderr io.Writer) *ordering {
	o := &ordering{asker: newAsker(c, stderr)}
	o.asJSON = o.Bool("json", false, "print the daemon's answer as JSON")
	o.wait = o.Duration("wait", admin.DefaultWait, "how long to wait for it; what is not done then goes on")
	o.Var(&o.mode, "color", terminal.Usage)
	return o
}

// order gives it, prints what show makes of the answer, or the answer itself, and returns
// an exit code: well is asked once into is filled.
func (o *ordering) order(path string, query url.Values, into any, stdout io.Writer, show func(screen terminal.Screen) error, well func() bool) int {
	client, code, ok := o.client()
	if !ok {
		return code
	}
	raw, err := client.Order(context.Background(), path, query, *o.wait, into)
	if err != nil {
		return o.failed(err)
	}
	if *o.asJSON {
		err = printJSON(stdout, raw)
	} else {
		err = show(terminal.Of(stdout, o.mode, os.LookupEnv))
	}
	if err != nil {
		o.say(err)
		return exitFailed
	}
	if !well() {
		return exitFailed
	}
	return exitOK
}

// reconcile has the daemon look at everything now, and returns an exit code.
func reconcile(c command, arguments []string, stdout, stderr io.Writer) int {
	o := newOrdering(c, stderr)
	query := selectionFlags(o.asker)
	if _, code, ok := o.parse(arguments, 0, 0); !ok {
		return code
	}
	var r admin.Reconciled
	return o.order("/v1/reconcile", query, &r, stdout, func(screen terminal.Screen) error {
		err := admin.PrintDiff(stdout, asDiff(r), lineStyle(screen))
		_, failed := fmt.Fprintln(stdout, screen.Paint(terminal.Plain, r.Summary()))
		if r.Sync == admin.SyncFailed {
			o.say(fmt.Errorf("what is known was made true, but the server was not asked: %s", screen.Paint(terminal.Plain, r.SyncError)))
		}
		return errors.Join(err, failed)
	}, func() bool { return r.Well() })
}

// asDiff is what was done in the form of what would be.
func asDiff(r admin.Reconciled) (d admin.Diff) {
	for _, n := range r.Namespaces {
		notes := n.Failed
		if n.Trouble != "" {
			notes = append(notes, n.Trouble)
		}
		if !n.Looked {
			notes = append(notes, "it was not looked at in time")
		}
		d.Namespaces = append(d.Namespaces, admin.NamespaceDiff{Name: n.Name, Lines: n.Lines, Notes: notes})
	}
	return d
}

// announce has the daemon announce an address, or all of a router, again, and returns an
// exit code.
func announce(c command, arguments []string, stdout, stderr io.Writer) int {
	o := newOrdering(c, stderr)
	words, code, ok := o.parse(arguments, 1, 1)
	if !ok {
		return code
	}
	query := url.Values{}
	if addr, err := netip.ParseAddr(words[0]); err == nil {
		query.Set("address", addr.String())
	} else {
		query.Set("router", words[0])
	}
	var r admin.Announced
	return o.order("/v1/announce", query, &r, stdout, func(screen terminal.Screen) error {
		styles := map[admin.AnnouncementState]terminal.Style{admin.AnnouncementSent: terminal.Good, admin.AnnouncementOwed: terminal.Warn, admin.AnnouncementRefused: terminal.Bad}
		table := terminal.Table{Head: []string{"ADDRESS", "NAMESPACE", "DEVICE", "STATE", "WHY"}}
		for _, a := range r.Announcements {
			table.Row(terminal.Text(a.Address), terminal.Text(a.Namespace), terminal.Text(a.Device),
				terminal.Cell{Text: string(a.State), Style: styles[a.State]}, terminal.Text(a.Why))
		}
		_, err := io.WriteString(stdout, table.String(screen))
		return err
	}, func() bool { return r.Well() })
}

// resyncing asks the source for everything, and waits until that is in the inventory.
// link says what is wrong with the way to the server, "" if nothing is; since whether all
// was read that stood at a time.
func resyncing(link func() string, resync func(), since func(time.Time) bool) func(ctx context.Context) error {
	const look = 50 * time.Millisecond
	return func(ctx context.Context) error {
		if why := link(); why != "" {
			return errors.New(why)
		}
		asked := time.Now()
		resync()
		for !since(asked) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("no full answer of the server in time: %w", ctx.Err())
			case <-time.After(look):
			}
		}
		return nil
	}
}
