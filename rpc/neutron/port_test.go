package neutron

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

func TestDecodePortGoldens(t *testing.T) {
	for _, name := range []string{"15-push-port-updated", "16-push-port-deleted", "64-push-port-moved"} {
		r := request(t, name)
		e, err := decodeNotification(r, Header{}, everything)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		golden(t, name, e)
	}
	for name, decodeAll := range map[string]func([]json.RawMessage) any{
		"19b-bulk_pull-port-reply": func(l []json.RawMessage) any {
			p, bad := decodePorts(l)
			return map[string]any{"ports": p, "malformed": bad}
		},
		"20b-bulk_pull-agent-reply": func(l []json.RawMessage) any {
			a, bad := decodeAgents(l)
			return map[string]any{"agents": a, "malformed": bad}
		},
	} {
		elems, err := list(result(t, name), "answer")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, decodeAll(elems))
	}
}

// thePort is the port of the captured answer.
const thePort = "59ae0db7-2281-4baa-9c77-80bf6e76865b"

func TestMalformedPorts(t *testing.T) {
	good := captured(t, "19b-bulk_pull-port-reply")
	const d, b = "versioned_object.data/", "versioned_object.data/bindings/0/versioned_object."
	for _, c := range []struct{ path, value, id, want string }{
		{"versioned_object.name", `"Network"`, thePort, `versioned object "Network"`},
		{"versioned_object.version", `"2.0"`, thePort, `version "2.0"`},
		{"versioned_object.data", `null`, "#1", "not a JSON object"},
		{d + "id", `"a/b"`, "#1", "not an identifier"},
		{d + "id", `null`, "#1", "id is empty"},
		{d + "bindings", ``, thePort, "version 1.7 without bindings"},
		{d + "bindings", `{}`, thePort, "bindings is not a list"},
		{d + "bindings", `null`, thePort, "bindings is not a list"},
		{d + "bindings/0", `null`, thePort, "versioned object: not a JSON object"},
		{b + "name", `"PortBindingLevel"`, thePort, `"PortBindingLevel" (want PortBinding)`},
		{b + "version", `"3.1"`, thePort, `version "3.1"`},
		{b + "data", `[]`, thePort, "binding: not a JSON object"},
		{b + "data/host", `7`, thePort, "cannot unmarshal number"},
		{b + "data/host", `"a\u001bb"`, thePort, "is not a name"},
		{b + "data/status", `null`, thePort, "status is missing"},
	} {
		elems, err := list(fmt.Appendf(nil, "[%s,%s]", good, change(t, good, c.path, c.value)), "answer")
		if err != nil {
			t.Fatal(err)
		}
		ports, bad := decodePorts(elems)
		if len(ports) != 1 || len(bad) != 1 {
			t.Errorf("%s=%s: %d ports, malformed %v; want 1 and 1", c.path, c.value, len(ports), bad)
			continue
		}
		if bad[0].ID != c.id || !strings.Contains(bad[0].Err.Error(), c.want) {
			t.Errorf("%s=%s: malformed %s: %v; want %s: %s", c.path, c.value, bad[0].ID, bad[0].Err, c.id, c.want)
		}
	}
}

// The active binding counts, whatever is beside it.
func TestHostOfAPort(t *testing.T) {
	good := captured(t, "19b-bulk_pull-port-reply")
	binding := func(host, status string) string {
		return fmt.Sprintf(`{"versioned_object.name": "PortBinding", "versioned_object.version": "1.0",
			"versioned_object.data": {"host": %q, "status": %q}}`, host, status)
	}
	for bindings, want := range map[string]string{
		`[]`:                                 "",
		"[" + binding("", "ACTIVE") + "]":    "",
		"[" + binding("a", "ACTIVE") + "]":   "a",
		"[" + binding("a", "INACTIVE") + "]": "",
		"[" + binding("a", "INACTIVE") + "," + binding("b", "ACTIVE") + "]": "b",
		"[" + binding("a", "ACTIVE") + "," + binding("b", "INACTIVE") + "]": "a",
	} {
		// Of a distributed router's port; it must not count.
		raw := change(t, good, "versioned_object.data/distributed_bindings", "["+binding("wrong", "ACTIVE")+"]")
		raw = change(t, raw, "versioned_object.data/bindings", bindings)
		p, err := decodeBoundPort(raw)
		if err != nil || p.Host != want {
			t.Errorf("%s: host %q, %v; want %q", bindings, p.Host, err, want)
		}
	}
}

// A revision that is not told is none, and not the first.
func TestRevisionOfAPort(t *testing.T) {
	good := captured(t, "19b-bulk_pull-port-reply")
	for value, want := range map[string]int{`7`: 7, `null`: 0, ``: 0} {
		p, err := decodeBoundPort(change(t, good, "versioned_object.data/revision_number", value))
		if err != nil || p.Revision != want {
			t.Errorf("%q: revision %d, %v", value, p.Revision, err)
		}
	}
}

func TestAgentModes(t *testing.T) {
	good := captured(t, "20b-bulk_pull-agent-reply")
	for value, want := range map[string]string{
		`"{\"agent_mode\": \"dvr_no_external\"}"`: ModeDVRNoExternal,
		`{"agent_mode": "dvr"}`:                   ModeDVR,
		`"{\"agent_mode\": \"some\u001bthing\"}"`: "error",
		`"{}"`:                     ModeLegacy,
		`""`:                       ModeLegacy,
		``:                         ModeLegacy,
		`null`:                     ModeLegacy,
		`"{\"agent_mode\": null}"`: ModeLegacy,
		`"{\"agent_mode\": 7}"`:    "error",
		`"{\"agent_mode"`:          "error",
		`"[]"`:                     "error",
		`7`:                        "error",
	} {
		a, bad := decodeAgents([]json.RawMessage{change(t, good, "versioned_object.data/configurations", value)})
		got := "error"
		if len(a) == 1 {
			got = a[0].Mode
		} else if len(bad) != 1 || bad[0].ID != "lab-host1" {
			t.Errorf("%s: malformed %+v", value, bad)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	for path, value := range map[string]string{"host": `""`, "agent_type": `null`} {
		if _, bad := decodeAgents([]json.RawMessage{change(t, good, "versioned_object.data/"+path, value)}); len(bad) != 1 {
			t.Errorf("%s=%s: not malformed", path, value)
		}
	}
}

// What is asked for ports and agents, beside the captures of the lab's own
// program (19a, 20a): lists of ids and hosts, and no version.
func TestPortAndAgentCalls(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		answer, args string
		call         func(*Client) (int, []Malformed, error)
	}{
		"19a-bulk_pull-port-request": {"19b-bulk_pull-port-reply",
			`{"resource_type":"Port","version":null,"filter_kwargs":{"id":["a","b"]}}`,
			func(c *Client) (int, []Malformed, error) {
				p, bad, err := c.Ports(ctx, []string{"a", "b"})
				return len(p), bad, err
			}},
		"20a-bulk_pull-agent-request": {"20b-bulk_pull-agent-reply",
			`{"resource_type":"Agent","version":null,"filter_kwargs":{"agent_type":["L3 agent"],"host":["h1","h2"]}}`,
			func(c *Client) (int, []Malformed, error) {
				a, bad, err := c.L3Agents(ctx, []string{"h1", "h2"})
				return len(a), bad, err
			}},
	} {
		s, client := newTestClient(t, Config{}, raw(t, c.answer))
		if n, bad, err := c.call(client); n != 1 || len(bad) != 0 || err != nil {
			t.Errorf("%s: %d, %v, %v", name, n, bad, err)
		}
		want, got := request(t, name), s.calls[0]
		if got.Method != want.Method || got.Version != want.Version || s.sent[0].Key != readCapture(t, name).AMQP.RoutingKey[0] {
			t.Errorf("%s: calls %s %s on %s", name, got.Method, got.Version, s.sent[0].Key)
		}
		if diff := cmp.Diff(c.args, string(got.Args)); diff != "" {
			t.Errorf("%s: arguments (-want +got):\n%s", name, diff)
		}
	}
}

// One port that the server fails for loses no other, and a slow server is
// asked for fewer.
func TestPortsInParts(t *testing.T) {
	good := captured(t, "19b-bulk_pull-port-reply")
	s, client := newTestClient(t, Config{PortChunk: 64}, nil)
	s.answer = func(r *oslo.Request) (any, error) {
		var a pullArgs
		if err := json.Unmarshal(r.Args, &a); err != nil {
			return nil, err
		}
		var out []json.RawMessage
		for _, id := range a.Filter["id"] {
			if id == "p77" {
				return nil, &oslo.RemoteError{Class: "ValueError", Message: "malformed MAC"}
			}
			if id != nothing {
				out = append(out, change(t, good, "versioned_object.data/id", `"`+id+`"`))
			}
		}
		if out == nil {
			return []any{}, nil
		}
		return out, nil
	}
	var ids []string
	for i := range 200 {
		ids = append(ids, fmt.Sprintf("p%d", i))
	}
	ports, bad, err := client.Ports(context.Background(), ids)
	if err != nil || len(ports) != 199 || len(bad) != 1 || bad[0].ID != "p77" || !strings.Contains(bad[0].Err.Error(), "malformed MAC") {
		t.Errorf("%d ports, malformed %v, %v", len(ports), bad, err)
	}
	// Four chunks, one for none, and twice the depth of the division.
	if n := len(s.calls); n != 4+1+2*6 {
		t.Errorf("%d calls", n)
	}
}
