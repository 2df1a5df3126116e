// Command gensample writes the sample configuration, the reference of the options
// and the manual page to the files it is given.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"neutron-ndp-proxy-agent/agent/config"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gensample <sample file> <reference> <manual page>")
		os.Exit(1)
	}
	for i, generate := range []func(io.Writer) error{config.GenerateSample, config.GenerateReference, config.GenerateManual} {
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
