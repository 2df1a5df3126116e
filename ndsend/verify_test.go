package ndsend

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/test/nettest"
)

// verifyLab is a router with a device qg-1, and qg-2 beside it, and an upstream
// that asks. The kernel answers for testTarget, which is proxied and routed to
// an inner device.
type verifyLab struct{ router, upstream *nettest.Namespace }

func newVerifyLab(t *testing.T) verifyLab {
	t.Helper()
	lab := nettest.New(t)
	l := verifyLab{lab.Namespace("router"), lab.Namespace("upstream")}
	for _, n := range []*nettest.Namespace{l.router, l.upstream} {
		n.Sysctl("net/ipv6/conf/default/accept_dad", "0")
	}
	lab.Veth(l.upstream, "up0", l.router, "qg-1")
	lab.Veth(l.upstream, "up1", l.router, "qg-2")
	l.router.Device("qr-1")
	l.router.AddAddr("qr-1", "2001:db8:0:1::1/64")
	l.router.AddAddr("qg-1", "2001:db8::1/64")
	l.set("all/forwarding", "1")
	l.set("qg-1/forwarding", "1")
	l.set("qg-1/proxy_ndp", "1")
	l.router.Sysctl("net/ipv6/neigh/qg-1/proxy_delay", "0")
	l.proxy("qg-1")
	l.router.LinkLocal("qg-1")
	l.upstream.LinkLocal("up0")
	return l
}

func (l verifyLab) set(key, value string) { l.router.Sysctl("net/ipv6/conf/"+key, value) }

func (l verifyLab) proxy(device string, flags ...string) {
	l.router.IP(append([]string{"-6", "neighbour", "replace", "proxy", testTarget.String(), "dev", device, "nud", "permanent"}, flags...)...)
}

func (l verifyLab) unproxy() {
	l.router.IP("-6", "neighbour", "delete", "proxy", testTarget.String(), "dev", "qg-1")
}

// ask is what a neighbour hears.
func (l verifyLab) ask(target netip.Addr, unicast net.HardwareAddr) (answered, router bool) {
	answer, ok := l.upstream.Solicit(nettest.Solicitation{
		Device: "up0", Source: l.upstream.LinkLocal("up0"), Target: target, Unicast: unicast, Within: 150 * time.Millisecond,
	})
	return ok, ok && answer.Advertisement.Router
}

// What Verify says is what a neighbour hears, condition by condition.
func TestVerifyAgainstReality(t *testing.T) {
	const answered, needsRule, notAnswered = UnicastAnswered, UnicastNeedsRule, UnicastNotAnswered
	for _, c := range []struct {
		name     string
		prepare  func(l verifyLab)
		target   string // testTarget if empty
		kind     Kind
		unicast  UnicastAnswer
		missing  []Condition // empty: the multicast solicitation is answered
		forRule  []Condition // why the unicast one needs a rule
		isRouter bool
	}{
		{name: "proxied", kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionAllProxyNDP}},
		{name: "entry with the Router flag", prepare: func(l verifyLab) { l.proxy("qg-1", "router") },
			kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionAllProxyNDP}, isRouter: true},
		{name: "entry of another program", prepare: func(l verifyLab) { l.unproxy(); l.proxy("qg-1", "extern_learn") },
			kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionAllProxyNDP}},
		{name: "proxy_ndp of all too", prepare: func(l verifyLab) { l.set("all/proxy_ndp", "1") }, kind: KindProxy, unicast: answered},
		{name: "proxy_ndp of all alone", prepare: func(l verifyLab) { l.set("qg-1/proxy_ndp", "0"); l.set("all/proxy_ndp", "1") }, kind: KindProxy, unicast: answered},
		{name: "proxy_ndp of all, no forwarding of all", prepare: func(l verifyLab) {
			l.set("all/proxy_ndp", "1")
			l.set("all/forwarding", "0")
			l.set("qg-1/forwarding", "1")
		}, kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionAllForwarding}},
		{name: "proxy_ndp of all, no route", prepare: func(l verifyLab) {
			l.set("all/proxy_ndp", "1")
			l.router.IP("address", "flush", "dev", "qr-1", "scope", "global")
		}, kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionRoute}},
		{name: "proxy_ndp of all, unreachable route", prepare: func(l verifyLab) {
			l.set("all/proxy_ndp", "1")
			l.router.IP("route", "add", "unreachable", testTarget.String())
		}, kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionRoute}},
		{name: "proxy_ndp of all, route back out", prepare: func(l verifyLab) {
			l.set("all/proxy_ndp", "1")
			l.router.IP("route", "add", testTarget.String(), "dev", "qg-1")
		}, kind: KindProxy, unicast: answered},
		{name: "local elsewhere", prepare: func(l verifyLab) {
			l.router.IP("address", "add", testTarget.String()+"/128", "dev", "lo")
			// The kernel adds the route in a work queue that waits for the rtnl lock
			// (addrconf_dad_work in net/ipv6/addrconf.c).
			nettest.Eventually(t, 10*time.Second, "the route to the address on lo", func() bool {
				return strings.HasPrefix(l.router.IP("-6", "route", "get", testTarget.String()), "local ")
			})
		}, kind: KindProxy, unicast: answered},
		{name: "NOARP", prepare: func(l verifyLab) { l.router.IP("link", "set", "qg-1", "arp", "off") },
			kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionARP}},
		{name: "no entry", prepare: func(l verifyLab) { l.unproxy() },
			kind: KindNone, unicast: notAnswered, missing: []Condition{ConditionEntry}},
		{name: "entry on another device", prepare: func(l verifyLab) { l.unproxy(); l.proxy("qg-2") },
			kind: KindNone, unicast: notAnswered, missing: []Condition{ConditionEntry}},
		{name: "proxy_ndp 0", prepare: func(l verifyLab) { l.set("qg-1/proxy_ndp", "0") },
			kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionProxyNDP}},
		{name: "forwarding 0", prepare: func(l verifyLab) { l.set("qg-1/forwarding", "0") },
			kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionForwarding}},
		{name: "device down", prepare: func(l verifyLab) {
			l.router.IP("link", "set", "qg-1", "down")
			l.proxy("qg-1") // it went with the device
		}, kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionUp, ConditionSource}},
		{name: "disable_ipv6", prepare: func(l verifyLab) { l.set("qg-1/disable_ipv6", "1"); l.proxy("qg-1") },
			kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionIPv6, ConditionSource}},
		{name: "MTU below 1280", prepare: func(l verifyLab) { l.router.IP("link", "set", "qg-1", "mtu", "1200") },
			kind: KindNone, unicast: notAnswered, missing: []Condition{ConditionMTU, ConditionEntry, ConditionProxyNDP, ConditionForwarding, ConditionSource}},
		{name: "no source address", prepare: func(l verifyLab) { l.router.IP("-6", "address", "flush", "dev", "qg-1") },
			kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionSource}},
		{name: "source address without the link-local one", prepare: func(l verifyLab) {
			l.router.IP("-6", "address", "flush", "dev", "qg-1", "scope", "link")
		}, kind: KindProxy, unicast: needsRule, forRule: []Condition{ConditionAllProxyNDP}},
		{name: "tentative source address", prepare: func(l verifyLab) {
			l.router.IP("-6", "address", "flush", "dev", "qg-1")
			l.set("qg-1/accept_dad", "1")
			l.set("qg-1/dad_transmits", "1000")
			l.router.IP("address", "add", "fe80::99/64", "dev", "qg-1")
		}, kind: KindProxy, unicast: notAnswered, missing: []Condition{ConditionSource}},
		{name: "own address", target: "2001:db8::1", kind: KindOwn, unicast: answered, isRouter: true},
		{name: "own address of a host", target: "2001:db8::1", kind: KindOwn, unicast: answered,
			prepare: func(l verifyLab) { l.set("qg-1/forwarding", "0"); l.set("qg-1/proxy_ndp", "0") }},
		{name: "own address with an entry", target: testTarget.String(), kind: KindOwn, unicast: answered, isRouter: true,
			prepare: func(l verifyLab) { l.router.AddAddr("qg-1", testTarget.String()+"/128") }},
		{name: "own tentative address", target: "2001:db8::77", kind: KindOwn, unicast: notAnswered, isRouter: true,
			missing: []Condition{ConditionTentative}, prepare: func(l verifyLab) {
				l.set("qg-1/accept_dad", "1")
				l.set("qg-1/dad_transmits", "1000")
				l.router.IP("address", "add", "2001:db8::77/64", "dev", "qg-1")
			}},
		{name: "address of another device", target: "2001:db8:0:1::1", kind: KindNone, unicast: notAnswered, missing: []Condition{ConditionEntry}},
		{name: "anycast address of the subnet's routers", target: "2001:db8::", kind: KindAnycast, unicast: answered, isRouter: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newVerifyLab(t)
			if c.prepare != nil {
				c.prepare(l)
			}
			target := testTarget
			if c.target != "" {
				target = netip.MustParseAddr(c.target)
			}
			all, err := Verify(Config{Interface: "qg-1", Enter: l.router.Enter}, []netip.Addr{target})
			if err != nil {
				t.Fatal(err)
			}
			got := all[0]
			type summary struct {
				Kind      Kind
				Multicast bool
				Unicast   UnicastAnswer
				Missing   []Condition
				ForRule   []Condition
				Router    bool
			}
			want := summary{c.kind, len(c.missing) == 0, c.unicast, c.missing, c.forRule, c.isRouter}
			if diff := cmp.Diff(want, summary{got.Kind, got.Multicast, got.Unicast, conditions(got.Missing), conditions(got.UnicastMissing), got.Router}); diff != "" {
				t.Errorf("verified (-want +got):\n%s", diff)
			}
			multicast, router := l.ask(target, nil)
			if multicast != got.Multicast || multicast && router != got.Router {
				t.Errorf("a multicast solicitation: answered %v with Router %v; verified as %v, %v", multicast, router, got.Multicast, got.Router)
			}
			if unicast, _ := l.ask(target, l.router.MAC("qg-1")); unicast != (got.Unicast == UnicastAnswered) {
				t.Errorf("a unicast solicitation: answered %v; verified as %s", unicast, got.Unicast)
			}
		})
	}
}

func conditions(all []Missing) []Condition {
	var words []Condition
	for _, m := range all {
		words = append(words, m.Condition)
	}
	return words
}

// What needs a rule is answered with one like the daemon's, and what is not
// answered is not with it either.
func TestVerifyNeedsRule(t *testing.T) {
	l := newVerifyLab(t)
	l.router.Run("nft", "add table ip6 t; add chain ip6 t p { type filter hook prerouting priority raw; };"+
		"add rule ip6 t p iifname qg-1 icmpv6 type nd-neighbor-solicit ip6 daddr "+testTarget.String()+" ip6 daddr set "+l.router.LinkLocal("qg-1").String())
	mac := l.router.MAC("qg-1")
	if answered, _ := l.ask(testTarget, mac); !answered {
		t.Error("not answered with the rule")
	}
	l.unproxy()
	if answered, _ := l.ask(testTarget, mac); answered {
		t.Error("answered with the rule although Verify says not")
	}
}

// The words: what is wrong and the commands that mend it, which do.
func TestVerifyRemedies(t *testing.T) {
	l := newVerifyLab(t)
	l.unproxy()
	l.proxy("qg-2")
	l.set("qg-1/proxy_ndp", "0")
	l.set("qg-1/forwarding", "0")
	config := Config{Interface: "qg-1", Enter: l.router.Enter}
	all, err := Verify(config, []netip.Addr{testTarget})
	if err != nil {
		t.Fatal(err)
	}
	want := []Missing{
		{ConditionEntry, "no proxy entry on qg-1, only on qg-2", "ip -6 neighbour add proxy 2001:db8:0:1::5 dev qg-1 nud permanent"},
		{ConditionProxyNDP, "proxy_ndp of qg-1 and of all is 0", "sysctl -w net/ipv6/conf/qg-1/proxy_ndp=1"},
		{ConditionForwarding, "forwarding of qg-1 is 0", "sysctl -w net/ipv6/conf/qg-1/forwarding=1"},
	}
	if diff := cmp.Diff(want, all[0].Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for _, m := range want {
		l.router.Run("sh", "-c", m.Remedy)
	}
	if all, err = Verify(config, []netip.Addr{testTarget}); err != nil || !all[0].Multicast {
		t.Errorf("after the remedies: %+v, %v", all, err)
	}
	if answered, _ := l.ask(testTarget, nil); !answered {
		t.Error("not answered after the remedies")
	}
}

func TestVerifyErrors(t *testing.T) {
	l := newVerifyLab(t)
	gone := func(func() error) error { return fs.ErrNotExist }
	for _, c := range []struct {
		name   string
		config Config
		target netip.Addr
		want   error
	}{
		{"no interface", Config{Interface: "absent", Enter: l.router.Enter}, testTarget, ErrNoInterface},
		{"loopback", Config{Interface: "lo", Enter: l.router.Enter}, testTarget, ErrLinkType},
		{"no namespace", Config{Interface: "qg-1", Enter: gone}, testTarget, ErrNamespace},
		{"IPv4", Config{Interface: "qg-1", Enter: l.router.Enter}, netip.MustParseAddr("192.0.2.1"), ErrBadTarget},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Verify(c.config, []netip.Addr{c.target}); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// Only the way into the namespace needs a capability.
func TestVerifyUnprivileged(t *testing.T) {
	l := newVerifyLab(t)
	config := Config{Interface: "qg-1", Enter: func(fn func() error) error {
		return l.router.Enter(func() error {
			// Once more than Enter does, and never unlocked: a thread without
			// capabilities must not come back to serve other tests.
			runtime.LockOSThread()
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			// CAP_SYS_ADMIN is for the way back.
			data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
			if err := unix.Capset(&header, &data[0]); err != nil {
				return err
			}
			return fn()
		})
	}}
	all, err := Verify(config, []netip.Addr{testTarget})
	if err != nil || !all[0].Multicast {
		t.Errorf("verified %+v, %v", all, err)
	}
}
