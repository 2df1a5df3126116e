package ndsend

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// cacheRun measures the cells of one receiver.
type cacheRun struct {
	t              *testing.T
	ours, upstream *nstest.Namespace
	datagrams      *nstest.Datagrams
	number         int
	on             receiver
	attempt        int
	cells          map[cell]string
}

func (c *cacheRun) device() string  { return fmt.Sprintf("up%d", c.number) }
func (c *cacheRun) gateway() string { return fmt.Sprintf("qg-%d", c.number) }

// address is one cell's; message -1 is the witness, which nobody advertises.
func (c *cacheRun) address(state, message int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(c.number), 13: byte(c.attempt), 14: byte(state + 1), 15: byte(message + 2)})
}

func (c *cacheRun) setUp() {
	c.t.Helper()
	nstest.Link(c.t, c.ours, c.gateway(), c.upstream, c.device())
	set := func(room, name string, value int) {
		c.upstream.Sysctl("net/ipv6/"+room+"/"+c.device()+"/"+name, fmt.Sprint(value))
	}
	// No state ends by itself while we look.
	const hour = 3600
	set("neigh", "base_reachable_time_ms", hour*1000)
	set("neigh", "retrans_time_ms", hour*1000)
	set("neigh", "delay_first_probe_time", hour)
	set("conf", "accept_untracked_na", c.on.untracked)
	set("conf", "drop_unsolicited_na", c.on.drop)
	// On the link and yet not among the device's own subnets, as the internal
	// subnets of a router of Neutron's are for its upstream router.
	c.upstream.IP("-6", "route", "add", fmt.Sprintf("2001:db8:0:%x::/64", c.number), "dev", c.device())
}

// measure fills cells; false if an entry moved without an advertisement.
func (c *cacheRun) measure() bool {
	c.t.Helper()
	c.prepare()
	before := c.upstream.Neighbours(c.device())
	for s, state := range cacheStates {
		for m := -1; m < len(cacheMessages); m++ {
			marked := m >= 0 && cacheMessages[m].marked
			if marked && !state.marked {
				continue
			}
			if got, want := c.describe(before, c.address(s, m)), c.expected(state, marked); got != want {
				c.t.Logf("%+v, before: %q, want %q", c.on, got, want)
				return false
			}
		}
	}
	c.advertise()
	after := c.upstream.Neighbours(c.device())
	c.cells = make(map[cell]string)
	for s, state := range cacheStates {
		if got, want := c.describe(after, c.address(s, -1)), c.expected(state, false); got != want {
			c.t.Logf("%+v, the witness: %q, want %q", c.on, got, want)
			return false
		}
		for m, message := range cacheMessages {
			text := "-"
			if state.marked || !message.marked {
				text = c.describe(after, c.address(s, m))
			}
			c.cells[cell{state.name, c.on, message.column}] = text
		}
	}
	return true
}

// prepare brings each address's entry to its state.
func (c *cacheRun) prepare() {
	c.t.Helper()
	var commands []string
	var packets []netip.Addr
	for s, state := range cacheStates {
		for m := -1; m < len(cacheMessages); m++ {
			addr := c.address(s, m)
			mark := ""
			if m >= 0 && cacheMessages[m].marked {
				mark = " router"
			}
			if state.nud != "" {
				commands = append(commands, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud %s%s", addr, oldMAC, c.device(), state.nud, mark))
			}
			if state.packet {
				packets = append(packets, addr)
			}
		}
	}
	c.upstream.Batch(commands...)
	for _, addr := range packets {
		c.datagrams.Send(addr, nil)
	}
}

// advertise sends one advertisement for each cell and waits until the router
// has dealt with them.
func (c *cacheRun) advertise() {
	c.t.Helper()
	trace := c.upstream.Trace(c.device())
	var all []netip.Addr
	for m, message := range cacheMessages {
		var targets []netip.Addr
		for s := range cacheStates {
			targets = append(targets, c.address(s, m))
		}
		all = append(all, targets...)
		config := Config{Interface: c.gateway(), Enter: c.ours.Enter, Flags: message.flags}
		if sent, err := Burst(c.t.Context(), config, targets); err != nil || len(sent) != len(targets) {
			c.t.Fatalf("sent %d of %d, %v", len(sent), len(targets), err)
		}
	}
	awaitAdvertisements(c.t, trace, all...)
	trace.Close()
}

// expected is what describe says of an entry as it was prepared.
func (c *cacheRun) expected(state cacheState, marked bool) string {
	switch state.name {
	case "no entry", "INCOMPLETE", "FAILED":
		return state.name
	}
	if marked {
		return "old MAC, " + state.name + ", router"
	}
	return "old MAC, " + state.name
}

// describe is the text of a cell.
func (c *cacheRun) describe(entries map[netip.Addr]nstest.Neighbour, addr netip.Addr) string {
	entry, ok := entries[addr]
	if !ok || slices.Equal(entry.State, []string{"NONE"}) {
		return "no entry"
	}
	text := ""
	switch entry.MAC {
	case "":
	case oldMAC:
		text = "old MAC, "
	case c.ours.MAC(c.gateway()).String():
		text = "new MAC, "
	default:
		text = entry.MAC + ", "
	}
	for i, state := range entry.State {
		if i > 0 {
			text += "+"
		}
		text += state
	}
	if entry.IsRouter() {
		text += ", router"
	}
	return text
}
