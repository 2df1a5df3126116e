package file

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutron-ndp-proxy-agent/agent/inventory"
)

const good = `version: 1
namespaces:
  - name: edge
    devices:
      - name: qg-demo
        gateway_addresses: [2001:db8::2]
        internal_subnets: [2001:db8:0:1::/64]
        published:
          - 2001:db8:0:1::5
          - 2001:DB8:0:1:0::6
      - name: uplink2
        internal_subnets: [2001:db8:0:2::/64]
`

func TestParse(t *testing.T) {
	got, err := Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	want := inventory.Snapshot{
		Routers: []inventory.Router{
			{
				ID: "edge/qg-demo", Name: "edge/qg-demo", Enabled: true, Open: true,
				External: []inventory.Attachment{{Namespace: "edge", Device: "qg-demo", Addrs: []netip.Addr{addr("2001:db8::2")}}},
				Subnets:  []inventory.Subnet{{Prefix: prefix("2001:db8:0:1::/64")}},
			},
			{
				ID: "edge/uplink2", Name: "edge/uplink2", Enabled: true, Open: true,
				External: []inventory.Attachment{{Namespace: "edge", Device: "uplink2"}},
				Subnets:  []inventory.Subnet{{Prefix: prefix("2001:db8:0:2::/64")}},
			},
		},
		Proxies: []inventory.Proxy{
			{ID: "edge/qg-demo/2001:db8:0:1::5", RouterID: "edge/qg-demo", Addr: addr("2001:db8:0:1::5")},
			{ID: "edge/qg-demo/2001:db8:0:1::6", RouterID: "edge/qg-demo", Addr: addr("2001:db8:0:1::6")},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

func TestParseNothingToPublish(t *testing.T) {
	got, err := Parse([]byte("version: 1\n"))
	if err != nil || len(got.Routers) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestParseMistakes(t *testing.T) {
	device := func(lines ...string) string {
		return "version: 1\nnamespaces:\n  - name: edge\n    devices:\n      - name: up\n        " + strings.Join(lines, "\n        ")
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":            {"", "the file is empty"},
		"no version":       {"namespaces: []", "version: 0"},
		"later version":    {"version: 2", "version: 2; this program reads version 1"},
		"unknown key":      {device("publish: []"), "field publish not found"},
		"two documents":    {"version: 1\n---\nversion: 1", "more than one YAML document"},
		"no devices":       {"version: 1\nnamespaces: [{name: edge}]", `namespace "edge": no devices`},
		"name with slash":  {"version: 1\nnamespaces: [{name: ../x, devices: [{name: a}]}]", "not a valid name"},
		"dot dot":          {"version: 1\nnamespaces: [{name: .., devices: [{name: a}]}]", "not a valid name"},
		"long device":      {"version: 1\nnamespaces: [{name: a, devices: [{name: abcdefghijklmnop}]}]", "longer than 15"},
		"device twice":     {"version: 1\nnamespaces: [{name: a, devices: [{name: b}, {name: b}]}]", "device a/b is listed twice"},
		"not an address":   {device("internal_subnets: ['2001:db8::/64']", "published: [nonsense]"), `line 7: "nonsense" is not an IPv6 address`},
		"IPv4":             {device("published: [192.0.2.1]"), "line 6: 192.0.2.1 is not a global unicast"},
		"IPv4-mapped":      {device("published: ['::ffff:192.0.2.1']"), "not a global unicast"},
		"multicast":        {device("published: ['ff02::1']"), "not a global unicast"},
		"link-local":       {device("gateway_addresses: ['fe80::1']"), "not a global unicast"},
		"zone":             {device("published: ['2001:db8::1%eth0']"), "not a global unicast"},
		"outside":          {device("internal_subnets: ['2001:db8::/64']", "published: ['2001:db8:1::1']"), "line 7: 2001:db8:1::1 is outside every internal subnet of edge/up"},
		"twice":            {device("internal_subnets: ['2001:db8::/64']", "published: ['2001:db8::1', '2001:db8:0::1']"), "published twice"},
		"host bits":        {device("internal_subnets: ['2001:db8::1/64']"), "did you mean 2001:db8::/64"},
		"default route":    {device("internal_subnets: ['::/0']"), "every address there is"},
		"IPv4 prefix":      {device("internal_subnets: ['192.0.2.0/24']"), "not an IPv6 prefix"},
		"map for address":  {device("published: [{a: b}]"), "want one address"},
		"not YAML":         {"\tversion: 1", "found character that cannot start any token"},
		"all are reported": {device("published: [a, b]"), `"b" is not an IPv6 address`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("version: 1\nnamespaces: &a [*a]"))
	f.Add([]byte("version: 1\nnamespaces:\n- {name: a, devices: [{name: b, published: ['2001:db8::1']}]}"))
	f.Add([]byte("version: 1\nnamespaces:\n- {name: \"\\e[2J\", devices: [{name: '../x', published: ['fe80::1%eth0', '::ffff:192.0.2.1']}]}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse(raw)
		if err != nil {
			if n := len(err.Error()); n > 16<<10 {
				t.Fatalf("an error of %d bytes", n)
			}
			return
		}
		routers := map[string]inventory.Router{}
		for _, r := range s.Routers {
			if _, twice := routers[r.ID]; twice || len(r.External) != 1 {
				t.Fatalf("router %+v", r)
			}
			at := r.External[0]
			for _, name := range []string{at.Namespace, at.Device} {
				if strings.ContainsFunc(name, func(r rune) bool { return r == '/' || !unicode.IsPrint(r) }) || name == "." || name == ".." || name == "" {
					t.Fatalf("named %q", name)
				}
			}
			routers[r.ID] = r
		}
		for _, p := range s.Proxies {
			inside := false
			for _, sub := range routers[p.RouterID].Subnets {
				inside = inside || sub.Prefix.Contains(p.Addr)
			}
			if a := p.Addr; !inside || !a.Is6() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast() {
				t.Fatal(fmt.Sprint("published by accident: ", p))
			}
		}
	})
}
