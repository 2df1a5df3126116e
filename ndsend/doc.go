// Package ndsend announces IPv6 addresses on a link: it builds unsolicited
// Neighbor Advertisements (RFC 4861 section 7.2.6) and sends them from a
// device of any network namespace.
//
// An advertisement tells the neighbours to deliver the packets for an address
// to this device, now. It carries Override, because a Linux neighbour with an
// entry for the old place ignores the new link-layer address otherwise and
// keeps sending into the void for eight seconds or for ever; Solicited is
// clear, as it must be for multicast; Router is clear by default, because the
// flag describes the announced address, which belongs to an instance and not
// to a router.
//
// [Advertisement] is the message alone. [Sender] is a socket in one namespace
// for one burst: it reads index, link-layer address and link-local address
// anew at each Send, and it refuses to send where an advertisement would be
// lost, which the kernel does not always say. [Burst] is open, send and close in one. [Preview]
// shows what would leave, and [Verify] tells whether the kernel would answer for
// an address. The engine that keeps an announcement owed until it could leave is
// in package announcer.
//
// The package knows neither Neutron nor who makes the proxy entries.
package ndsend
