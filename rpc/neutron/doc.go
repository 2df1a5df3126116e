// Package neutron is Neutron as typed Go, seen from an agent's host: calls to
// neutron-server ([Client.RouterIDs], [Client.Routers], [Client.NDPProxies],
// [Client.Ports], [Client.L3Agents], [Client.ReportState]) and what the server
// tells agents, as a stream of [Event].
//
// # A tap, never a thief
//
// The client listens beside the real L3 agent. It consumes one queue of its
// own, neutron-ndp-proxy-agent.<host>, bound to what the L3 agent's queues are
// bound to, so that both get every message. The queue has a stable name and
// x-expires, and is neither exclusive nor auto-delete: the fanout exchanges
// are auto-delete, and the server loses its next push when the last queue on
// one goes. Exchanges are used as they exist. What arrives as a call
// (router_added_to_agent) is never answered: its answer is the L3 agent's.
//
// Ports are pushed at versions that differ from release to release, and all
// ports of the cloud are. Where somebody here wants ports (Config.WantPort), our
// queue is bound to those of their exchanges that exist; none is ever declared,
// and no version is reported to the server, so that it pushes no more than it
// would without us. What a push is about is looked up in its raw text first.
//
// # Strict about what is used, tolerant of the rest
//
// Unknown keys, unknown methods and nulls are ignored; a field that decides
// something must be right. One object that is not is reported by its id
// ([Malformed], [Garbled]) and takes nothing else with it.
//
// The captured messages in testdata/wire are the reference; their README gives
// topics, methods and versions.
package neutron
