package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// asked answers with a capture, and notes the filters.
func asked(t *testing.T, answer string, filters *[]map[string][]string) func(*oslo.Request) (any, error) {
	return func(r *oslo.Request) (any, error) {
		var a pullArgs
		if err := json.Unmarshal(r.Args, &a); err != nil {
			return nil, err
		}
		*filters = append(*filters, a.Filter)
		return result(t, answer), nil
	}
}

// Whatever the server makes of the filter, only what has the address counts.
func TestNDPProxiesOf(t *testing.T) {
	var filters []map[string][]string
	_, client := newTestClient(t, Config{}, asked(t, "17b-bulk_pull-ndpproxy-reply", &filters))
	all, _, err := client.NDPProxies(context.Background(), []string{"router"})
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	there, other := all[0].Addr, all[0].Addr.Next()
	found, err := client.NDPProxiesOf(context.Background(), there)
	if err != nil || len(found) != 1 || found[0] != all[0] {
		t.Errorf("%v %v", found, err)
	}
	if found, err := client.NDPProxiesOf(context.Background(), other); err != nil || len(found) != 0 {
		t.Errorf("of another address: %v %v", found, err)
	}
	want := []map[string][]string{{"router_id": {"router"}}, {"ip_address": {there.String()}}, {"ip_address": {other.String()}}}
	if diff := cmp.Diff(want, filters); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
	_, client = newTestClient(t, Config{}, func(*oslo.Request) (any, error) { return []any{map[string]any{"nonsense": 1}}, nil })
	if found, err := client.NDPProxiesOf(context.Background(), netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Errorf("nonsense is %v", found)
	}
	_, client = newTestClient(t, Config{}, func(*oslo.Request) (any, error) { return nil, errors.New("no") })
	if found, err := client.NDPProxiesOf(context.Background(), there); err == nil {
		t.Errorf("an error is %v", found)
	}
}

func TestGatewayHost(t *testing.T) {
	port := func(owner, host, status string) map[string]any {
		return map[string]any{
			"versioned_object.name": "Port", "versioned_object.namespace": "versionedobjects", "versioned_object.version": "1.7",
			"versioned_object.data": map[string]any{"id": "11111111-1111-4111-8111-111111111111", "network_id": "n", "device_owner": owner, "revision_number": 3,
				"bindings": []any{map[string]any{"versioned_object.name": "PortBinding", "versioned_object.version": "1.0",
					"versioned_object.data": map[string]any{"host": host, "status": status}}}},
		}
	}
	for name, c := range map[string]struct {
		answer []any
		want   string
	}{
		"bound":            {[]any{port(gatewayOwner, "net2", "ACTIVE")}, "net2"},
		"unbound":          {[]any{port(gatewayOwner, "", "ACTIVE")}, ""},
		"of another owner": {[]any{port("compute:nova", "net2", "ACTIVE")}, ""},
		"nonsense and one": {[]any{"nonsense", port(gatewayOwner, "net2", "ACTIVE")}, "net2"},
		"none":             {[]any{}, ""},
	} {
		var filter map[string][]string
		_, client := newTestClient(t, Config{}, func(r *oslo.Request) (any, error) {
			var a pullArgs
			err := json.Unmarshal(r.Args, &a)
			filter = a.Filter
			return c.answer, err
		})
		got, err := client.GatewayHost(context.Background(), "router")
		if err != nil || got != c.want {
			t.Errorf("%s: %q, want %q, %v", name, got, c.want, err)
		}
		if diff := cmp.Diff(map[string][]string{"device_id": {"router"}, "device_owner": {gatewayOwner}}, filter); diff != "" {
			t.Errorf("filter (-want +got):\n%s", diff)
		}
	}
}
