// Package oslo speaks oslo.messaging's RPC over AMQP: the envelope 2.0, calls
// whose replies come to a queue of our own and are matched by _msg_id, casts,
// failures as [RemoteError], and suppression of repeated messages by
// _unique_id.
//
// What is on the wire was captured from oslo.messaging 14.0.3; see the README
// beside the captures (rpc/neutron/testdata/wire). The body of a message is a
// JSON object of two keys: oslo.version, and oslo.message, a string that holds
// the JSON of the message proper.
//
// This package never answers a call: the notifications that a bystander sees
// may be calls, and their answer is for the agent they are meant for.
package oslo
