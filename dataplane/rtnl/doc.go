// Package rtnl is one rtnetlink socket inside one namespace, with what every
// user of such a socket needs and libraries leave out: a bound on the time of
// every request, dumps that start again when the kernel says that they were
// interrupted, and typed attributes.
package rtnl
