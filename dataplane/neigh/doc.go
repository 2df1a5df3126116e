// Package neigh lists, sets and deletes IPv6 proxy neighbours: the targets for
// which the kernel answers solicitations on a device (ip -6 neigh show proxy;
// net/core/neighbour.c, pneigh).
//
// It speaks rtnetlink itself because vishvananda/netlink v1.3.1 neither knows
// NDA_PROTOCOL, our mark, nor lists proxy entries that carry further flags.
package neigh
