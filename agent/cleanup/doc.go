// Package cleanup removes what the daemon left in the kernel and in its runtime
// directory, without the daemon: everything with our marks, and nothing else
// ([decision 18]). It is the difference to a namespace in which nothing is wanted, which
// is also how the daemon itself removes leftovers.
//
// [decision 18]: ../../docs/decisions/0018-commands-that-change-something.md
package cleanup
