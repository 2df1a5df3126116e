// Package sysctl reads and writes the few per-device settings that decide
// whether and how fast the kernel answers for proxied neighbours.
//
// Reading takes two dumps for all devices of a namespace: RTM_GETNETCONF for
// forwarding and proxy_ndp, RTM_GETNEIGHTBL for proxy_delay. proxy_delay is
// written by netlink as well, in milliseconds; /proc/sys rounds it down to its
// own clock and may read back less than was written. proxy_ndp can only be
// written through /proc/sys/net.
//
// Nothing here writes conf.all: conf.all.proxy_ndp makes every forwarded
// packet walk the proxy table.
package sysctl
