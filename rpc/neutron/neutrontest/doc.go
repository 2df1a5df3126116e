// Package neutrontest plays the other side of rpc/neutron on a real broker: a
// stand-in for neutron-server ([Server]), which answers an agent's calls from
// data in memory and sends notifications as the real one does, and one for the
// real L3 agent ([L3Agent]), which consumes and answers as that does and counts
// what it gets.
//
// Both are written on the AMQP library directly, not on rpc/amqp, so that they
// don't share its mistakes. They reconnect when the broker comes back. Messages
// have the shape of the captures in rpc/neutron/testdata/wire.
package neutrontest
