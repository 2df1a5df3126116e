// Package nettools looks at a network the way its neighbours do: it pings, keeps a UDP flow
// running, captures Neighbor Discovery, reads neighbour caches and dumps what a kernel was told,
// each in a named network namespace.
//
// It is for tests, and on purpose shares no code with the daemon: what the daemon wrote is read
// back with iproute2 and nft, what it sent is read from the wire.
package nettools
