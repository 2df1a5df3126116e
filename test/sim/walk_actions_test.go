package sim_test

import (
	"fmt"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/test/sim"
)

// Hosts with agent_mode dvr_snat carry routers of every kind.
func walkModes() []string {
	return []string{sim.ModeDVRSNAT, sim.ModeDVRSNAT, sim.ModeDVR, sim.ModeDVRNoExternal}
}

func walkKinds() []sim.Kind { return []sim.Kind{sim.Legacy, sim.HA, sim.DVR, sim.DVR, sim.DVRHA} }

func walkNetworks() []sim.InternalOptions {
	return []sim.InternalOptions{{Scope: "a"}, {Scope: "a"}, {Scope: "b"},
		{Scope: "a", Distributed: true}, {Scope: "a", Distributed: true}, {Scope: "b", Distributed: true}}
}

// actions are what Neutron and operators do, and then what befalls a host.
func actions() []action {
	return append([]action{
		{"add router", 4, (*walker).addRouter},
		{"delete router", 2, (*walker).deleteRouter},
		{"enable", 4, (*walker).enable},
		{"admin state", 2, (*walker).adminState},
		{"gateway", 5, (*walker).gateway},
		{"attach", 5, (*walker).attach},
		{"detach", 2, (*walker).detach},
		{"publish", 12, (*walker).publish},
		{"unpublish", 5, (*walker).unpublish},
		{"port deleted", 3, (*walker).portDeleted},
		{"reschedule", 4, (*walker).reschedule},
		{"failover", 6, (*walker).failover},
		{"change kind", 2, (*walker).changeKind},
		{"move", 10, (*walker).move},
	}, damages()...)
}

func (k *walker) addRouter() string {
	if len(k.Routers) >= 4 {
		return ""
	}
	k.disturbs = true
	kind := pick(k.rng, walkKinds())
	r := k.AddRouter(kind, k.homes(kind)...)
	if k.rng.IntN(3) > 0 {
		k.SetGateway(r, pick(k.rng, k.Externals))
	}
	for _, in := range k.free(kind) {
		if k.rng.IntN(2) == 0 {
			k.Attach(r, in)
		}
	}
	return short(r)
}

func short(r *sim.Router) string { return string(r.Kind) + " " + r.ID[:8] }

// homes are hosts that may carry a router, or the centre of one.
func (k *walker) homes(kind sim.Kind) []*sim.Host {
	fit := slices.DeleteFunc(slices.Clone(k.Hosts), func(h *sim.Host) bool {
		if kind.Distributed() {
			return h.Mode != sim.ModeDVRSNAT
		}
		return h.Mode != sim.ModeLegacy && h.Mode != sim.ModeDVRSNAT
	})
	k.rng.Shuffle(len(fit), func(i, j int) { fit[i], fit[j] = fit[j], fit[i] })
	if kind.HighlyAvailable() {
		return fit
	}
	return fit[:1]
}

// free are the networks without a router.
func (k *walker) free(kind sim.Kind) []*sim.Internal {
	return slices.DeleteFunc(slices.Clone(k.Internals), func(in *sim.Internal) bool {
		return in.Distributed() != kind.Distributed() ||
			slices.ContainsFunc(k.Routers, func(r *sim.Router) bool { return r.Attached(in) })
	})
}

func (k *walker) router(want func(*sim.Router) bool) *sim.Router {
	fit := slices.DeleteFunc(slices.Clone(k.Routers), func(r *sim.Router) bool { return !want(r) })
	if len(fit) == 0 {
		return nil
	}
	return pick(k.rng, fit)
}

func anyRouter(*sim.Router) bool { return true }

func (k *walker) deleteRouter() string {
	r := k.router(anyRouter)
	if r == nil {
		return ""
	}
	k.disturbs = true
	for _, p := range k.Proxies(r) {
		if k.rng.IntN(2) == 0 {
			k.Unpublish(p)
		} else {
			k.Forget(p)
		}
	}
	k.DeleteRouter(r)
	return short(r)
}

func (k *walker) enable() string {
	r := k.router(anyRouter)
	if r == nil {
		return ""
	}
	k.Update(r, func() { r.Enabled = !r.Enabled })
	return fmt.Sprintf("%s %v", short(r), r.Enabled)
}

func (k *walker) adminState() string {
	r := k.router(anyRouter)
	if r == nil {
		return ""
	}
	k.disturbs = true
	k.Update(r, func() { r.Up = !r.Up })
	return fmt.Sprintf("%s %v", short(r), r.Up)
}

func (k *walker) gateway() string {
	r := k.router(anyRouter)
	if r == nil {
		return ""
	}
	k.disturbs = true
	if r.Gateway != nil && k.rng.IntN(4) == 0 {
		k.SetGateway(r, nil)
		return short(r) + " none"
	}
	e := pick(k.rng, k.Externals)
	k.SetGateway(r, e)
	return short(r) + " " + e.Upstream.Name
}

func (k *walker) attach() string {
	r := k.router(anyRouter)
	if r == nil {
		return ""
	}
	free := k.free(r.Kind)
	if len(free) == 0 {
		return ""
	}
	k.disturbs = true
	in := pick(k.rng, free)
	k.Attach(r, in)
	return short(r) + " " + in.Prefix.String()
}

func (k *walker) detach() string {
	r := k.router(func(r *sim.Router) bool { return len(r.Interfaces) > 0 })
	if r == nil {
		return ""
	}
	k.disturbs = true
	in := pick(k.rng, r.Interfaces).Net
	k.Detach(r, in)
	return short(r) + " " + in.Prefix.String()
}

func (k *walker) publish() string {
	r := k.router(func(r *sim.Router) bool { return len(r.Interfaces) > 0 })
	if r == nil {
		return ""
	}
	there := k.Proxies(r)
	fit := slices.DeleteFunc(slices.Clone(k.Instances), func(vm *sim.Instance) bool {
		// Now and then one outside of the router's subnets, which nobody may
		// publish.
		return slices.ContainsFunc(there, func(p *sim.Proxy) bool { return p.PortID == vm.PortID }) ||
			!r.Attached(vm.Network()) && k.rng.IntN(8) > 0
	})
	if len(fit) == 0 {
		return ""
	}
	vm := pick(k.rng, fit)
	k.Publish(r, vm)
	return short(r) + " " + vm.Addr.String()
}

func (k *walker) proxy() *sim.Proxy {
	var all []*sim.Proxy
	for _, r := range k.Routers {
		all = append(all, k.Proxies(r)...)
	}
	if len(all) == 0 {
		return nil
	}
	return pick(k.rng, all)
}

func (k *walker) unpublish() string {
	p := k.proxy()
	if p == nil {
		return ""
	}
	k.Unpublish(p)
	return short(p.Router) + " " + p.Addr.String()
}

// portDeleted is the deletion of a proxy that nobody is told of.
func (k *walker) portDeleted() string {
	p := k.proxy()
	if p == nil {
		return ""
	}
	k.Forget(p)
	k.needsAudit = true
	return short(p.Router) + " " + p.Addr.String()
}

func (k *walker) reschedule() string {
	r := k.router(anyRouter)
	if r == nil {
		return ""
	}
	k.disturbs = true
	homes := k.homes(r.Kind)
	k.Reschedule(r, homes...)
	return short(r) + " " + homes[0].Name
}

func (k *walker) failover() string {
	r := k.router(func(r *sim.Router) bool { return r.Kind.HighlyAvailable() })
	if r == nil {
		return ""
	}
	k.disturbs = true
	to := pick(k.rng, append(slices.Clone(r.Hosts), nil))
	k.Failover(r, to)
	if to == nil {
		return short(r) + " nobody"
	}
	return short(r) + " " + to.Name
}

// move is a live migration.
func (k *walker) move() string {
	fit := slices.DeleteFunc(slices.Clone(k.Instances), func(vm *sim.Instance) bool { return !vm.Network().Distributed() })
	vm, to := pick(k.rng, fit), pick(k.rng, k.Hosts)
	if vm.Host == to {
		return ""
	}
	k.disturbs = true
	k.Move(vm, to)
	return vm.Addr.String() + " to " + to.String()
}

// changeKind is what an operator does with the router administratively down.
func (k *walker) changeKind() string {
	r := k.router(func(r *sim.Router) bool { return !r.Kind.Distributed() })
	if r == nil {
		return ""
	}
	k.disturbs = true
	up := r.Up
	k.Update(r, func() { r.Up = false })
	kind := sim.HA
	if r.Kind == sim.HA {
		kind = sim.Legacy
	}
	homes := k.homes(kind)
	k.Reschedule(r) // off all hosts
	k.Update(r, func() { r.Kind = kind })
	k.Reschedule(r, homes...)
	k.Update(r, func() { r.Up = up })
	return short(r)
}

func pause(d time.Duration) { time.Sleep(d) }
