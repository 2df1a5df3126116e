// Package route lists, sets and deletes IPv6 routes (ip -6 route;
// net/ipv6/route.c and ip6_fib.c), each with the protocol that says who made
// it.
package route
