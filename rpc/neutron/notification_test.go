package neutron

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

var someTime = time.Date(2026, 11, 22, 17, 41, 5, 576216000, time.UTC)

// The captured notifications are these events.
func TestDecodeNotifications(t *testing.T) {
	h := Header{Received: someTime, RequestID: "req-1"}
	proxy := NDPProxy{
		ID: "b5f7cd9d-f7d1-4028-829a-5f88f5f9dccb", RouterID: "d37e3a20-274c-4c62-b2f2-999f5e9ea3a8",
		PortID: "c59ff0cb-3392-4b75-9508-2979badbfdb0", ProjectID: "fake_project_id", Name: "test-np",
		Addr: netip.MustParseAddr("2001:db8::1:3e0"),
	}
	for name, want := range map[string]Event{
		"08-routers_updated":                RoutersUpdated{h, []string{"f8df71c6-8c81-48ef-956b-56abf6eda62a"}},
		"09-router_added_to_agent":          RouterAdded{h, []string{"782b66ef-8091-4c31-8feb-2776917b61cb"}},
		"10-router_removed_from_agent":      RouterRemoved{h, "782b66ef-8091-4c31-8feb-2776917b61cb"},
		"11-router_deleted":                 RouterDeleted{h, "b2a66b4e-d12c-4599-8e2f-19036bec9582"},
		"12-fipnamespace_delete_on_ext_net": nil,
		"63-add_arp_entry":                  nil,
		"13-push-ndpproxy-created":          ProxiesPushed{Header: h, Kind: Created, Proxies: []NDPProxy{proxy}},
		"14-push-ndpproxy-deleted":          ProxiesPushed{Header: h, Kind: Deleted, Proxies: []NDPProxy{proxy}},
	} {
		got, err := decodeNotification(request(t, name), h, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, ipCompare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The shape is that of l3_rpc_agent_api.py of Neutron 21.
func TestDecodeAgentUpdated(t *testing.T) {
	h := Header{Received: someTime, RequestID: "req-1", Redelivered: true}
	for args, want := range map[string]Event{
		`{"payload": {"admin_state_up": false}}`: AgentUpdated{h, false},
		`{"payload": {"admin_state_up": true}}`:  AgentUpdated{h, true},
	} {
		got, err := decodeNotification(&oslo.Request{Method: "agent_updated", Args: json.RawMessage(args)}, h, nil)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", args, err, diff)
		}
	}
}

func TestGarbledNotifications(t *testing.T) {
	for _, c := range []struct{ method, args, want string }{
		{"routers_updated", ``, "routers_updated: not a JSON object"},
		{"routers_updated", `{}`, "routers is not a list of ids"},
		{"routers_updated", `{"routers": null}`, "routers is not a list of ids"},
		{"routers_updated", `{"routers": [7]}`, "routers is not a list of ids"},
		{"routers_updated", `{"routers": ["a b"]}`, "not an identifier"},
		{"router_added_to_agent", `{"payload": {}}`, "payload is not a list"},
		{"router_added_to_agent", `[]`, "not a JSON object"},
		{"router_removed_from_agent", `{"payload": {}}`, "router_id: id is empty"},
		{"router_removed_from_agent", `{"payload": ["x"]}`, "cannot unmarshal array"},
		{"router_deleted", `{"router_id": null}`, "router_id: id is empty"},
		{"router_deleted", `{"router_id": {}}`, "cannot unmarshal object"},
		{"agent_updated", `{}`, "admin_state_up is missing"},
		{"agent_updated", `{"payload": {"admin_state_up": null}}`, "admin_state_up is missing"},
		{"agent_updated", `{"payload": {"admin_state_up": "no"}}`, "cannot unmarshal string"},
		{"push", `{"event_type": "renamed", "resource_list": []}`, `event_type "renamed"`},
		{"push", `{"event_type": "created"}`, "resource_list is not a list"},
		{"push", `{"event_type": "created", "resource_list": {}}`, "resource_list is not a list"},
		{"push", `null`, "not a JSON object"},
	} {
		e, err := decodeNotification(&oslo.Request{Method: c.method, Args: json.RawMessage(c.args)}, Header{}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s(%s): %v, %v; want an error with %s", c.method, c.args, e, err, c.want)
		}
	}
}

// One bad object of a push does not lose the others.
func TestPushWithMalformedObject(t *testing.T) {
	r := request(t, "13-push-ndpproxy-created")
	var args map[string]json.RawMessage
	if err := json.Unmarshal(r.Args, &args); err != nil {
		t.Fatal(err)
	}
	list := strings.TrimSuffix(string(args["resource_list"]), "]")
	args["resource_list"] = json.RawMessage(list + `, {"versioned_object.name": "NDPProxy", "versioned_object.version": "1.0", "versioned_object.data": {"id": "bad"}}]`)
	var err error
	if r.Args, err = json.Marshal(args); err != nil {
		t.Fatal(err)
	}
	e, err := decodeNotification(r, Header{}, everything)
	if err != nil {
		t.Fatal(err)
	}
	push, ok := e.(ProxiesPushed)
	if !ok || len(push.Proxies) != 1 || len(push.Malformed) != 1 || push.Malformed[0].ID != "bad" {
		t.Errorf("%+v", e)
	}
}
