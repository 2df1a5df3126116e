// Package plan is the one place that decides what is published: a pure
// function from what Neutron says of one namespace, and which interfaces the
// kernel has there, to the state that the namespace should have.
//
// Law 5 (answer only where the gateway lives) and law 8 (nothing published by
// accident) of docs/architecture.md are decided here and nowhere else, and so
// is the way to and from the instances of a router in a shared namespace.
package plan
