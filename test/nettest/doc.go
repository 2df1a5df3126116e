// Package nettest makes throw-away network namespaces for tests: bound into a
// directory of their own (never /run/netns), joined by veth pairs, looked into
// with the usual tools and with packets of our own.
//
//	lab := nettest.New(t)
//	router := lab.Namespace("router")
//	upstream := lab.Namespace("upstream")
//	lab.Veth(upstream, "eth0", router, "qg-1")
//	router.IP("address", "add", "2001:db8::1/64", "dev", "qg-1", "nodad")
//
// Everything goes when the test ends, also when it fails; what a killed test
// process left behind goes with the next one's start. Tests that are not run
// by root are skipped.
package nettest
