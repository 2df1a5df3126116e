// Package watch says which namespaces to look at again.
//
// It follows two things: the directory of named namespaces, where namespaces
// appear, vanish and are made again under their old names; and, inside every
// namespace that the caller follows, changes of links, addresses and the IPv6
// settings of devices, IPv6 itself switched on or off, and the loss of routes
// and rules that are ours.
//
// An event is a name and a hint, never a fact to act on: events are merged,
// may come without cause, and when some were lost one event says "look". What
// the kernel sends no event for (proxy neighbours, nftables) is not seen here.
package watch
