package neutron

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeLegacyRouter(t *testing.T) {
	routers, bad, err := decodeRouters(result(t, "06b-sync_routers-reply"))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	scope := "a2a377a2-55fc-4723-9c13-9ebda81e01d2"
	want := []Router{{
		ID: "1596edf1-d27f-4b01-a7ae-9f10b3ab9c16", Name: "test-router",
		AdminStateUp: true, EnableNDPProxy: true, GatewayHost: "lab-host1", Revision: 13,
		Gateway: &Port{
			ID: "1b796465-2eaf-4049-960c-6a9b4c1d7be9", NetworkID: "5653c15e-d079-40eb-a974-a05cef5e1ead",
			DeviceOwner: "network:router_gateway", HostID: "lab-host1", MAC: "fa:16:3e:84:aa:f0", ScopeV6: scope,
			FixedIPs: []FixedIP{{SubnetID: "ada29a16-33ce-4136-ba89-75658b32db1d",
				Addr: netip.MustParseAddr("2001:db8::777"), PrefixLen: 112}},
			Subnets: []Subnet{{ID: "ada29a16-33ce-4136-ba89-75658b32db1d",
				CIDR: netip.MustParsePrefix("2001:db8::/112"), GatewayIP: netip.MustParseAddr("2001:db8::1")}},
		},
		Interfaces: []Port{{
			ID: "5baafa06-b98d-4242-a59f-cd2ad02f1e9a", NetworkID: "52c3d541-6972-4b0b-8f61-827e9afb1b9b",
			DeviceOwner: "network:router_interface", HostID: "lab-host1", MAC: "fa:16:3e:dd:f2:22", ScopeV6: scope,
			FixedIPs: []FixedIP{{SubnetID: "96c6c515-d041-4d2e-8340-ad34f42ccaa8",
				Addr: netip.MustParseAddr("2001:db8::1:1"), PrefixLen: 112}},
			Subnets: []Subnet{{ID: "96c6c515-d041-4d2e-8340-ad34f42ccaa8",
				CIDR: netip.MustParsePrefix("2001:db8::1:0/112"), GatewayIP: netip.MustParseAddr("2001:db8::1:1")}},
		}},
	}}
	if diff := cmp.Diff(want, routers, ipCompare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The other kinds of routers, as decoded and read by a human once.
func TestDecodeRouterGoldens(t *testing.T) {
	for _, name := range []string{"51b-sync_routers-ha-reply", "60b-sync_routers-dvr-reply", "61b-sync_routers-dvr_snat-reply"} {
		routers, bad, err := decodeRouters(result(t, name))
		if err != nil || len(bad) > 0 {
			t.Fatalf("%s: %v, malformed %v", name, err, bad)
		}
		golden(t, name, routers)
	}
}

func TestDecodeGoneRouter(t *testing.T) {
	routers, bad, err := decodeRouters(result(t, "07b-sync_routers-gone-reply"))
	if err != nil || len(bad) > 0 || len(routers) > 0 {
		t.Errorf("%v %v %v, want nothing", routers, bad, err)
	}
}

// change sets one key of a captured router (path separated by /, numbers are
// positions) to a JSON value, or removes it (value "").
func change(t *testing.T, raw json.RawMessage, path, value string) json.RawMessage {
	t.Helper()
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var set func(node any, keys []string) any
	set = func(node any, keys []string) any {
		if len(keys) == 0 {
			var v any
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		switch n := node.(type) {
		case map[string]any:
			if len(keys) == 1 && value == "" {
				delete(n, keys[0])
				return n
			}
			n[keys[0]] = set(n[keys[0]], keys[1:])
		case []any:
			var i int
			if _, err := fmt.Sscan(keys[0], &i); err != nil {
				t.Fatal(err)
			}
			n[i] = set(n[i], keys[1:])
		default:
			t.Fatalf("%s: no such place", path)
		}
		return node
	}
	out, err := json.Marshal(set(doc, strings.Split(path, "/")))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func captured(t *testing.T, name string) json.RawMessage {
	t.Helper()
	var l []json.RawMessage
	if err := json.Unmarshal(result(t, name), &l); err != nil {
		t.Fatal(err)
	}
	return l[0]
}

// A router is refused for what decides something, by its id and with a word
// on what is wrong, and takes no other router with it.
func TestMalformedRouters(t *testing.T) {
	good := captured(t, "06b-sync_routers-reply")
	for _, c := range []struct{ path, value, id, want string }{
		{"id", `null`, "#1", "id is empty"},
		{"id", ``, "#1", "id is empty"},
		{"id", `"../../etc"`, "#1", "not an identifier"},
		{"id", `7`, "#1", "cannot unmarshal number"},
		{"id", `"` + strings.Repeat("a", 65) + `"`, "#1", "id of 65 characters"},
		{"admin_state_up", ``, "", "admin_state_up is missing"},
		{"admin_state_up", `"yes"`, "", "cannot unmarshal string"},
		{"enable_ndp_proxy", `"true"`, "", "cannot unmarshal string"},
		{"enable_ndp_proxy", ``, "", "enable_ndp_proxy is missing: is the ndp_proxy service plug-in loaded?"},
		{"gw_port", `null`, "", "gw_port_id is set, but gw_port is missing"},
		{"gw_port", ``, "", "gw_port_id is set, but gw_port is missing"},
		{"gw_port", `{}`, "", "gw_port_id is set, but gw_port is missing"},
		{"gw_port", `[]`, "", "gw_port: not a JSON object"},
		{"gw_port/mac_address", `"fa:16:3e"`, "", "gw_port: mac_address"},
		{"gw_port/mac_address", `null`, "", "gw_port: mac_address"},
		{"gw_port/network_id", `null`, "", "gw_port: network_id"},
		{"gw_port/fixed_ips/0/ip_address", `"2001:db8::g"`, "", "ip_address: \"2001:db8::g\""},
		{"gw_port/fixed_ips/0/ip_address", `"fe80::1%eth0"`, "", "ip_address"},
		{"gw_port/fixed_ips/0/prefixlen", `129`, "", "prefix length"},
		{"gw_port/fixed_ips/0/subnet_id", `null`, "", "subnet_id"},
		{"_interfaces", `{}`, "", "_interfaces is not a list"},
		{"_interfaces/0", `null`, "", "_interfaces: port #0: not a JSON object"},
		{"_interfaces/0/id", `"x y"`, "", "port #0"},
		{"_interfaces/0/subnets/0/cidr", `"2001:db8::1:0"`, "", "cidr"},
		{"_interfaces/0/subnets/0/cidr", `null`, "", "cidr"},
		{"_interfaces/0/subnets/0/gateway_ip", `"x\u001b"`, "", `gateway_ip: "x\\x1b"`},
		{"_interfaces/0/address_scopes", `{"6": 6}`, "", "cannot unmarshal number"},
	} {
		id := c.id
		if id == "" {
			id = "1596edf1-d27f-4b01-a7ae-9f10b3ab9c16"
		}
		other := change(t, good, "id", `"other"`)
		raw := fmt.Appendf(nil, "[%s,%s,%s]", other, change(t, good, c.path, c.value), other)
		routers, bad, err := decodeRouters(raw)
		if err != nil {
			t.Errorf("%s=%s: %v", c.path, c.value, err)
			continue
		}
		if len(routers) != 2 || len(bad) != 1 {
			t.Errorf("%s=%s: %d routers, malformed %v; want 2 and 1", c.path, c.value, len(routers), bad)
			continue
		}
		if bad[0].ID != id || !strings.Contains(bad[0].Err.Error(), c.want) {
			t.Errorf("%s=%s: malformed %q: %v; want %q with %q", c.path, c.value, bad[0].ID, bad[0].Err, id, c.want)
		}
	}
}

// What does not decide anything may be missing, null or new.
func TestTolerantRouters(t *testing.T) {
	good := captured(t, "06b-sync_routers-reply")
	base, err := decodeRouter(good)
	if err != nil {
		t.Fatal(err)
	}
	noScope, noGateway, noPrefix, noSubnets, noPorts := base, base, base, base, base
	gw := func(f func(*Port)) *Port { p := *base.Gateway; f(&p); return &p }
	noScope.Gateway = gw(func(p *Port) { p.ScopeV6 = "" })
	noGateway.Gateway = nil
	noSubnets.Gateway = gw(func(p *Port) { p.Subnets = nil })
	noPorts.Interfaces = nil
	off := base
	off.EnableNDPProxy = false
	for _, c := range []struct {
		path, value string
		want        Router
	}{
		{"brand_new_key", `{"a": [1]}`, base},
		{"name", `null`, func() Router { r := base; r.Name = ""; return r }()},
		{"enable_ndp_proxy", `null`, off},
		{"enable_ndp_proxy", `false`, off},
		{"gw_port_id", ``, base},
		{"gw_port_id", `null`, base},
		{"gw_port/address_scopes", ``, noScope},
		{"gw_port/address_scopes", `null`, noScope},
		{"gw_port/address_scopes/6", `null`, noScope},
		{"gw_port/fixed_ips/0/prefixlen", ``, noPrefix}, // taken from the subnet
		{"gw_port/subnets", `null`, noSubnets},
		{"_interfaces", ``, noPorts},
		{"_interfaces", `null`, noPorts},
		{"_interfaces", `[]`, noPorts},
		{"gw_port/mac_address", `"FA:16:3E:84:AA:F0"`, base},
		{"gw_port/subnets/0/cidr", `"2001:db8::5/112"`, base},
		{"_ha_state", `null`, base},
		{"distributed", `null`, base},
	} {
		got, err := decodeRouter(change(t, good, c.path, c.value))
		if err != nil {
			t.Errorf("%s=%s: %v", c.path, c.value, err)
			continue
		}
		if diff := cmp.Diff(c.want, got, ipCompare); diff != "" {
			t.Errorf("%s=%s (-want +got):\n%s", c.path, c.value, diff)
		}
	}
	for _, none := range []string{``, `null`} { // of both keys
		got, err := decodeRouter(change(t, change(t, good, "gw_port_id", none), "gw_port", none))
		if diff := cmp.Diff(noGateway, got, ipCompare); err != nil || diff != "" {
			t.Errorf("no gateway (%q): %v (-want +got):\n%s", none, err, diff)
		}
	}
	r, err := decodeRouter(change(t, good, "gw_port/subnets/0/gateway_ip", `null`))
	if err != nil || r.Gateway.Subnets[0].GatewayIP.IsValid() {
		t.Errorf("no gateway_ip: %v, %v", r.Gateway, err)
	}
}

// An answer that is no list must not look like "all routers are gone".
func TestAnswerThatIsNoList(t *testing.T) {
	for _, raw := range []string{``, `null`, `{}`, `"x"`, `[`} {
		if _, _, err := decodeRouters(json.RawMessage(raw)); err == nil {
			t.Errorf("sync_routers answered %q: no error", raw)
		}
		if _, _, err := decodeProxies(json.RawMessage(raw), "answer"); err == nil {
			t.Errorf("bulk_pull answered %q: no error", raw)
		}
		if _, err := ids(json.RawMessage(raw), "answer"); err == nil {
			t.Errorf("get_router_ids answered %q: no error", raw)
		}
	}
}
