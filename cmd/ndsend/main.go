// Command ndsend announces an IPv6 address on a link with one unsolicited
// Neighbor Advertisement. Arguments and exit codes are those of vzctl's program
// of that name, so that scripts and Neutron's L3 agent can call this one.
// docs/man/ndsend.8 is its manual.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr, send))
}
