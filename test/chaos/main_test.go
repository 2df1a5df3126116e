//go:build rabbitmq

package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	budget = flag.Duration("chaos.budget", 30*time.Second, "of TestMixed")
	race   = flag.Bool("chaos.race", true, "build the daemon with the race detector, which takes memory that it does not give back")
	seed   = flag.Uint64("chaos.seed", 0, "of TestMixed; 0: a random one, which is printed")
	only   = flag.String("chaos.only", "", "a `pattern`: TestMixed takes the faults whose names match; those that end the daemon all the time")

	program string // the daemon
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// These tests wait most of the time, not for a processor.
	if err := flag.Set("test.parallel", "5"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "chaos: needs root: makes network namespaces")
		return 1
	}
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program, err = build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
