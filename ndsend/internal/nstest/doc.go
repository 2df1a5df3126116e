// Package nstest gives the tests of ndsend links in network namespaces of
// their own, and eyes on what leaves there.
package nstest
