package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
)

// Options are the operator's choices that reach the plan.
type Options struct {
	// ProxyDelay is [dataplane.Device.ProxyDelay] of every device.
	ProxyDelay time.Duration
}

// Plan is the decision for one namespace.
type Plan struct {
	State dataplane.State
	// Rejected are proxies that must not be published, with the reason.
	Rejected []Rejection
	// Standby says for each device that does not answer, why.
	Standby map[string]string
}

// Rejection is one proxy that the plan refuses.
type Rejection struct {
	Proxy  inventory.Proxy
	Reason string
}

// Namespace plans one namespace from the routers in it. Routers that share a
// device (a fip- namespace) share its device state.
func Namespace(name string, entries []inventory.Entry, interfaces []dataplane.Interface, opts Options) Plan {
	p := Plan{Standby: map[string]string{}}
	devices := map[string]*dataplane.Device{}
	gateways := map[string][]netip.Addr{}
	for _, e := range entries {
		if !e.Router.Enabled {
			continue
		}
		published, rejected := publish(e)
		p.Rejected = append(p.Rejected, rejected...)
		for _, at := range e.Router.External {
			if at.Namespace != name {
				continue
			}
			d := devices[at.Device]
			if d == nil {
				d = &dataplane.Device{Name: at.Device, ProxyDelay: opts.ProxyDelay}
				devices[at.Device] = d
			}
			d.Published = append(d.Published, published...)
			d.Guarded = append(d.Guarded, guarded(e.Router)...)
			gateways[at.Device] = append(gateways[at.Device], at.Addrs...)
		}
	}
	p.State.Namespace = name
	for _, d := range devices {
		var why string
		d.LinkLocal, d.Answer, why = answers(d.Name, gateways[d.Name], interfaces)
		if !d.Answer {
			p.Standby[d.Name] = why
		}
		p.State.Devices = append(p.State.Devices, *d)
	}
	p.State.Normalize()
	return p
}

// guarded are the internal subnets that may be reached from outside at all:
// those of the gateway's address scope. The L3 agent's own rules keep the
// others closed.
func guarded(r inventory.Router) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range r.Subnets {
		if s.Scope == r.Scope {
			out = append(out, s.Prefix.Masked())
		}
	}
	return out
}

// publish sorts a router's proxies into those to publish and those to refuse.
// The server checks the same things, but what a message says is not trusted
// with the dataplane: the kernel accepts any nonsense as a proxied address.
func publish(e inventory.Entry) (published []netip.Addr, rejected []Rejection) {
	for _, proxy := range e.Proxies {
		if why := refuse(e.Router, proxy.Addr); why != "" {
			rejected = append(rejected, Rejection{proxy, why})
			continue
		}
		published = append(published, proxy.Addr)
	}
	return published, rejected
}

func refuse(r inventory.Router, a netip.Addr) string {
	switch {
	case !a.Is6() || a.Is4In6():
		return "not an IPv6 address"
	case a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast():
		return "not a global unicast address"
	}
	for _, at := range r.External {
		if slices.Contains(at.Addrs, a) {
			return "the router's own gateway address"
		}
	}
	other := ""
	for _, s := range r.Subnets {
		if !s.Prefix.Contains(a) {
			continue
		}
		if slices.Contains(s.RouterAddrs, a) {
			return "the router's own address in " + s.Prefix.String()
		}
		if s.Scope == r.Scope {
			return ""
		}
		other = s.Prefix.String()
	}
	if other != "" {
		return "its subnet " + other + " has another address scope than the gateway"
	}
	return "outside every internal subnet of the router"
}

// answers decides law 5 for one device.
func answers(device string, gateway []netip.Addr, interfaces []dataplane.Interface) (linkLocal netip.Addr, answer bool, why string) {
	i := slices.IndexFunc(interfaces, func(i dataplane.Interface) bool { return i.Name == device })
	if i < 0 {
		return netip.Addr{}, false, "device " + device + " does not exist"
	}
	iface := interfaces[i]
	linkLocal = iface.LinkLocal()
	switch {
	case !iface.IPv6:
		return linkLocal, false, "device " + device + " has no IPv6 (disabled, or an MTU below 1280)"
	case !iface.Up:
		return linkLocal, false, "device " + device + " is down"
	case !iface.Forwarding:
		return linkLocal, false, "IPv6 forwarding is off on " + device
	}
	answer, why = holds(iface, gateway)
	return linkLocal, answer, why
}

// holds reports whether the device holds one of the gateway's addresses. One
// that is being checked for duplicates again does not stop a device that
// answers already, nor start one that does not: no flapping.
func holds(iface dataplane.Interface, gateway []netip.Addr) (bool, string) {
	if len(gateway) == 0 {
		if iface.LinkLocal().IsValid() {
			return true, ""
		}
		return false, fmt.Sprintf("device %s has no usable link-local address", iface.Name)
	}
	tentative := false
	for _, a := range gateway {
		if iface.Holds(a) {
			return true, ""
		}
		tentative = tentative || isTentative(iface, a)
	}
	if tentative {
		return iface.ProxyNDP, fmt.Sprintf("gateway address on %s is tentative", iface.Name)
	}
	return false, fmt.Sprintf("device %s does not hold the gateway's address", iface.Name)
}

func isTentative(iface dataplane.Interface, a netip.Addr) bool {
	return slices.ContainsFunc(iface.Addrs, func(x dataplane.InterfaceAddr) bool {
		return x.Prefix.Addr() == a && x.Tentative && !x.DADFailed
	})
}
