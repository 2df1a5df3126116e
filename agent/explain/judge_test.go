package explain_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/explain"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/route"
	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// well are facts of an address that is answered for by a centralised router.
func well() explain.Facts {
	at := inventory.Attachment{Namespace: "qrouter-1", Device: qg, Addrs: []netip.Addr{gateway}}
	router := inventory.Router{
		ID: "router-1", Name: "edge", Enabled: true, External: []inventory.Attachment{at},
		Subnets: []inventory.Subnet{{Prefix: internal, RouterAddrs: []netip.Addr{routerAddr}}},
	}
	ll := netip.MustParseAddr("fe80::2")
	seen := dataplane.Observation{
		Interfaces: []dataplane.Interface{{
			Name: qg, Up: true, IPv6: true, Forwarding: true, ProxyNDP: true,
			Addrs: []dataplane.InterfaceAddr{{Prefix: netip.PrefixFrom(gateway, 64)}, {Prefix: netip.PrefixFrom(ll, 64)}},
		}},
		Proxies: []dataplane.Proxy{{Device: qg, Addr: published, Ours: true, Protocol: 110}},
		Filter: filter.Found{Present: true, Devices: []filter.FoundDevice{{
			Name: qg, Known: true, Published: []netip.Addr{published}, Record: filter.Record{LinkLocal: ll.String()},
		}}},
	}
	trace := dataplane.Trace{
		Namespace: "qrouter-1", From: qg, Next: published, Neighbour: neigh.Cached{State: neigh.StateReachable},
		Route: dataplane.FoundRoute{Route: dataplane.Route{Table: dataplane.MainTable, Dst: internal, Device: qr}, Kernel: route.Route{Type: route.Unicast}},
	}
	state := dataplane.State{Devices: []dataplane.Device{{Name: qg, Answer: true, Published: []netip.Addr{published}}}}
	return explain.Facts{
		Addr: published, Host: "net1", Source: "neutron", Synced: time.Unix(1e9, 0), Audit: time.Minute, Most: most,
		Broker: &admin.Broker{Connected: true, Subscribed: true, Endpoint: "rabbit1:5672"},
		Server: &explain.Server{Proxies: []explain.ServerProxy{{ID: "proxy-1", Router: "router-1", Port: "port-1"}}},
		Entries: []inventory.Entry{{Router: router, Proxies: []inventory.Proxy{{
			ID: "proxy-1", RouterID: "router-1", PortID: "port-1", Addr: published,
		}}}},
		Sites: []explain.Site{{
			Router: "router-1", At: at, Device: &ndsend.DeviceState{Up: true, Carrier: true}, Trace: &trace, Debt: &announcer.Debt{},
			Preview: agent.Preview{Namespace: "qrouter-1", Seen: plan.Seen{Observation: seen}, Plan: plan.Plan{State: state}},
		}},
	}
}

// apart is the same with a router that serves by place.
func apart(p inventory.Place, change func(*inventory.Router)) func(*explain.Facts) {
	return func(f *explain.Facts) {
		r := &f.Entries[0].Router
		r.External = []inventory.Attachment{{Namespace: "fip-1", Device: fg, Serves: inventory.Here}}
		f.Entries[0].Places = map[string]inventory.Place{"port-1": p}
		f.Sites = nil
		if change != nil {
			change(r)
		}
	}
}

// Each case differs from what is well in one thing.
func TestJudge(t *testing.T) {
	site := func(change func(*explain.Site)) func(*explain.Facts) {
		return func(f *explain.Facts) { change(&f.Sites[0]) }
	}
	device := func(change func(*dataplane.Interface)) func(*explain.Facts) {
		return site(func(s *explain.Site) { change(&s.Preview.Seen.Interfaces[0]) })
	}
	unplanned := func(s *explain.Site) { s.Preview.Plan.State.Devices[0].Answer = false }
	for _, c := range []struct {
		name   string
		change func(*explain.Facts)
		link   string
		status explain.Status
		facts  string
		do     string
	}{
		{"as it should be", func(*explain.Facts) {}, explain.LinkEntry, explain.OK, "a proxy neighbour of ours is on qg-1", ""},
		{"the gateway's own address", func(f *explain.Facts) { f.Addr, f.Entries[0].Proxies, f.Sites = gateway, nil, nil }, explain.LinkProxy, explain.Broken, "router edge (router-1)'s own gateway address", "no proxy"},
		{"the router's inner address", func(f *explain.Facts) { f.Addr, f.Entries[0].Proxies, f.Sites = routerAddr, nil, nil }, explain.LinkProxy, explain.Broken, "own address in its internal subnet", "no proxy"},
		{"the server does not answer", func(f *explain.Facts) {
			f.Entries[0].Proxies, f.Sites, f.Server = nil, nil, &explain.Server{Err: errors.New("timeout")}
		}, explain.LinkProxy, explain.Broken, "could not be asked (timeout)", "ndp proxy list --ip-address " + published.String()},
		{"the server does not answer, but it is known", func(f *explain.Facts) { f.Server = &explain.Server{Err: errors.New("timeout")} }, explain.LinkProxy, explain.OK, "NDPProxy proxy-1", ""},
		{"no broker, but it is known", func(f *explain.Facts) { f.Broker.Connected = false; f.Server = nil }, explain.LinkServer, explain.Unknown, "not connected to the broker rabbit1:5672", "check"},
		{"blocked", func(f *explain.Facts) { f.Broker.Blocked = "low on memory" }, explain.LinkServer, explain.Unknown, "takes no messages: low on memory", "check"},
		{"not subscribed", func(f *explain.Facts) { f.Broker.Subscribed = false }, explain.LinkServer, explain.Unknown, "not subscribed yet", "check"},
		{"the file was never read", func(f *explain.Facts) {
			f.Source, f.Broker, f.Server, f.Synced, f.Entries, f.Sites = "file", nil, nil, time.Time{}, nil, nil
		}, explain.LinkServer, explain.Broken, "could not be read so far", "journalctl"},
		{"not in the file", func(f *explain.Facts) {
			f.Source, f.Broker, f.Server, f.Entries, f.Sites = "file", nil, nil, nil, nil
		}, explain.LinkProxy, explain.Broken, "the file does not publish", "source_file"},
		{"the file was read", func(f *explain.Facts) { f.Source, f.Broker, f.Server = "file", nil, nil }, explain.LinkServer, explain.OK, "the file was last read", ""},
		{"unsupported", func(f *explain.Facts) { f.Entries[0].Router.Unsupported = "distributed, agent_mode legacy" }, explain.LinkRouter, explain.Broken, "not served: distributed", "agent_mode"},
		{"agent_mode dvr_no_external", func(f *explain.Facts) {
			f.Entries[0].Router.External, f.Entries[0].Router.Remote, f.Sites = nil, true, nil
			f.Server.Proxies[0].PortHost = "net3"
		}, explain.LinkHost, explain.Broken, "dvr_no_external", "on net3: neutron-ndp-proxy-agent explain"},
		{"elsewhere, and nobody knows where", apart(inventory.Elsewhere, nil), explain.LinkHost, explain.Broken, "not on this host", "openstack port show port-1"},
		{"elsewhere, while the port is awaited", apart(inventory.Elsewhere, func(r *inventory.Router) { r.Awaits = "a port" }), explain.LinkHost, explain.Broken, "not on this host", ""},
		{"a namespace that is forbidden", site(func(s *explain.Site) { s.Err = errors.New("setns: operation not permitted") }), explain.LinkNamespace, explain.Broken, "operation not permitted", "check"},
		{"nothing may be touched", site(func(s *explain.Site) { s.Preview.Untouchable = "a router is not known yet" }), explain.LinkNamespace, explain.Unknown, "a router is not known yet", ""},
		{"no carrier, and no more is known", func(f *explain.Facts) { f.Sites[0].Device = nil; f.Sites[0].Preview.Seen.Interfaces[0].Up = false }, explain.LinkCarrier, explain.Broken, "no carrier", ""},
		{"the gateway's address is tentative", func(f *explain.Facts) {
			unplanned(&f.Sites[0])
			f.Sites[0].Preview.Seen.Interfaces[0].Addrs[0].Tentative = true
		}, explain.LinkGateway, explain.Broken, "still checked for duplicates", "wait"},
		{"a network without subnets", func(f *explain.Facts) { unplanned(&f.Sites[0]); f.Sites[0].At.Addrs = nil }, explain.LinkGateway, explain.Broken, "any link-local one", ""},
		{"the link-local address is tentative", device(func(i *dataplane.Interface) { i.Addrs[1].Tentative = true }), explain.LinkLinkLocal, explain.Broken, "still checked", "wait"},
		{"proxy_ndp of all instead", func(f *explain.Facts) {
			f.Sites[0].Preview.Seen.Interfaces[0].ProxyNDP, f.Sites[0].Preview.Seen.AllProxyNDP = false, true
		}, explain.LinkSysctls, explain.OK, "", ""},
		{"answers are late", device(func(i *dataplane.Interface) { i.ProxyDelay = 800 * time.Millisecond }), explain.LinkSysctls, explain.OK, "proxy_delay is 800ms", ""},
		{"somebody else's entry", site(func(s *explain.Site) { s.Preview.Seen.Proxies[0].Ours, s.Preview.Seen.Proxies[0].Protocol = false, 3 }), explain.LinkEntry, explain.OK, "made by somebody else (protocol 3)", ""},
		{"an entry on another device", site(func(s *explain.Site) { s.Preview.Seen.Proxies[0].Device = "qg-2" }), explain.LinkEntry, explain.Broken, "no proxy neighbour", "within 1m0s"},
		{"a table that was changed", site(func(s *explain.Site) { s.Preview.Seen.Filter.Problem = "chain x is not ours" }), explain.LinkFilter, explain.Broken, "chain x is not ours", "next look"},
		{"a table without the device", site(func(s *explain.Site) { s.Preview.Seen.Filter.Devices[0].Name = "qg-2" }), explain.LinkFilter, explain.Broken, "knows nothing of qg-1", ""},
		{"a large set", site(func(s *explain.Site) { d := &s.Preview.Seen.Filter.Devices[0]; d.Known, d.Published = false, nil }), explain.LinkFilter, explain.Unknown, "too large", ""},
		{"a rule for another link-local address", site(func(s *explain.Site) { s.Preview.Seen.Filter.Devices[0].Record.LinkLocal = "fe80::9" }), explain.LinkFilter, explain.Broken, "hands unicast solicitations to fe80::9", ""},
		{"iptables-legacy", site(func(s *explain.Site) { s.Trace.Foreign.Legacy = []string{"filter"} }), explain.LinkForeign, explain.Unknown, "ip6tables-legacy", "ip6tables-legacy -nvL"},
		{"rules that may drop", site(func(s *explain.Site) { s.Trace.Foreign.Doubts = []filter.Drop{{}, {}} }), explain.LinkForeign, explain.OK, "2 may", ""},
		{"no trace", site(func(s *explain.Site) { s.Trace, s.Untraced = nil, errors.New("no memory") }), explain.LinkRoute, explain.Unknown, "no memory", ""},
		{"an address of the namespace", site(func(s *explain.Site) { s.Trace.Route.Kernel.Type = route.Local }), explain.LinkRoute, explain.Broken, "qrouter-1's own", "addr"},
		{"nobody sent to the instance", site(func(s *explain.Site) { s.Trace.Neighbour.State = neigh.StateAbsent }), explain.LinkInstance, explain.Unknown, "nothing was sent", "ping"},
		{"the instance is asked for", site(func(s *explain.Site) { s.Trace.Neighbour.State = neigh.StateIncomplete }), explain.LinkInstance, explain.Unknown, "at this moment", "ping"},
		{"no announcements", site(func(s *explain.Site) { s.Debt = nil }), explain.LinkAnnounced, explain.OK, "announce = false", ""},
		{"owed just now", site(func(s *explain.Site) { s.Debt = &announcer.Debt{Owed: true} }), explain.LinkAnnounced, explain.Unknown, "about to leave", ""},
		{"repeated", site(func(s *explain.Site) { s.Debt = &announcer.Debt{Repeating: true} }), explain.LinkAnnounced, explain.OK, "repeated", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := well()
			c.change(&f)
			a := explain.Judge(f)
			seen := false
			for _, l := range a.Links {
				switch {
				case l.Name == c.link:
					seen = true
					if l.Status != c.status || !strings.Contains(l.Facts, c.facts) || !strings.Contains(l.Do, c.do) {
						t.Errorf("%+v, want %s, %q, to do %q", l, c.status, c.facts, c.do)
					}
				case seen && c.status == explain.Broken:
					if l.Status != explain.NotReached {
						t.Errorf("after the broken link: %+v", l)
					}
				case l.Status == explain.Broken:
					t.Errorf("also broken: %+v", l)
				}
			}
			if broken := map[bool]string{true: c.link}[c.status == explain.Broken]; a.Broken != broken || a.Answered != (broken == "") || a.Verdict == "" {
				t.Errorf("answered %v, broken %q, want %q: %s", a.Answered, a.Broken, broken, a.Verdict)
			}
		})
	}
}

// Of two routers that publish it, the one that gets farther is told of.
func TestTheFarthestChain(t *testing.T) {
	f := well()
	other := f.Entries[0]
	other.Router.ID, other.Router.Enabled = "router-0", false
	other.Proxies = []inventory.Proxy{{ID: "proxy-0", RouterID: "router-0", Addr: published}}
	f.Server = nil
	f.Entries = []inventory.Entry{other, f.Entries[0]}
	if a := explain.Judge(f); !a.Answered || a.Router != "router-1" || a.Proxy != "proxy-1" {
		t.Errorf("%+v", a)
	}
	f.Sites[0].Gone = true
	if a := explain.Judge(f); a.Broken != explain.LinkNamespace || a.Router != "router-1" {
		t.Errorf("%+v", a)
	}
}

// What a probe found out counts where the chain got so far.
func TestUpstream(t *testing.T) {
	heard := explain.Link{Status: explain.Broken, Facts: "nobody answers\x1b[31m", Do: "look"}
	a := explain.Judge(well()).WithUpstream(heard)
	last := a.Links[len(a.Links)-1]
	if a.Answered || a.Broken != explain.LinkUpstream || a.Do != "look" || last.Name != explain.LinkUpstream || strings.Contains(a.Verdict, "\x1b") {
		t.Errorf("%+v", a)
	}
	f := well()
	f.Sites[0].Preview.Seen.Proxies = nil
	if a := explain.Judge(f).WithUpstream(heard); a.Broken != explain.LinkEntry || a.Links[len(a.Links)-1].Status != explain.NotReached {
		t.Errorf("%+v", a)
	}
	if a := explain.Judge(well()).WithUpstream(explain.Link{Status: explain.OK, Facts: "answered"}); !a.Answered || a.Links[len(a.Links)-1].Facts != "answered" {
		t.Errorf("%+v", a)
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"2001:db8::5": "", "2001:DB8::5/128": "", "fd00::1": "",
		"192.0.2.1": "IPv4 has floating IPs", "::ffff:192.0.2.1": "IPv4", "fe80::1": "link-local", "fe80::1%eth0": "zone", "ff02::1": "multicast",
		"::": "nobody", "::1": "nobody", "router1": "no IP address", "2001:db8::/64": "no IP address", "": "no IP address",
	} {
		a, err := explain.ParseAddress(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q", text, a, err, want)
		}
	}
}
