package watch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/dataplane/watch"
	"neutron-ndp-proxy-agent/test/nettest"
)

const mark = 110

// What is done to routes and rules of ours is heard; what we write ourselves,
// and what others do to theirs, is not.
func TestRoutesAndRules(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	n.Device("fpr-1")
	n.AddAddr("fpr-1", "2001:db8::1/64")
	l := start(t, watch.Options{NetnsDir: lab.Dir, Protocol: mark})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	l.quiet()
	ip := func(command string) { n.IP(append([]string{"-6"}, strings.Fields(command)...)...) }
	const to = "2001:db8:1::5/128 via fe80::1 dev fpr-1 "
	for _, c := range []struct {
		do    string
		cause string // "": nothing is heard
	}{
		{"route replace " + to + "proto 110", ""},
		{"route replace " + to + "proto static", watch.CauseRoute}, // ours is gone, and nothing says so but this
		{"route replace " + to + "proto 110", ""},
		{"route append 2001:db8:1::5/128 via fe80::2 dev fpr-1 proto static", watch.CauseRoute}, // takes a share
		{"route replace " + to + "proto 110", ""},
		{"route prepend 2001:db8:1::5/128 via fe80::2 dev fpr-1 proto static", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		// Told as the whole, with the mark of the first.
		{"route append 2001:db8:1::5/128 proto static nexthop via fe80::2 dev fpr-1 nexthop via fe80::3 dev fpr-1", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		{"route replace 2001:db8:1::5/128 proto static nexthop via fe80::2 dev fpr-1 nexthop via fe80::3 dev fpr-1", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		{"route change 2001:db8:1::5/128 via fe80::2 dev fpr-1 proto static", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		{"route replace unreachable 2001:db8:1::5/128 proto static metric 1024", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		// With our mark, and not as we write it.
		{"route append 2001:db8:1::5/128 via fe80::2 dev fpr-1 proto 110", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		{"route replace " + to + "proto 110 mtu lock 1280", watch.CauseRoute},
		{"route replace " + to + "proto 110", ""},
		{"route replace 2001:db8:1::5/128 via fe80::7 dev fpr-1 proto 110", ""}, // as we write it
		{"route replace " + to + "proto 110", ""},
		{"route del " + to, watch.CauseRoute},
		{"route add 2001:db8:1::5/128 via fe80::1 dev fpr-1 proto static", ""},
		{"route del 2001:db8:1::5/128 proto static", ""},
		{"route add default via fe80::1 dev fpr-1 proto ra", ""}, // as an advertisement makes it
		{"route del default proto ra", ""},
		{"rule add iif fpr-1 lookup 110 priority 32800 protocol 110", ""},
		{"rule add iif fpr-1 lookup 110 priority 32800 protocol static", ""},
		{"rule del iif fpr-1 lookup 110 priority 32800 protocol static", ""},
		{"rule del iif fpr-1 lookup 110 priority 32800 protocol 110", watch.CauseRule},
	} {
		ip(c.do)
		if c.cause == "" {
			l.silent(c.do)
			continue
		}
		l.expect("a", c.cause)
		l.quiet()
	}
	// What the kernel drops with a device, it tells as well, after the link.
	ip("route add " + to + "proto 110")
	l.silent("ours")
	n.IP("link", "set", "fpr-1", "down")
	l.expect("a", watch.CauseLink, watch.CauseSetting, watch.CauseAddress, watch.CauseRoute)
}

// Ten thousand routes, ours and those of a routing daemon (12 is BIRD), fill no
// buffer.
func TestManyRoutesWakeNobody(t *testing.T) {
	lab := nettest.New(t)
	n := lab.Namespace("a")
	n.Device("fpr-1")
	l := start(t, watch.Options{NetnsDir: lab.Dir, Protocol: mark, ReceiveBuffer: 1})
	l.Follow("a")
	l.expect("a", watch.CauseFollowed)
	l.quiet()
	batch := filepath.Join(t.TempDir(), "batch")
	var commands []byte
	for i := range 5000 {
		commands = fmt.Appendf(commands, "route add 2001:db8:1::%x/128 via fe80::1 dev fpr-1 proto 110\n", i+1)
		commands = fmt.Appendf(commands, "route add 2001:db8:2::%x/128 via fe80::1 dev fpr-1 proto 12\n", i+1)
	}
	for i := range 5000 {
		commands = fmt.Appendf(commands, "route del 2001:db8:2::%x/128 proto 12\n", i+1)
	}
	if err := os.WriteFile(batch, commands, 0o600); err != nil {
		t.Fatal(err)
	}
	n.IP("-6", "-batch", batch)
	l.silent("other routes")
	n.IP("-6", "route", "del", "2001:db8:1::1/128", "proto", "110")
	l.expect("a", watch.CauseRoute)
}
