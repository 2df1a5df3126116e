// Package rtnl asks the kernel about interfaces, addresses and neighbours over
// rtnetlink(7), one question at a time. It only reads.
//
// It is our own because the command ndsend runs for a millisecond: the packages
// that a netlink library brings along cost it more time than all its questions.
// And none of the libraries can ask for a single proxy entry.
package rtnl
