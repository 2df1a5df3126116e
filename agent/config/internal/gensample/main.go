// Command gensample writes the sample configuration and the reference of the
// options to the files it is given.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"neutron-ndp-proxy-agent/agent/config"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gensample <sample file> <reference>")
		os.Exit(1)
	}
	for i, generate := range []func(io.Writer) error{config.GenerateSample, config.GenerateReference} {
		var b bytes.Buffer
		err := generate(&b)
		if err == nil {
			err = os.WriteFile(os.Args[1+i], b.Bytes(), 0o644) //nolint:gosec // for everybody to read
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "gensample:", err)
			os.Exit(2)
		}
	}
}
