// Package rtnl asks the kernel about interfaces, addresses and neighbours over
// rtnetlink(7), one question at a time. It only reads.
//
// It uses the library's sockets and requests and asks its own questions: about
// one interface without its counters, and for its addresses alone, where the
// library asks for all there are. The command ndsend runs for a millisecond, of
// which these were a good part. And the library cannot ask for a single proxy
// entry.
package rtnl
