// Command gensample writes the sample configuration to the file it is given.
package main

import (
	"bytes"
	"fmt"
	"os"

	"neutron-ndp-proxy-agent/agent/config"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gensample <file>")
		os.Exit(1)
	}
	var b bytes.Buffer
	err := config.GenerateSample(&b)
	if err == nil {
		err = os.WriteFile(os.Args[1], b.Bytes(), 0o644) //nolint:gosec // a sample is for everybody to read
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gensample:", err)
		os.Exit(2)
	}
}
