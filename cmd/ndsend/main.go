// One goroutine that ends within two milliseconds needs neither the control
// group's limit of processors nor a goroutine and a thread that follow its
// changes: a twentieth of the command's time.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command ndsend announces IPv6 addresses on a link with unsolicited Neighbor
// Advertisements. With two arguments it is vzctl's program of that name, exit
// codes included, so that scripts and Neutron's L3 agent can call this one.
// docs/man/ndsend.8 is its manual.
package main

import (
	"context"
	"os"

	"neutron-ndp-proxy-agent/ndsend"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:],
		streams{os.Stdin, os.Stdout, os.Stderr},
		system{enterNamespace, ndsend.Burst, ndsend.Preview, ndsend.Verify}))
}
