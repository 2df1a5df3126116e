package neutron

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// capturedAgent is the Agent object that a Neutron 21 answered bulk_pull with.
func capturedAgent(t *testing.T) json.RawMessage {
	t.Helper()
	data, err := os.ReadFile("testdata/wire/20b-bulk_pull-agent-reply.json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Message struct {
			Result []json.RawMessage `json:"result"`
		} `json:"message"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c.Message.Result[0]
}

func TestDecodeReported(t *testing.T) {
	captured := capturedAgent(t)
	r, err := decodeReported(captured)
	if err != nil {
		t.Fatal(err)
	}
	if r.Type != L3AgentType || r.Host != "lab-host1" || r.Binary != "neutron-l3-agent" || !r.AdminUp || r.Mode != ModeLegacy ||
		!r.Heartbeat.Equal(time.Date(2026, 11, 22, 17, 40, 20, 0, time.UTC)) || !slices.Equal(r.Extensions, []string{"ndp_proxy"}) || r.ID == "" {
		t.Errorf("%+v", r)
	}
	change := func(from, to string) json.RawMessage {
		changed := strings.Replace(string(captured), from, to, 1)
		if changed == string(captured) {
			t.Fatalf("no %s in %s", from, captured)
		}
		return json.RawMessage(changed)
	}
	for name, c := range map[string]struct {
		raw  json.RawMessage
		want string
	}{
		"no switch":    {change(`"admin_state_up"`, `"x"`), "admin_state_up is missing"},
		"no heartbeat": {change(`"heartbeat_timestamp"`, `"x"`), "heartbeat_timestamp"},
		"nonsense":     {change(`2026-11-22T17:40:20Z`, `yesterday\u0007`), `heartbeat_timestamp`},
		"no type":      {change(`"agent_type"`, `"x"`), "agent_type"},
	} {
		if r, err := decodeReported(c.raw); err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsRune(err.Error(), 7) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	// Other agents' configurations are of any form.
	odd, err := decodeReported(change(`[\"ndp_proxy\"]`, `{\"a\": 1}`))
	if err != nil || odd.Extensions != nil {
		t.Errorf("extensions of another form: %+v, %v", odd, err)
	}
}
