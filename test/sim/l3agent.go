package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/test/nettest"
)

// l3agent makes on its host what Neutron's L3 agent would make: names, link-layer
// addresses, routes and sysctls as seen with the real one (test/lab).
type l3agent struct {
	h    *Host
	have map[string]*space
	// halfway: it is stopped before it gives addresses and routes to what it makes.
	halfway bool
}

// space is a namespace.
type space struct {
	ns      *nettest.Namespace
	devices map[string]device
	// routes and rules as ip(8) takes them after "replace" and "add".
	routes, rules []string
}

// device is one of its devices. What identifies it is comparable.
type device struct {
	identity
	addrs []string
	// forwarding is conf.<device>.forwarding where it is not the namespace's.
	forwarding string
	port       string // the bridge's end
}

type identity struct {
	bridge, mac string
	// manual: no address of the kernel's own making, as on the devices that
	// keepalived gives addresses to.
	manual bool
	// pair is the other end of a pair between two namespaces; made makes it.
	pairSpace, pairName string
	made                bool
}

// sync makes what is there equal to what is wanted.
func (a *l3agent) sync() {
	a.h.w.t.Helper()
	want := a.want()
	if a.halfway {
		a.halve(want)
	}
	for _, name := range slices.Sorted(maps.Keys(a.have)) {
		if want[name] == nil {
			a.remove(name)
		}
	}
	names := slices.Sorted(maps.Keys(want))
	for _, name := range names {
		if a.have[name] == nil {
			ns := a.h.Lab.Namespace(name)
			ns.Sysctl("net/ipv6/conf/all/forwarding", "1")
			a.have[name] = &space{ns: ns, devices: map[string]device{}}
		}
	}
	for _, name := range names {
		for dev := range a.have[name].devices {
			if want[name].devices[dev].identity != a.have[name].devices[dev].identity {
				a.have[name].ns.Batch("link del " + dev)
				a.forgetDevice(name, dev)
			}
		}
	}
	for _, name := range names {
		a.devices(name, want[name])
	}
	if a.halfway {
		return
	}
	want = a.want() // now that the pairs are there, with the routes through them
	for _, name := range names {
		a.routes(a.have[name], want[name])
	}
}

// halve leaves of what is not there yet only the devices.
func (a *l3agent) halve(want map[string]*space) {
	for name, s := range want {
		for dev, d := range s.devices {
			if have := a.have[name]; have != nil {
				if _, there := have.devices[dev]; there {
					continue
				}
			}
			d.addrs, d.forwarding = nil, ""
			s.devices[dev] = d
		}
	}
}

// remove unplugs the devices and deletes the namespace.
func (a *l3agent) remove(name string) {
	s := a.have[name]
	for dev, d := range s.devices {
		if d.port != "" {
			a.h.w.fabric.Batch("link del " + d.port)
		} else {
			s.ns.Batch("link del " + dev) // both ends, now
		}
		a.forgetDevice(name, dev)
	}
	a.h.Lab.Delete(s.ns)
	delete(a.have, name)
}

// forgetDevice notes that a device is gone, and with it the end of its pair and
// the routes over both.
func (a *l3agent) forgetDevice(name, dev string) {
	d := a.have[name].devices[dev]
	delete(a.have[name].devices, dev)
	a.have[name].routes, a.have[name].rules = nil, nil
	if other := a.have[d.pairSpace]; other != nil {
		delete(other.devices, d.pairName)
		other.routes, other.rules = nil, nil
	}
}

func (a *l3agent) devices(name string, want *space) {
	have := a.have[name]
	var lines, fabric []string
	for _, dev := range slices.Sorted(maps.Keys(want.devices)) {
		w := want.devices[dev]
		h, there := have.devices[dev]
		if !there {
			if w.pairSpace != "" && !w.made {
				continue // the other end makes it
			}
			h = device{identity: w.identity}
			if w.made {
				peer := a.have[w.pairSpace]
				lines = append(lines, fmt.Sprintf("link add %s type veth peer name %s netns %s", dev, w.pairName, peer.ns.Path))
			} else {
				h.port = fmt.Sprintf("p%d", a.h.w.next())
				lines = append(lines, fmt.Sprintf("link add %s address %s type veth peer name %s netns %s", dev, w.mac, h.port, a.h.w.fabric.Path))
				fabric = append(fabric, "link set "+h.port+" master "+a.h.w.bridge(w.bridge), "link set "+h.port+" up")
			}
			if w.manual {
				lines = append(lines, "link set "+dev+" addrgenmode none")
			}
			lines = append(lines, "link set "+dev+" up")
		}
		for _, addr := range h.addrs {
			if !slices.Contains(w.addrs, addr) {
				lines = append(lines, "addr del "+addr+" dev "+dev)
			}
		}
		for _, addr := range w.addrs {
			if !slices.Contains(h.addrs, addr) {
				lines = append(lines, "addr replace "+addr+" dev "+dev+nodad(addr))
			}
		}
		h.addrs = w.addrs
		have.devices[dev] = h
	}
	have.ns.Batch(lines...)
	a.h.w.fabric.Batch(fabric...)
	for dev, w := range want.devices {
		h, there := have.devices[dev]
		if !there && w.pairSpace != "" && !w.made && a.have[w.pairSpace].devices[w.pairName].made {
			have.ns.Batch("link set " + dev + " up")
			have.devices[dev] = device{identity: w.identity}
			continue
		}
		if w.forwarding != "" && h.forwarding != w.forwarding {
			have.ns.Sysctl("net/ipv6/conf/"+dev+"/forwarding", w.forwarding)
			h.forwarding = w.forwarding
			have.devices[dev] = h
		}
	}
	// The ends in namespaces that were done before.
	for dev, w := range want.devices {
		other := a.have[w.pairSpace]
		if !w.made || other == nil {
			continue
		}
		if _, there := other.devices[w.pairName]; !there {
			other.ns.Batch("link set " + w.pairName + " up")
			id := identity{pairSpace: name, pairName: dev}
			other.devices[w.pairName] = device{identity: id}
		}
	}
}

func nodad(addr string) string {
	for _, c := range addr {
		if c == ':' {
			return " nodad"
		}
	}
	return ""
}

func (a *l3agent) routes(have, want *space) {
	var lines []string
	for _, r := range have.routes {
		if !slices.Contains(want.routes, r) {
			// keepalived takes its routes back; of a device that went they are gone.
			_, _ = have.ns.Try("ip", append([]string{"-6", "route", "del"}, fields(r)...)...)
		}
	}
	for _, r := range want.routes {
		if !slices.Contains(have.routes, r) {
			lines = append(lines, "route replace "+r)
		}
	}
	for _, r := range want.rules {
		if !slices.Contains(have.rules, r) {
			_, _ = have.ns.Try("ip", append([]string{"-6", "rule", "del"}, fields(r)...)...) // it may not be there
			lines = append(lines, "rule add "+r)
		}
	}
	have.routes, have.rules = want.routes, want.rules
	if len(lines) == 0 {
		return
	}
	if _, err := have.ns.Feed(strings.Join(lines, "\n")+"\n", "ip", "-6", "-batch", "-"); err != nil {
		a.h.w.t.Fatalf("%v in\n%s", err, strings.Join(lines, "\n"))
	}
}
