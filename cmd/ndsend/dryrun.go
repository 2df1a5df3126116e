package main

import (
	"cmp"
	"encoding/hex"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/ndsend"
)

// previewed is the JSON object of a dry run.
type previewed struct {
	head
	*preview
}

// preview is what would leave.
type preview struct {
	Source   string   `json:"source"`
	MAC      string   `json:"lladdr"`
	Flags    []string `json:"flags"`
	Copies   int      `json:"copies"`
	Interval float64  `json:"interval,omitempty"` // seconds
	Frame    string   `json:"frame"`              // hexadecimal
}

// previewAll tells what announceAll would send.
func (j *job) previewAll() int {
	var all []ndsend.Outgoing
	err := j.denied
	if err == nil && len(targets(j.items)) > 0 {
		all, err = j.settledPreview()
	}
	if err != nil {
		j.complain(err)
	}
	next := 0
	for _, i := range j.items {
		switch {
		case i.err != nil, err != nil:
			if j.json {
				j.object(previewed{head: j.head("dry-run", i, cmp.Or(i.err, about(i.target, err)))})
			}
			continue
		case j.json:
			j.object(previewed{j.head("dry-run", i, nil), j.preview(all[next])})
		default:
			j.printFrame(all[next])
		}
		next++
	}
	return j.result(err != nil, false)
}

// settledPreview waits as long as sending would.
func (j *job) settledPreview() ([]ndsend.Outgoing, error) {
	deadline := time.Now().Add(settleTime)
	for {
		all, err := j.system.preview(j.config(), targets(j.items))
		if err == nil || !passes(err) || time.Now().After(deadline) {
			return all, err
		}
		time.Sleep(settlePoll)
	}
}

func (j *job) preview(o ndsend.Outgoing) *preview {
	p := &preview{
		Source: o.Source.String(), MAC: o.MAC.String(), Flags: flagNames(j.flags),
		Copies: j.count, Frame: hex.EncodeToString(o.Frame),
	}
	if j.count > 1 {
		p.Interval = j.interval.Seconds()
	}
	return p
}

// printFrame prints words and bytes in the format of text2pcap(1): it takes the
// lines that begin with # for comments, and offset 0 for a new frame.
func (j *job) printFrame(o ndsend.Outgoing) {
	flags := "none"
	if names := flagNames(j.flags); len(names) > 0 {
		flags = strings.Join(names, ", ")
	}
	j.line("# %s on %s: unsolicited Neighbor Advertisement, flags %s", o.Target, j.device, flags)
	if j.count > 1 {
		j.line("# %d copies, %s apart", j.count, j.interval)
	}
	j.line("# Ethernet %s to 33:33:00:00:00:01, IPv6 %s to %s, hop limit %d", o.MAC, o.Source, ndsend.AllNodes(), ndsend.HopLimit)
	j.line("# ICMPv6 type 136: %s is at %s", o.Target, o.MAC)
	const perLine = 16
	for at := 0; at < len(o.Frame); at += perLine {
		j.line("%06x  % x", at, o.Frame[at:min(at+perLine, len(o.Frame))])
	}
	j.line("")
}
