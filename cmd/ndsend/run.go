package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	"neutron-ndp-proxy-agent/ndsend"
)

// Exit codes.
const (
	exitSent       = 0
	exitUsage      = 1
	exitSystem     = 2
	exitBadAddress = 255
)

// The kernel's own default for duplicate address detection takes up to a second
// of random delay and a second of waiting (RFC 4862 section 5.4.2). Whoever
// calls us right after the device came up would lose the announcement.
const (
	settleTime = 2500 * time.Millisecond
	settlePoll = 50 * time.Millisecond
)

const usage = `Usage: ndsend <address> <interface>
Announce the IPv6 <address> on the link of <interface> with one unsolicited
Neighbor Advertisement.
       ndsend --help | --version
`

// sender announces target on the device; send is the one.
type sender func(ctx context.Context, target netip.Addr, device string) error

// run is the whole command. It prints nothing when the advertisement was sent.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, send sender) int {
	// With two arguments nothing is an option: neither can begin with a dash
	// and be of use, and vzctl's program knows no options.
	if len(args) == 1 {
		switch args[0] {
		case "-h", "--help":
			return finish(stdout, usage, exitSent)
		case "--version":
			return finish(stdout, fmt.Sprintf("ndsend %s\n", buildinfo.Get()), exitSent)
		}
	}
	if len(args) != 2 {
		return finish(stdout, usage, exitUsage)
	}
	target, err := ndsend.ParseTarget(args[0])
	if err != nil {
		return finish(stderr, fmt.Sprintf("ndsend: %v\n", err), exitBadAddress)
	}
	if err := send(ctx, target, args[1]); err != nil {
		return finish(stderr, fmt.Sprintf("ndsend: %v\n", err), exitSystem)
	}
	return exitSent
}

// send waits for what passes by itself and in no time: duplicate address
// detection and a full queue.
func send(ctx context.Context, target netip.Addr, device string) error {
	deadline := time.Now().Add(settleTime)
	for {
		_, err := ndsend.Burst(ctx, ndsend.Config{Interface: device}, []netip.Addr{target})
		passes := errors.Is(err, ndsend.ErrTentative) || errors.Is(err, ndsend.ErrCongested)
		if !passes || time.Now().After(deadline) {
			return err
		}
		time.Sleep(settlePoll)
	}
}

// finish ends the command with a text; one that nobody can get is a system error.
func finish(w io.Writer, text string, code int) int {
	if _, err := io.WriteString(w, text); err != nil {
		return exitSystem
	}
	return code
}
