// Package sim is a small cloud on the real kernel, in throw-away namespaces:
// hosts on which an imitation of the L3 agent makes what Neutron's makes
// (qrouter-, snat- and fip- namespaces with devices of the same names), external
// networks with an upstream router and a host behind it, instances, and a
// Neutron in memory that answers and tells, or fails to. On each host the real
// daemon runs, but for the broker: agent, source, dataplane and announcer,
// wired as in cmd.
//
//	w := sim.New(t)
//	h := w.AddHost("net1", sim.ModeLegacy)
//	ext, in := w.AddExternal(sim.ExternalOptions{}), w.AddInternal(sim.InternalOptions{})
//	r := w.AddRouter(sim.Legacy, h)
//	w.SetGateway(r, ext)
//	w.Attach(r, in)
//	vm := w.AddInstance(in, h)
//	h.StartDaemon()
//	w.Publish(r, vm)
//	w.Settle()
//	ext.Upstream.Reaches(vm.Addr, time.Second)
//
// Settle compares the kernel with an oracle, which computes from the model what
// each namespace must hold and reads it with ip(8) and nft(8). It shares no code
// with the planner that it judges.
package sim
