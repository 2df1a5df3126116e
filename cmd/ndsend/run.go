package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	"neutron-ndp-proxy-agent/ndsend"
)

// Exit codes. All but exitNotAnswered are vzctl's.
const (
	exitDone        = 0
	exitUsage       = 1
	exitSystem      = 2
	exitNotAnswered = 3
	exitBadAddress  = 255
)

const usage = `Usage: ndsend <address> <interface>
       ndsend [options] <address>... <interface>
Announce each IPv6 <address> on the link of <interface> with an unsolicited
Neighbor Advertisement. An <address> that is - stands for standard input: one
or more a line, and comments after #.

  -n, --netns NAME      in this network namespace (as ip netns, or a path)
  -c, --count N         copies of each (1)
  -i, --interval TIME   between copies: seconds, or with a unit: 500ms (1)
  -r, --rate N          a second, after a burst of 100; 0 is no limit (500)
  -s, --source ADDRESS  leave from this address of the interface (link-local)
  -f, --flags LIST      override, router, override,router or none (override)
      --dry-run         send nothing; show what would leave
      --verify          send nothing; tell whether the kernel would answer for
                        each address, and what is missing
      --json            one JSON object a line for each address
  -h, --help            this help
      --version         version, commit and date of the build

Exit status: 0 done; 1 usage; 2 refused by the system; 3 with --verify, not
answered; 255 not an address that can be announced. Manual: ndsend(8).
`

// streams are standard input, output and error.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// system is what the command asks of its surroundings.
type system struct {
	// enter takes all that follows into a network namespace.
	enter   func(name string) error
	burst   func(context.Context, ndsend.Config, []netip.Addr) ([]netip.Addr, error)
	preview func(ndsend.Config, []netip.Addr) ([]ndsend.Outgoing, error)
	verify  func(ndsend.Config, []netip.Addr) ([]ndsend.Verification, error)
}

// run is the whole command. It prints nothing when all was announced.
func run(ctx context.Context, args []string, std streams, sys system) int {
	p := &printer{streams: std}
	opts, err := parse(args)
	switch {
	case err != nil:
		p.complain(fmt.Errorf("%w (ndsend --help)", err))
		return exitUsage
	case opts.show == showUsage:
		p.print(usage)
		return p.code(exitUsage)
	case opts.show == showHelp:
		p.print(usage)
		return p.code(exitDone)
	case opts.show == showVersion:
		p.print(fmt.Sprintf("ndsend %s\n", buildinfo.Get()))
		return p.code(exitDone)
	}
	items, err := collect(opts.addresses, std.in)
	if err != nil {
		p.complain(err)
		return exitSystem
	}
	if len(items) == 0 {
		p.complain(errNoAddress)
		return exitBadAddress
	}
	job := &job{ctx: ctx, system: sys, printer: p, options: opts, items: items}
	if opts.netns != "" {
		job.denied = sys.enter(opts.netns)
	}
	code := job.do()
	// Only now: whoever reads our words slowly, or no more, must not keep the
	// others from being announced.
	for _, i := range items {
		if i.err != nil {
			p.complain(i.err)
		}
	}
	return p.code(code)
}

// job is what the command was asked to do for the addresses.
type job struct {
	ctx context.Context
	system
	*printer
	*options
	items  []item
	denied error // by the namespace: nothing can be done for any address
}

func (j *job) config() ndsend.Config {
	return ndsend.Config{Interface: j.device, Flags: j.flags, Source: j.source}
}

func (j *job) do() int {
	switch {
	case j.verifies:
		return j.verifyAll()
	case j.dryRun:
		return j.previewAll()
	default:
		return j.announceAll()
	}
}

// result is the exit code of a job: what the system refused weighs more than
// what was no address, and both more than an answer that would not come.
func (j *job) result(refused, notAnswered bool) int {
	switch {
	case refused:
		return exitSystem
	case len(targets(j.items)) < len(j.items):
		return exitBadAddress
	case notAnswered:
		return exitNotAnswered
	default:
		return exitDone
	}
}
