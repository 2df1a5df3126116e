// Package filter keeps one nftables table of ours in a namespace (family ip6):
//
//	table ip6 neutron_ndp_proxy {
//	  set record { type ifname }                # what we wrote: one comment a device
//	  set published-<device> { type ipv6_addr }
//	  set guarded-<device> { type ipv6_addr; flags interval }
//	  chain forward {     type filter hook forward priority -5; policy accept
//	    iifname <device> rt ip6 nexthop != @guarded-… rt ip6 nexthop & ffc0:: != fe80::
//	      oifname != @record ip6 daddr != @published-… counter drop
//	    iifname <device> ip6 daddr @guarded-… ip6 daddr != @published-… counter drop
//	  }
//	  chain prerouting {  type filter hook prerouting priority raw; policy accept
//	    iifname <device> ip6 nexthdr icmpv6 ip6 hoplimit 255 icmpv6 type nd-neighbor-solicit
//	      ip6 daddr @published-… ip6 daddr set <link-local> counter
//	  }
//	  chain output {      type filter hook output priority -5; policy accept
//	    oifname <device> meta l4proto icmpv6 ip6 saddr :: icmpv6 type 131-132 counter drop   # and 143
//	  }
//	}
//
// The first two rules drop what comes from outside for an internal address that
// nobody published: the first where the network itself is not known (it is not
// guarded, and no route leads through a network that is), the second in those
// that are. A device that is open has no first one. Neighbour discovery is never forwarded, so it cannot match.
// The third hands a unicast solicitation for a published address to the
// device itself, where the kernel's proxy table answers it: without it only
// conf.all.proxy_ndp would, at the price of a table walk per forwarded packet.
//
// The last ones are for the backup of a highly available router: it has the
// primary's link-layer address, and must not draw the switches' attention by the
// multicast listener reports that its proxy entries cause.
//
// A drop is final whatever other tables say, an accept here overrides nobody,
// so the table stands beside Neutron's own.
//
// Every change is one transaction. Large sets are not compared by dumping them
// (that is quadratic in the kernel): each device's element of the record set
// carries a record of what was written, a count and a hash, changed in the same
// transaction. It also keeps the device's original proxy_delay, so that a later
// process can put it back.
package filter
