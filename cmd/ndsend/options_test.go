package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

func TestParse(t *testing.T) {
	defaults := options{addresses: []string{"2001:db8::5"}, device: "qg-1", count: 1, interval: time.Second, rate: 500}
	with := func(change func(*options)) options {
		o := defaults
		change(&o)
		return o
	}
	for _, c := range []struct {
		line string
		want options
	}{
		{"2001:db8::5 qg-1", defaults},
		{"--json qg-1", with(func(o *options) { o.addresses = []string{"--json"} })},
		{"2001:db8::5 --json", with(func(o *options) { o.device = "--json" })},
		{"- qg-1", with(func(o *options) { o.addresses = []string{"-"} })},
		{"2001:db8::5 2001:db8::6 qg-1", with(func(o *options) { o.addresses = []string{"2001:db8::5", "2001:db8::6"} })},
		{"2001:db8::5 - --json qg-1", with(func(o *options) { o.addresses, o.json = []string{"2001:db8::5", "-"}, true })},
		{"-- --json 2001:db8::5 qg-1", with(func(o *options) { o.addresses = []string{"--json", "2001:db8::5"} })},
		{"-n blue 2001:db8::5 qg-1", with(func(o *options) { o.netns = "blue" })},
		{"--netns=/proc/1/ns/net 2001:db8::5 qg-1", with(func(o *options) { o.netns = "/proc/1/ns/net" })},
		{"-c3 -i 0.5 2001:db8::5 qg-1", with(func(o *options) { o.count, o.interval = 3, 500*time.Millisecond })},
		{"--count 2 --interval 250ms 2001:db8::5 qg-1", with(func(o *options) { o.count, o.interval = 2, 250*time.Millisecond })},
		{"--rate 0 2001:db8::5 qg-1", with(func(o *options) { o.rate = 0 })},
		{"--rate 0.5 2001:db8::5 qg-1", with(func(o *options) { o.rate = 0.5 })},
		{"--source 2001:db8::1 2001:db8::5 qg-1", with(func(o *options) { o.source = netip.MustParseAddr("2001:db8::1") })},
		{"--flags override 2001:db8::5 qg-1", defaults},
		{"--flags router 2001:db8::5 qg-1", with(func(o *options) { o.flags = ndsend.Flags{Router: true, NoOverride: true} })},
		{"--flags override,r 2001:db8::5 qg-1", with(func(o *options) { o.flags.Router = true })},
		{"-f or 2001:db8::5 qg-1", with(func(o *options) { o.flags.Router = true })},
		{"--flags none 2001:db8::5 qg-1", with(func(o *options) { o.flags.NoOverride = true })},
		{"--dry-run --count 3 --rate 10 2001:db8::5 qg-1", with(func(o *options) { o.dryRun, o.count, o.rate = true, 3, 10 })},
		{"2001:db8::5 qg-1 --verify", with(func(o *options) { o.verifies = true })},
		{"--help 2001:db8::5 qg-1", options{show: showHelp, count: 1, interval: time.Second, rate: 500}},
		{"-h", options{show: showHelp, count: 1, interval: time.Second, rate: 500}},
		{"--version", options{show: showVersion, count: 1, interval: time.Second, rate: 500}},
		{"2001:db8::5", options{show: showUsage, count: 1, interval: time.Second, rate: 500}},
	} {
		t.Run(c.line, func(t *testing.T) {
			got, err := parse(strings.Fields(c.line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got, cmp.AllowUnexported(options{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

// Each refusal is one line that says why.
func TestParseRefuses(t *testing.T) {
	const rest = " 2001:db8::5 qg-1"
	for _, c := range []struct{ line, want string }{
		{"--what", "unknown flag: --what"},
		{"-x" + rest, "unknown shorthand flag: 'x' in -x"},
		{"--json --dry-run 2001:db8::5", "an address and an interface are needed"},
		{"--netns" + "", "flag needs an argument: --netns"},
		{"--netns= 2001:db8::5 qg-1", "--netns needs a name or a path"},
		{"--count 0" + rest, `invalid argument "0" for "-c, --count" flag: not a number from 1 to 10000`},
		{"--count x" + rest, `invalid argument "x" for "-c, --count" flag: not a number from 1 to 10000`},
		{"--interval 1" + rest, "--interval is the time between copies: it needs --count 2 or more"},
		{"-c2 --interval 0" + rest, `invalid argument "0" for "-i, --interval" flag: not seconds, nor a time such as 500ms, above 0 and up to 24h`},
		{"-c2 --interval 1m1" + rest, `invalid argument "1m1" for "-i, --interval" flag: not seconds, nor a time such as 500ms, above 0 and up to 24h`},
		{"-c2 --interval -1" + rest, `invalid argument "-1" for "-i, --interval" flag: not seconds, nor a time such as 500ms, above 0 and up to 24h`},
		{"-c2 --interval NaN" + rest, `invalid argument "NaN" for "-i, --interval" flag: not seconds, nor a time such as 500ms, above 0 and up to 24h`},
		{"-c2 --interval 1e99" + rest, `invalid argument "1e99" for "-i, --interval" flag: not seconds, nor a time such as 500ms, above 0 and up to 24h`},
		{"--rate -1" + rest, `invalid argument "-1" for "-r, --rate" flag: not a number of addresses a second, nor 0 for no limit`},
		{"--rate nan" + rest, `invalid argument "nan" for "-r, --rate" flag: not a number of addresses a second, nor 0 for no limit`},
		{"--source ff02::1" + rest, `invalid argument "ff02::1" for "-s, --source" flag: "ff02::1": not an IPv6 unicast address: it is a multicast address`},
		{"--flags solicited" + rest, `invalid argument "solicited" for "-f, --flags" flag: an advertisement to all nodes with Solicited set is dropped by its receivers (RFC 4861 section 7.1.2)`},
		{"--flags os" + rest, `invalid argument "os" for "-f, --flags" flag: an advertisement to all nodes with Solicited set is dropped by its receivers (RFC 4861 section 7.1.2)`},
		{"--flags x" + rest, `invalid argument "x" for "-f, --flags" flag: not a list of override (o) and router (r), nor none`},
		{"--flags o," + rest, `invalid argument "o," for "-f, --flags" flag: not a list of override (o) and router (r), nor none`},
		{"--dry-run --verify" + rest, "--dry-run and --verify exclude each other: neither sends, and each tells something else"},
		{"--verify --count 2" + rest, "--count tells how to send, and --verify sends nothing"},
		{"--verify -r 2" + rest, "--rate tells how to send, and --verify sends nothing"},
		{"--verify -s 2001:db8::1" + rest, "--source tells how to send, and --verify sends nothing"},
		{"--verify -f none" + rest, "--flags tells how to send, and --verify sends nothing"},
		{"- - qg-1", "standard input can be read once: give - once"},
	} {
		t.Run(c.line, func(t *testing.T) {
			if _, err := parse(strings.Fields(c.line)); err == nil || err.Error() != c.want {
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
}
