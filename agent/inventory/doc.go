// Package inventory holds what this host should publish: its routers, where
// they meet an external network, their internal subnets, and the addresses
// that NDP proxies publish through them.
//
// It is memory and nothing else: no kernel, no broker. Sources write it, the
// planner reads one namespace at a time, and every change says which
// namespaces have to be looked at again.
package inventory
