// Package rpc is the room that knows the message bus. It has three floors, each
// of which knows only the one below:
//
//   - [neutron-ndp-proxy-agent/rpc/amqp]: one supervised AMQP 0-9-1 connection
//     to RabbitMQ: dial, fail over, reconnect, bounded calls, subscriptions.
//   - [neutron-ndp-proxy-agent/rpc/oslo]: the oslo.messaging 2.0 envelope:
//     calls with correlated replies, casts, remote errors, duplicates.
//   - [neutron-ndp-proxy-agent/rpc/neutron]: Neutron as typed Go: routers,
//     NDP proxies, state reports, and notifications as a stream of events.
//
// Nothing here knows the kernel. The formats are those that were captured on a
// real control plane; the captures are the golden data of the tests
// (neutron/testdata/wire).
package rpc
