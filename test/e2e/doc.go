// Package e2e shows the whole job on a real Neutron: every claim of issue "Step 1", from a call of
// Neutron's API to packets that do or do not arrive. The tests have the build tag lab and need root.
//
// They bring up a lab of their own (test/lab) and take it down again. With LAB_KEEP=1 they use the
// one in LAB_DIR and leave it running, which makes a single test a matter of seconds:
//
//	LAB_KEEP=1 go test -tags lab -v -run TestGuide ./test/e2e
package e2e
