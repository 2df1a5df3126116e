package sim_test

import (
	"fmt"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
	"neutron-ndp-proxy-agent/test/sim"
)

// damages are what befalls a host: somebody's hands, the kernel, the daemon's
// own end.
func damages() []action {
	return []action{
		{"link down and up", 3, onTarget(linkDown)},
		{"IPv6 off and on", 2, onTarget(ipv6Off)},
		{"device renamed and back", 2, onTarget(rename)},
		{"link-layer address", 2, onTarget(newMAC)},
		{"gateway address away and back", 3, onTarget(addressAway)},
		{"device again", 3, onTarget(deviceAway)},
		{"namespace again", 3, onTarget(namespaceAway)},
		{"proxy_ndp by hand", 3, onTarget(flipProxyNDP)},
		{"forwarding by hand", 1, onTarget(flipForwarding)},
		{"proxy_delay by hand", 2, onTarget(otherDelay)},
		{"entries by hand", 3, onTarget(flushEntries)},
		{"a stale entry of ours", 3, onTarget(staleEntry)},
		{"a stale route and rule of ours", 3, onTarget(staleRoute)},
		{"our table by hand", 4, onTarget(damageTable)},
		{"somebody's own things", 4, onTarget(plant)},
		{"restart", 4, (*walker).restart},
		{"killed on the way", 5, (*walker).killed},
		{"away for a while", 3, (*walker).away},
	}
}

// onTarget does something to an external device that exists.
func onTarget(do func(k *walker, t sim.Target, ns *nettest.Namespace) string) func(*walker) string {
	return func(k *walker) string {
		all := k.Targets()
		if len(all) == 0 {
			return ""
		}
		t := pick(k.rng, all)
		return fmt.Sprintf("%s %s %s %s", t.Host.Name, t.Namespace, t.Device, do(k, t, t.Host.Namespace(t.Namespace)))
	}
}

// meanwhile is what Neutron does while something is broken; half of the time
// nobody waits for the daemon to notice what was broken.
func (k *walker) meanwhile() string {
	did := ""
	if k.rng.IntN(2) == 0 {
		a := pick(k.rng, []action{{"publish", 1, (*walker).publish}, {"unpublish", 1, (*walker).unpublish}, {"enable", 1, (*walker).enable}})
		did = a.name + " " + a.do(k)
	}
	if k.rng.IntN(2) == 0 {
		k.settle()
		return did + " settled"
	}
	return did
}

func linkDown(k *walker, t sim.Target, ns *nettest.Namespace) string {
	k.disturbs = true
	ns.Batch("link set " + t.Device + " down")
	did := k.meanwhile()
	ns.Batch("link set " + t.Device + " up")
	t.Host.Refresh(t.Namespace)
	return did
}

func ipv6Off(k *walker, t sim.Target, ns *nettest.Namespace) string {
	k.disturbs = true
	key := "net/ipv6/conf/" + t.Device + "/disable_ipv6"
	ns.Sysctl(key, "1")
	did := k.meanwhile()
	ns.Sysctl(key, "0")
	t.Host.Refresh(t.Namespace)
	return did
}

func rename(k *walker, t sim.Target, ns *nettest.Namespace) string {
	k.disturbs = true
	// What a daemon left on a device, and what the table's record says of it, is known
	// by the device's name: one that never saw the namespace can't tell whose setting
	// the other device has.
	if d := t.Host.Daemon(); d != nil {
		d.AwaitReady(t.Host)
	}
	ns.Batch("link set "+t.Device+" down", "link set "+t.Device+" name away0", "link set away0 up")
	did := k.meanwhile()
	ns.Batch("link set away0 down", "link set away0 name "+t.Device, "link set "+t.Device+" up")
	t.Host.Refresh(t.Namespace)
	return did
}

func newMAC(k *walker, t sim.Target, ns *nettest.Namespace) string {
	mac := fmt.Sprintf("fa:16:3e:aa:%02x:%02x", k.step>>8, k.step&0xff)
	ns.Batch("link set " + t.Device + " address " + mac)
	return mac
}

func addressAway(k *walker, t sim.Target, ns *nettest.Namespace) string {
	k.disturbs = true
	ns.IP("-6", "addr", "flush", "dev", t.Device, "scope", "global")
	did := k.meanwhile()
	t.Host.Refresh(t.Namespace)
	return did
}

func deviceAway(k *walker, t sim.Target, _ *nettest.Namespace) string {
	k.disturbs = true
	t.Host.DeleteDevice(t.Namespace, t.Device)
	did := k.meanwhile()
	t.Host.Rebuild()
	return did
}

func namespaceAway(k *walker, t sim.Target, _ *nettest.Namespace) string {
	k.disturbs = true
	t.Host.DeleteNamespace(t.Namespace)
	did := k.meanwhile()
	t.Host.Rebuild()
	return did
}

func flipProxyNDP(k *walker, t sim.Target, ns *nettest.Namespace) string {
	key := "net/ipv6/conf/" + t.Device + "/proxy_ndp"
	value := map[string]string{"0": "1", "1": "0"}[ns.ReadSysctl(key)]
	if !k.managed(t) && value == "1" {
		// Not ours to say: put it back.
		return "left alone"
	}
	ns.Sysctl(key, value)
	return value
}

// managed reports whether the oracle lets our daemon have the device.
func (k *walker) managed(t sim.Target) bool {
	d := k.Last[t.Host.Name+"/"+t.Namespace]
	if d == nil {
		return false
	}
	_, ours := d.Sets["published-"+t.Device]
	return ours && t.Host.Daemon() != nil
}

func flipForwarding(_ *walker, t sim.Target, ns *nettest.Namespace) string {
	key := "net/ipv6/conf/" + t.Device + "/forwarding"
	value := map[string]string{"0": "1", "1": "0"}[ns.ReadSysctl(key)]
	ns.Sysctl(key, value)
	return value
}

func otherDelay(k *walker, t sim.Target, ns *nettest.Namespace) string {
	if !k.managed(t) {
		return "left alone"
	}
	k.needsAudit = true
	ns.Sysctl("net/ipv6/neigh/"+t.Device+"/proxy_delay", "33")
	return "33"
}

func flushEntries(k *walker, t sim.Target, ns *nettest.Namespace) string {
	k.needsAudit = true
	n := 0
	if d := k.Last[t.Host.Name+"/"+t.Namespace]; d != nil {
		for _, p := range d.Proxies {
			if p.Protocol == sim.Protocol {
				if _, err := ns.Try("ip", "-6", "neigh", "del", "proxy", p.Dst, "dev", p.Dev); err == nil {
					n++
				}
			}
		}
	}
	return fmt.Sprintf("%d deleted", n)
}

// staleEntry is one that an earlier run might have left.
func staleEntry(k *walker, t sim.Target, ns *nettest.Namespace) string {
	if !k.managed(t) {
		return "left alone"
	}
	k.needsAudit = true
	addr := fmt.Sprintf("2001:db8:101::dead:%x", k.step)
	_, err := ns.Try("ip", "-6", "neigh", "add", "proxy", addr, "dev", t.Device, "proto", sim.Protocol)
	return fmt.Sprintf("%s %v", addr, err)
}

func staleRoute(k *walker, t sim.Target, ns *nettest.Namespace) string {
	if !k.managed(t) {
		return "left alone"
	}
	k.needsAudit = true
	table := pick(k.rng, []string{"main", "110", "4711"})
	_, err := ns.Try("ip", "-6", "route", "add", fmt.Sprintf("2001:db8:dead:%x::/64", k.step), "dev", t.Device, "proto", sim.Protocol, "table", table)
	_, err2 := ns.Try("ip", "-6", "rule", "add", "iif", t.Device, "lookup", "110", "priority", "32800", "protocol", sim.Protocol)
	return fmt.Sprintf("table %s %v %v", table, err, err2)
}

func damageTable(k *walker, t sim.Target, ns *nettest.Namespace) string {
	if !k.managed(t) {
		return "left alone"
	}
	k.needsAudit = true
	text := pick(k.rng, []string{
		"delete table ip6 " + sim.Table,
		"flush set ip6 " + sim.Table + " published-" + t.Device,
		"add element ip6 " + sim.Table + " published-" + t.Device + " { 2001:db8::bad }",
		"flush set ip6 " + sim.Table + " guarded-" + t.Device,
		"flush chain ip6 " + sim.Table + " forward",
		"flush chain ip6 " + sim.Table + " prerouting",
		"flush set ip6 " + sim.Table + " record",
	})
	if _, err := ns.Try("nft", text); err != nil {
		return text + " failed: " + err.Error()
	}
	return text
}

// plant makes things that are none of ours.
func plant(k *walker, t sim.Target, ns *nettest.Namespace) string {
	k.disturbs = true
	k.planted++
	did := ""
	for _, line := range [][]string{
		{"ip", "-6", "neigh", "add", "proxy", fmt.Sprintf("2001:db8:f00d::%x", k.planted), "dev", t.Device},
		{"ip", "-6", "neigh", "add", "proxy", fmt.Sprintf("2001:db8:f00d:1::%x", k.planted), "dev", t.Device, "proto", "111"},
		{"ip", "-6", "route", "add", fmt.Sprintf("2001:db8:f00d:%x::/64", 16+k.planted), "dev", t.Device, "proto", "static"},
		{"ip", "-6", "route", "add", fmt.Sprintf("2001:db8:f00d:%x::/64", 16+k.planted), "dev", t.Device, "table", "110"},
		{"ip", "-6", "rule", "add", "iif", t.Device, "lookup", "4712", "priority", fmt.Sprint(20000 + k.planted)},
		{"nft", fmt.Sprintf("add table ip6 theirs%d", k.planted)},
	} {
		if k.rng.IntN(2) == 0 {
			if _, err := ns.Try(line[0], line[1:]...); err == nil {
				did += " " + line[0] + " " + line[len(line)-1]
			}
		}
	}
	return did
}

func (k *walker) restart() string {
	h := pick(k.rng, k.Hosts)
	if h.Daemon() == nil {
		h.StartDaemon()
		return h.Name + " started"
	}
	h.Kill()
	h.StartDaemon()
	return h.Name
}

// killed ends a daemon in the middle of some work.
func (k *walker) killed() string {
	h := pick(k.rng, k.Hosts)
	if h.Daemon() == nil {
		return ""
	}
	a := k.choose(actions()[:14])
	did := a.do(k)
	pause(time.Duration(k.rng.IntN(15)) * time.Millisecond)
	h.Kill()
	h.StartDaemon()
	return h.Name + " in " + a.name + " " + did
}

// away kills a daemon; a later restart starts it again. The others go on.
func (k *walker) away() string {
	h := pick(k.rng, k.Hosts)
	if h.Daemon() == nil {
		return ""
	}
	h.Kill()
	return h.Name
}
