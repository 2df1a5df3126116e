package neutron

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeProxies(t *testing.T) {
	proxies, bad, err := decodeProxies(result(t, "17b-bulk_pull-ndpproxy-reply"), "answer")
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	want := []NDPProxy{{
		ID: "b6b44418-d4bc-4d88-b849-46de583f82d6", RouterID: "782b66ef-8091-4c31-8feb-2776917b61cb",
		PortID: "59ae0db7-2281-4baa-9c77-80bf6e76865b", ProjectID: "fake_project_id", Name: "test-np",
		Addr: netip.MustParseAddr("2001:db8::1:2d5"),
	}}
	if diff := cmp.Diff(want, proxies, ipCompare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	proxies, bad, err = decodeProxies(result(t, "18b-bulk_pull-ndpproxy-empty-reply"), "answer")
	if err != nil || len(bad) > 0 || len(proxies) > 0 {
		t.Errorf("empty answer: %v %v %v", proxies, bad, err)
	}
}

func TestMalformedProxies(t *testing.T) {
	good := captured(t, "17b-bulk_pull-ndpproxy-reply")
	const d = "versioned_object.data/"
	id := "b6b44418-d4bc-4d88-b849-46de583f82d6"
	for _, c := range []struct{ path, value, id, want string }{
		{"versioned_object.name", `"Port"`, id, `versioned object "Port"`},
		{"versioned_object.version", `"2.0"`, id, `version "2.0"`},
		{"versioned_object.version", `null`, id, `version ""`},
		{"versioned_object.data", `null`, "#1", "not a JSON object"},
		{"versioned_object.data", ``, "#1", "not a JSON object"},
		{d + "id", `"a/b"`, "#1", "not an identifier"},
		{d + "id", ``, "#1", "id is empty"},
		{d + "id", `7`, "#1", "cannot unmarshal number"},
		{d + "router_id", `null`, id, "router_id: id is empty"},
		{d + "router_id", `7`, id, "cannot unmarshal number"},
		{d + "router_id", `"../x"`, id, "not an identifier"},
		{d + "ip_address", `null`, id, "ip_address"},
		{d + "ip_address", `"192.0.2.1"`, id, "not a global IPv6 unicast"},
		{d + "ip_address", `"::ffff:192.0.2.1"`, id, "not a global IPv6 unicast"},
		{d + "ip_address", `"ff02::1"`, id, "not a global IPv6 unicast"},
		{d + "ip_address", `"::"`, id, "not a global IPv6 unicast"},
		{d + "ip_address", `"::1"`, id, "not a global IPv6 unicast"},
		{d + "ip_address", `"fe80::1"`, id, "not a global IPv6 unicast"},
		{d + "ip_address", `"2001:db8::1/64"`, id, "not an IP address"},
		{d + "revision_number", `"0"`, id, "cannot unmarshal string"},
	} {
		raw := fmt.Appendf(nil, "[%s,%s]", good, change(t, good, c.path, c.value))
		proxies, bad, err := decodeProxies(raw, "answer")
		if err != nil || len(proxies) != 1 || len(bad) != 1 {
			t.Errorf("%s=%s: %d proxies, malformed %v, %v; want 1 and 1", c.path, c.value, len(proxies), bad, err)
			continue
		}
		if bad[0].ID != c.id || !strings.Contains(bad[0].Err.Error(), c.want) {
			t.Errorf("%s=%s: malformed %q: %v; want %q with %q", c.path, c.value, bad[0].ID, bad[0].Err, c.id, c.want)
		}
		router := "782b66ef-8091-4c31-8feb-2776917b61cb"
		if c.path == d+"router_id" || c.path == "versioned_object.data" {
			router = ""
		}
		if bad[0].RouterID != router {
			t.Errorf("%s=%s: of router %q, want %q", c.path, c.value, bad[0].RouterID, router)
		}
	}
	for _, c := range [][2]string{
		{"versioned_object.version", `"1.1"`}, {d + "new_field", `[]`}, {d + "name", `null`},
		{d + "revision_number", `null`}, {d + "description", ``}, {d + "port_id", ``},
		{d + "ip_address", `"fd00::1"`}, // unique local is as routable as the operator makes it
	} {
		if _, err := decodeProxy(change(t, good, c[0], c[1])); err != nil {
			t.Errorf("%s=%s: %v", c[0], c[1], err)
		}
	}
}
