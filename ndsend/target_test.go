package ndsend

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // the canonical address, or what the error says
		bad  bool
	}{
		{text: "2001:db8::5", want: "2001:db8::5"},
		{text: "2001:DB8:0:0:0:0:0:5", want: "2001:db8::5"},
		{text: "2001:db8::192.0.2.1", want: "2001:db8::c000:201"},
		{text: "fe80::1", want: "fe80::1"},
		{text: "fd00::1", want: "fd00::1"},
		{text: "", want: `""`, bad: true},
		{text: "host", want: `"host"`, bad: true},
		{text: "2001:db8::5/64", want: `"2001:db8::5/64"`, bad: true},
		{text: "[2001:db8::5]", want: `"[2001:db8::5]"`, bad: true},
		{text: " 2001:db8::5", want: "not an IPv6", bad: true},
		{text: "192.0.2.1", want: "an IPv4 address", bad: true},
		{text: "::ffff:192.0.2.1", want: "an IPv4-mapped address", bad: true},
		{text: "::", want: "the unspecified address", bad: true},
		{text: "::1", want: "the loopback address", bad: true},
		{text: "ff02::1", want: "a multicast address", bad: true},
		{text: "fe80::1%eth0", want: "an address with a zone", bad: true},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := ParseTarget(c.text)
			switch {
			case c.bad && !errors.Is(err, ErrBadTarget):
				t.Errorf("error %v, want %v", err, ErrBadTarget)
			case c.bad && !strings.Contains(err.Error(), c.want):
				t.Errorf("error %q does not say %q", err, c.want)
			case !c.bad && (err != nil || got.String() != c.want):
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestCheckTargetZeroValue(t *testing.T) {
	if err := CheckTarget(netip.Addr{}); !errors.Is(err, ErrBadTarget) {
		t.Errorf("error %v, want %v", err, ErrBadTarget)
	}
}

// What parses can be announced; what does not is called a bad target, in one
// line that a terminal can stand.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{"2001:db8::5", "::ffff:1.2.3.4", "fe80::1%eth0", "ff02::1", "1.2.3.4", "x\n\x1b[2J", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, err := ParseTarget(text)
		if err == nil {
			if _, err := Advertisement(addr, testMAC, Flags{}); err != nil {
				t.Errorf("%q parses, but: %v", text, err)
			}
			return
		}
		if !errors.Is(err, ErrBadTarget) {
			t.Errorf("%q: error %v, want %v", text, err, ErrBadTarget)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q: error %q has control characters", text, err)
		}
	})
}
