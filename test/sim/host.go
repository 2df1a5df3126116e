package sim

import (
	"fmt"

	"neutron-ndp-proxy-agent/test/nettest"
)

// Host is a machine with an L3 agent and our daemon.
type Host struct {
	Name string
	// Mode is the L3 agent's agent_mode.
	Mode string
	// Lab holds the host's namespaces: its /run/netns.
	Lab *nettest.Lab

	w      *World
	n      int
	l3     *l3agent
	daemon *Daemon
	// outside is the daemon that is a process of its own.
	outside *Outside
	debts   string // what its runs remember of what they owe
}

// AddHost makes a host; its daemon does not run yet.
func (w *World) AddHost(name, mode string) *Host {
	w.t.Helper()
	h := &Host{Name: name, Mode: mode, Lab: nettest.New(w.t), w: w, n: len(w.Hosts) + 1, debts: w.t.TempDir()}
	h.l3 = &l3agent{h: h, have: map[string]*space{}}
	w.cloud.mu.Lock()
	defer w.cloud.mu.Unlock()
	w.Hosts = append(w.Hosts, h)
	return h
}

// Namespace returns one of the namespaces that the L3 agent made.
func (h *Host) Namespace(name string) *nettest.Namespace {
	h.w.t.Helper()
	s := h.l3.have[name]
	if s == nil {
		h.w.t.Fatalf("%s has no namespace %s", h.Name, name)
	}
	return s.ns
}

// Has reports whether the L3 agent made a namespace.
func (h *Host) Has(name string) bool { return h.l3.have[name] != nil }

// DeleteNamespace deletes one behind the L3 agent's back; Rebuild makes it again.
func (h *Host) DeleteNamespace(name string) {
	h.w.t.Helper()
	h.l3.remove(name)
}

// DeleteDevice deletes one behind the L3 agent's back; Rebuild makes it again.
func (h *Host) DeleteDevice(ns, device string) {
	h.w.t.Helper()
	h.Namespace(ns).Batch("link del " + device)
	h.l3.forgetDevice(ns, device)
}

// Rebuild lets the L3 agent make what is missing.
func (h *Host) Rebuild() {
	h.w.t.Helper()
	h.l3.sync()
}

// BuildHalf lets the L3 agent make the namespaces and devices that are missing, and
// stops it before it has given them addresses and routes; Rebuild does the rest.
func (h *Host) BuildHalf() {
	h.w.t.Helper()
	h.l3.halfway = true
	h.l3.sync()
	h.l3.halfway = false
}

// Refresh puts back addresses and routes that the kernel or a hand removed from
// a device, as the L3 agent does when it works on the router.
func (h *Host) Refresh(ns string) {
	h.w.t.Helper()
	s := h.l3.have[ns]
	for name := range s.devices {
		d := s.devices[name]
		d.addrs = nil
		s.devices[name] = d
	}
	s.routes = nil
	h.l3.sync()
}

func (h *Host) String() string { return fmt.Sprintf("%s (%s)", h.Name, h.Mode) }

// Target is an external device that the L3 agent made.
type Target struct {
	Host              *Host
	Namespace, Device string
	Router            *Router
}

// Targets are the external devices there are now, on all hosts.
func (w *World) Targets() (out []Target) {
	for _, h := range w.Hosts {
		for _, r := range w.Routers {
			if r.Gateway == nil {
				continue
			}
			for _, t := range []Target{
				{h, r.qrouter(), r.Gateway.qg(), r}, {h, r.snat(), r.Gateway.qg(), r}, {h, r.Gateway.Net.fip(), r.FG(h), r},
			} {
				if s := h.l3.have[t.Namespace]; s != nil {
					if _, there := s.devices[t.Device]; there {
						out = append(out, t)
					}
				}
			}
		}
	}
	return out
}

// Attached reports whether a router has an interface on a network, Network is
// that of an instance.
func (r *Router) Attached(in *Internal) bool { return r.attached(in) }

// Network is the one that the instance's port is on.
func (vm *Instance) Network() *Internal { return vm.net }

// Distributed reports whether a network is for distributed routers.
func (in *Internal) Distributed() bool { return in.split }
