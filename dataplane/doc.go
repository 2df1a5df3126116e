// Package dataplane makes one network namespace look the way it should: it
// observes, compares, writes only the difference, and watches for change.
//
// It knows devices, addresses, proxy neighbours, sysctls, routes, rules and one
// nftables table, and nothing of Neutron. What a namespace should look like is a
// [State], a plain value with a stable text form; where it comes from is the
// caller's business.
//
// The kernel is the only memory: everything this package writes carries a mark
// (the protocol of neighbours, routes and rules, the table's name), so that any later run tells its
// own entries from somebody else's and continues where the last one stopped.
package dataplane
