package filter_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// The text in the kernel outlives versions of this program: it is a format.
func TestRecordText(t *testing.T) {
	d := device("qg-1", run("2001:db8::1", 2), prefix("2001:db8::/64"))
	d.LinkLocal, d.OriginalDelay = addr("fe80::1"), 800*time.Millisecond
	const want = "v=3 published=2:479c6c9f7688c979 guarded=1:a6e6ed6b5083fe03 link-local=fe80::1 delay=800"
	got := d.Record().String()
	if got != want {
		t.Errorf("record is\n%s, want\n%s", got, want)
	}
	if filter.ParseRecord(got) != d.Record() {
		t.Errorf("read back: %+v", filter.ParseRecord(got))
	}
	open := d
	open.Open = true
	if r := open.Record(); r.String() != want+" open" || r == d.Record() || filter.ParseRecord(r.String()) != r {
		t.Errorf("record of an open one: %s", r)
	}
	if longest := withName(d, "x"); len(longest.Record().String()) > 200 {
		t.Errorf("%d bytes are close to what a comment holds", len(longest.Record().String()))
	}
	// Another version's record keeps what must not be lost.
	if r := filter.ParseRecord("v=9 delay=250 something=else"); r.OriginalDelay != 250*time.Millisecond || r == d.Record() {
		t.Errorf("record of another version: %+v", r)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=1 published=2:00 guarded=1:00 link-local=fe80::1 delay=800")
	f.Add("delay=none v= =x delay=-1")
	f.Add("delay=99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		r := filter.ParseRecord(s)
		if r.OriginalDelay < 0 && r.OriginalDelay != filter.NoDelay {
			t.Fatalf("delay %s", r.OriginalDelay)
		}
		if again := filter.ParseRecord(r.String()); again.OriginalDelay != r.OriginalDelay {
			t.Fatalf("%+v reads back as %+v", r, again)
		}
	})
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want []netip.Prefix }{
		{nil, nil},
		{[]netip.Prefix{prefix("2001:db8::/64"), prefix("2001:db8::/64")}, []netip.Prefix{prefix("2001:db8::/64")}},
		{[]netip.Prefix{prefix("2001:db8:0:1::/64"), prefix("2001:db8::/64")}, []netip.Prefix{prefix("2001:db8::/63")}},
		{[]netip.Prefix{prefix("2001:db8::/48"), prefix("2001:db8:0:9::/64")}, []netip.Prefix{prefix("2001:db8::/48")}},
	} {
		if got := filter.Canonical(c.in); !slices.Equal(got, c.want) {
			t.Errorf("Canonical(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestUnion(t *testing.T) {
	old := content(device("a", run("2001:db8::1", 2), prefix("2001:db8::/64")), device("b", run("2001:db8::9", 1)))
	next := content(device("a", run("2001:db8::2", 2), prefix("2001:db8:0:1::/64")), device("c", nil))
	want := content(device("a", run("2001:db8::1", 3), prefix("2001:db8::/63")), device("b", run("2001:db8::9", 1)), device("c", nil))
	if got := old.Union(next); !got.Equal(want) {
		t.Errorf("union is %+v", got)
	}
}
