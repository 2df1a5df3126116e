package ndsend

import (
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"testing"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// oldMAC is where the neighbour is before the advertisement; nobody has it.
const oldMAC = "02:00:00:00:00:aa"

// cacheState is a state of a neighbour's entry before the advertisement.
type cacheState struct {
	name string
	// nud is what ip sets; where the kernel would leave the state at once, it
	// is the one to begin with.
	nud string
	// packet: a packet to the address brings the entry to the state.
	packet bool
	// marked: the entry can have the router mark.
	marked bool
}

var cacheStates = []cacheState{
	{name: "no entry"},
	{name: "INCOMPLETE", packet: true},
	{name: "REACHABLE", nud: "reachable", marked: true},
	{name: "STALE", nud: "stale", marked: true},
	{name: "DELAY", nud: "stale", packet: true, marked: true},
	{name: "PROBE", nud: "probe", marked: true},
	{name: "FAILED", nud: "failed"},
	{name: "PERMANENT", nud: "permanent", marked: true},
}

// cacheMessage is one way to advertise, a column of the table.
type cacheMessage struct {
	column string
	flags  Flags
	marked bool // the entry has the router mark before
}

var cacheMessages = []cacheMessage{
	{column: "as we send it"},
	{column: "as we send it, to an entry with the router mark", marked: true},
	{column: "with Override 0", flags: Flags{NoOverride: true}},
	{column: "with Router 1", flags: Flags{Router: true}},
}

// receiver is one set-up of the router's device.
type receiver struct{ untracked, drop int } // accept_untracked_na, drop_unsolicited_na

func receivers() (all []receiver) {
	for drop := range 2 {
		for untracked := range 3 {
			all = append(all, receiver{untracked, drop})
		}
	}
	return all
}

// cell is one measurement's place.
type cell struct {
	state   string
	on      receiver
	message string
}

// measureCaches tells for each cell what became of the entry. There is a pair of
// devices for each receiver, and an address for each cell on it.
func measureCaches(t *testing.T) map[cell]string {
	ours, upstream := nstest.New(t), nstest.New(t)
	upstream.Sysctl("net/ipv6/conf/all/forwarding", "1")
	datagrams := upstream.Datagrams()
	cells := make(map[cell]string)
	for i, on := range receivers() {
		c := cacheRun{t: t, ours: ours, upstream: upstream, datagrams: datagrams, number: i, on: on}
		c.setUp()
		// A timer of the kernel's that is not the device's (garbage collection
		// of all namespaces' entries, every 15 s) may come between.
		for c.attempt = 1; !c.measure(); c.attempt++ {
			if c.attempt == 5 {
				t.Fatalf("%+v: the entries don't stay as they are without any advertisement", on)
			}
		}
		maps.Copy(cells, c.cells)
	}
	return cells
}

// A router that takes in what it did not ask for only from its own subnets
// (accept_untracked_na 2) goes by the source of the packet. That is one more
// reason for the link-local one: it is in a subnet of every router.
func TestSourceThatEveryRouterAccepts(t *testing.T) {
	needUntracked(t)
	ours, upstream := nstest.New(t), nstest.New(t)
	upstream.Sysctl("net/ipv6/conf/all/forwarding", "1")
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	upstream.Sysctl("net/ipv6/conf/up0/accept_untracked_na", "2")
	foreign := netip.MustParseAddr("2001:db8:77::1")
	ours.IP("address", "add", foreign.String()+"/64", "dev", "qg-1", "nodad")
	for _, c := range []struct {
		name   string
		source netip.Addr
		taken  bool
	}{
		{"of another subnet", foreign, false},
		{"link-local", netip.Addr{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace := upstream.Trace("up0")
			config := Config{Interface: "qg-1", Enter: ours.Enter, Source: c.source}
			if _, err := Burst(t.Context(), config, []netip.Addr{testTarget}); err != nil {
				t.Fatal(err)
			}
			awaitAdvertisements(t, trace, testTarget)
			trace.Close()
			if _, taken := upstream.Neighbours("up0")[testTarget]; taken != c.taken {
				t.Errorf("entry made: %v, want %v", taken, c.taken)
			}
		})
	}
}

// awaitAdvertisements returns when one of each target has come.
func awaitAdvertisements(t *testing.T, trace *nstest.Trace, targets ...netip.Addr) {
	t.Helper()
	missing := make(map[netip.Addr]bool)
	for _, target := range targets {
		missing[target] = true
	}
	arrived := func(event nstest.Event) bool {
		if frame := event.Advertisement(); frame != nil {
			delete(missing, frame.Target())
		}
		return len(missing) == 0
	}
	if !trace.Until(arrived) {
		t.Fatalf("%d advertisements did not arrive", len(missing))
	}
}

// needUntracked skips where the kernel is older than the switch (5.19).
func needUntracked(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/sys/net/ipv6/conf/all/accept_untracked_na"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs accept_untracked_na (Linux 5.19)")
	}
}
