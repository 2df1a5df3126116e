package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"neutron-ndp-proxy-agent/ndsend"
)

const (
	defaultCount = 1
	maxCount     = 10000
	// RetransTimer, the least between two advertisements of one address (RFC
	// 4861 sections 7.2.6 and 10).
	defaultInterval = time.Second
	maxInterval     = 24 * time.Hour
	// The daemon's own pace: what an upstream's control plane takes.
	defaultRate = 500
)

// show is what the command prints instead of working.
type show int

const (
	showNothing show = iota
	showUsage        // for lack of arguments
	showHelp
	showVersion
)

// options are the command line.
type options struct {
	show      show
	addresses []string
	device    string
	netns     string
	count     int
	interval  time.Duration
	rate      float64 // a second; zero is no limit
	flags     ndsend.Flags
	source    netip.Addr
	dryRun    bool
	verifies  bool
	json      bool
}

// parse reads the command line. Every error is one of usage.
func parse(args []string) (*options, error) {
	o := &options{count: defaultCount, interval: defaultInterval, rate: defaultRate}
	// With two arguments nothing is an option: vzctl's program knows none, and
	// neither argument can begin with a dash and be of use.
	if len(args) == 2 {
		o.addresses, o.device = args[:1], args[1]
		return o, nil
	}
	set := o.flagSet()
	if err := set.Parse(args); err != nil {
		return o, err
	}
	switch rest := set.Args(); {
	case o.show != showNothing:
		return o, nil
	case len(rest) >= 2:
		o.addresses, o.device = rest[:len(rest)-1], rest[len(rest)-1]
	case set.NFlag() == 0:
		o.show = showUsage
		return o, nil
	default:
		return o, errors.New("an address and an interface are needed")
	}
	return o, o.check(set.Changed)
}

func (o *options) flagSet() *pflag.FlagSet {
	set := pflag.NewFlagSet("ndsend", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	// What each is for is in the usage text.
	set.BoolFuncP("help", "h", "", func(string) error { o.show = showHelp; return nil })
	set.BoolFunc("version", "", func(string) error { o.show = max(o.show, showVersion); return nil })
	set.StringVarP(&o.netns, "netns", "n", "", "")
	set.FuncP("count", "c", "", func(s string) (err error) { o.count, err = parseCount(s); return err })
	set.FuncP("interval", "i", "", func(s string) (err error) { o.interval, err = parseInterval(s); return err })
	set.FuncP("rate", "r", "", func(s string) (err error) { o.rate, err = parseRate(s); return err })
	set.FuncP("source", "s", "", func(s string) (err error) { o.source, err = ndsend.ParseTarget(s); return err })
	set.FuncP("flags", "f", "", func(s string) (err error) { o.flags, err = parseFlags(s); return err })
	set.BoolVar(&o.dryRun, "dry-run", false, "")
	set.BoolVar(&o.verifies, "verify", false, "")
	set.BoolVar(&o.json, "json", false, "")
	return set
}

// check refuses combinations that make no sense.
func (o *options) check(given func(string) bool) error {
	if o.verifies {
		if o.dryRun {
			return errors.New("--dry-run and --verify exclude each other: neither sends, and each tells something else")
		}
		for _, name := range []string{"count", "interval", "rate", "source", "flags"} {
			if given(name) {
				return fmt.Errorf("--%s tells how to send, and --verify sends nothing", name)
			}
		}
	}
	if given("interval") && o.count == 1 {
		return errors.New("--interval is the time between copies: it needs --count 2 or more")
	}
	if given("netns") && o.netns == "" {
		return errors.New("--netns needs a name or a path")
	}
	first := slices.Index(o.addresses, stdinMark)
	if first >= 0 && slices.Contains(o.addresses[first+1:], stdinMark) {
		return errors.New("standard input can be read once: give - once")
	}
	return nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCount {
		return 0, fmt.Errorf("not a number from 1 to %d", maxCount)
	}
	return n, nil
}

// parseInterval reads seconds, or a number with a unit.
func parseInterval(text string) (time.Duration, error) {
	if strings.Trim(text, "0123456789.") == "" {
		// Seconds go through the duration's parser too, so that both are as
		// exact and no number overflows.
		text += "s"
	}
	interval, err := time.ParseDuration(text)
	if err != nil || interval <= 0 || interval > maxInterval {
		return 0, errors.New("not seconds, nor a time such as 500ms, above 0 and up to 24h")
	}
	return interval, nil
}

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(rate) || math.IsInf(rate, 0) || rate < 0 {
		return 0, errors.New("not a number of addresses a second, nor 0 for no limit")
	}
	return rate, nil
}

// parseFlags reads names or letters, apart by commas; letters need none.
func parseFlags(text string) (ndsend.Flags, error) {
	flags := ndsend.Flags{NoOverride: true}
	if text == "none" {
		return flags, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		switch name {
		case "override":
			name = "o"
		case "router":
			name = "r"
		case "solicited":
			name = "s"
		case "":
			name = "?"
		}
		for _, letter := range name {
			switch letter {
			case 'o':
				flags.NoOverride = false
			case 'r':
				flags.Router = true
			case 's':
				return flags, errors.New("an advertisement to all nodes with Solicited set is dropped by its receivers (RFC 4861 section 7.1.2)")
			default:
				return flags, errors.New("not a list of override (o) and router (r), nor none")
			}
		}
	}
	return flags, nil
}
