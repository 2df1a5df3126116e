// Package neutron is the source that listens to Neutron: it turns what the
// server says of this host's routers and their NDP proxies into inventory
// changes.
//
// A pushed NDPProxy object is applied at once from its payload. Everything
// else is a reason to ask: a message about a router asks for that router, a
// new subscription asks for everything, and a periodic audit asks for the
// proxies of all local routers in one call and for a share of the routers in
// another, because some changes are told to nobody (a port that is deleted
// takes its proxies along in the database).
package neutron
