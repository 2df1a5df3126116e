package neutron

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// saneMalformed and the like check what must hold whatever came in: every accepted object can be
// used without another look, and every report can be printed.
func saneMalformed(t *testing.T, bad []Malformed) {
	t.Helper()
	for _, b := range bad {
		if b.RouterID != "" && checkID(b.RouterID) != nil {
			t.Fatalf("malformed %q of router %q", b.ID, b.RouterID)
		}
		if b.ID == "" || b.Err == nil || !printable(b.ID, b.Err.Error()) {
			t.Fatalf("malformed %q: %q", b.ID, b.Err)
		}
	}
}

// printable tells whether texts can stand in a log line: nothing that moves a
// terminal, and not without end.
func printable(texts ...string) bool {
	for _, s := range texts {
		if len(s) > 8192 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return false
		}
	}
	return true
}

func sanePort(t *testing.T, p Port) {
	t.Helper()
	if checkID(p.ID) != nil || checkID(p.NetworkID) != nil || len(p.MAC) != 17 || p.ScopeV6 != "" && checkID(p.ScopeV6) != nil ||
		!printable(p.DeviceOwner, p.HostID) {
		t.Fatalf("port %+v", p)
	}
	for _, f := range p.FixedIPs {
		if !f.Addr.IsValid() || f.Addr.Zone() != "" || f.Addr.Is4In6() || f.PrefixLen < 0 || f.PrefixLen > f.Addr.BitLen() {
			t.Fatalf("fixed IP %+v", f)
		}
	}
	for _, s := range slices.Concat(p.Subnets, p.ExtraSubnets) {
		if s.CIDR.Addr().Is4In6() || s.GatewayIP.Is4In6() || !s.CIDR.IsValid() || s.CIDR != s.CIDR.Masked() || s.GatewayIP.Zone() != "" {
			t.Fatalf("subnet %+v", s)
		}
	}
}

func saneProxies(t *testing.T, proxies []NDPProxy) {
	t.Helper()
	for _, p := range proxies {
		if checkID(p.ID) != nil || checkID(p.RouterID) != nil || p.PortID != "" && checkID(p.PortID) != nil ||
			!p.Addr.Is6() || p.Addr.Is4In6() || p.Addr.Zone() != "" || !p.Addr.IsGlobalUnicast() || !printable(p.Name, p.ProjectID) {
			t.Fatalf("proxy %+v", p)
		}
	}
}

func saneRouters(t *testing.T, routers []Router) {
	t.Helper()
	for _, r := range routers {
		if checkID(r.ID) != nil || !printable(r.Name, r.HAState, r.GatewayHost) {
			t.Fatalf("router %+v", r)
		}
		for _, l := range [][]Port{r.Interfaces, r.SNATInterfaces, r.FloatingIPAgentInterfaces} {
			for _, p := range l {
				sanePort(t, p)
			}
		}
		if r.Gateway != nil {
			sanePort(t, *r.Gateway)
		}
	}
}

func FuzzRouters(f *testing.F) {
	// Small seeds (and those in testdata/fuzz): the engine spends its time on
	// minimising large ones. The captures are decoded by the other tests.
	f.Add([]byte(`[{"id":"r","name":"n","admin_state_up":true,"enable_ndp_proxy":true,"gw_port":null,"_interfaces":[]}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		routers, bad, err := decodeRouters(data)
		if err != nil && len(routers)+len(bad) > 0 {
			t.Fatal("both an error and a result")
		}
		saneMalformed(t, bad)
		saneRouters(t, routers)
	})
}

func FuzzProxies(f *testing.F) {
	f.Add([]byte(result(f, "17b-bulk_pull-ndpproxy-reply")))
	f.Add([]byte(result(f, "18b-bulk_pull-ndpproxy-empty-reply")))
	f.Fuzz(func(t *testing.T, data []byte) {
		proxies, bad, err := decodeProxies(data, "answer")
		if err != nil && len(proxies)+len(bad) > 0 {
			t.Fatal("both an error and a result")
		}
		saneMalformed(t, bad)
		saneProxies(t, proxies)
	})
}

func everything(string) bool { return true }

func saneBoundPorts(t *testing.T, ports []BoundPort) {
	t.Helper()
	for _, p := range ports {
		if checkID(p.ID) != nil || p.Host != "" && checkHost(p.Host) != nil ||
			!printable(p.NetworkID, p.DeviceOwner) {
			t.Fatalf("port %+v", p)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add([]byte(`[{"versioned_object.name":"Port","versioned_object.version":"1.10","versioned_object.data":{"id":"p","bindings":[` +
		`{"versioned_object.name":"PortBinding","versioned_object.version":"1.0","versioned_object.data":{"host":"h","status":"ACTIVE"}}]}}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		elems, err := list(data, "answer")
		if err != nil {
			return
		}
		ports, bad := decodePorts(elems)
		if len(ports)+len(bad) != len(elems) {
			t.Fatalf("%d ports and %d malformed of %d", len(ports), len(bad), len(elems))
		}
		saneBoundPorts(t, ports)
		saneMalformed(t, bad)
	})
}

func FuzzAgents(f *testing.F) {
	f.Add([]byte(`[{"versioned_object.name":"Agent","versioned_object.version":"1.1","versioned_object.data":` +
		`{"host":"h","agent_type":"L3 agent","configurations":"{\"agent_mode\":\"dvr\"}"}}]`))
	f.Add([]byte(`[{"versioned_object.name":"Agent","versioned_object.version":"1.1","versioned_object.data":{"host":"h","agent_type":"x","configurations":{}}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		elems, err := list(data, "answer")
		if err != nil {
			return
		}
		agents, bad := decodeAgents(elems)
		if len(agents)+len(bad) != len(elems) {
			t.Fatalf("%d agents and %d malformed of %d", len(agents), len(bad), len(elems))
		}
		for _, a := range agents {
			if checkHost(a.Host) != nil || a.Mode == "" || !printable(a.Mode, a.Type) {
				t.Fatalf("agent %+v", a)
			}
		}
		saneMalformed(t, bad)
	})
}

// FuzzMentions: a wanted id in the text of a message is found, whatever is
// around it.
func FuzzMentions(f *testing.F) {
	const id = "0504f9e3-b21d-463e-8d4b-7ea0ac2e88a1"
	f.Add([]byte(`{\"id\": \"`), []byte(`\"}`))
	f.Add([]byte("-"), []byte("-"))
	f.Add([]byte("0c7f18fa-8c48-45a7-9492-"), []byte(""))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		body := slices.Concat(before, []byte{'"'}, []byte(id), []byte{'"'}, after)
		if !mentionsWanted(amqp.Delivery{Body: body}, func(s string) bool { return s == id }) {
			t.Fatalf("not found in %q", body)
		}
	})
}

func FuzzNotification(f *testing.F) {
	for _, name := range []string{"08-routers_updated", "09-router_added_to_agent", "10-router_removed_from_agent",
		"11-router_deleted", "12-fipnamespace_delete_on_ext_net", "13-push-ndpproxy-created", "14-push-ndpproxy-deleted",
		"16-push-port-deleted"} {
		r := request(f, name)
		f.Add(r.Method, []byte(r.Args))
	}
	f.Fuzz(func(t *testing.T, method string, args []byte) {
		e, err := decodeNotification(&oslo.Request{Method: method, Args: json.RawMessage(args)}, Header{}, everything)
		saneEvent(t, e, err)
	})
}

func saneEvent(t *testing.T, e Event, err error) {
	t.Helper()
	if err != nil {
		if e != nil || !printable(err.Error()) {
			t.Fatalf("event %v, error %q", e, err)
		}
		return
	}
	switch e := e.(type) {
	case ProxiesPushed:
		saneProxies(t, e.Proxies)
		saneMalformed(t, e.Malformed)
	case PortsPushed:
		saneBoundPorts(t, e.Ports)
		saneMalformed(t, e.Malformed)
	case RoutersUpdated:
		saneIDs(t, e.IDs...)
	case RouterAdded:
		saneIDs(t, e.IDs...)
	case RouterRemoved:
		saneIDs(t, e.ID)
	case RouterDeleted:
		saneIDs(t, e.ID)
	}
}

func saneIDs(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if checkID(id) != nil {
			t.Fatalf("id %q", id)
		}
	}
}

// FuzzPush goes the whole way from the bytes of a message to the event.
func FuzzPush(f *testing.F) {
	f.Add([]byte(`{"oslo.version":"2.0","oslo.message":"{\"method\":\"push\",\"args\":{}}"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := oslo.DecodeRequest(body)
		if err != nil {
			return
		}
		e, err := decodeNotification(r, Header{}, everything)
		saneEvent(t, e, err)
	})
}
