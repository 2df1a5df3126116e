package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// ServicePluginNDPProxy is the type of the service plugin ndp_proxy in the list of
// [Client.ServicePlugins].
const ServicePluginNDPProxy = "NDPPROXY"

// maxNames bounds the lists of words that are taken from the server.
const maxNames = 256

// ServicePlugins returns the types of the server's plugins, as it asks its own
// directory of them (get_service_plugin_list, q-l3-plugin 1.3). The core plugin is
// among them.
func (c *Client) ServicePlugins(ctx context.Context) ([]string, error) {
	var types []string
	if err := c.rpc.Call(ctx, topicL3Server, "1.3", "get_service_plugin_list", struct{}{}, &types); err != nil {
		return nil, err
	}
	return clean(types), nil
}

// Reported is what the server knows of one agent, by the agent's own reports.
type Reported struct {
	ID, Host, Type, Binary string
	// AdminUp is admin_state_up: the operator's own switch.
	AdminUp bool
	// Heartbeat is when the server took the last report, by its clock, to the second.
	Heartbeat time.Time
	// Mode is agent_mode, "legacy" where an agent tells none, and Extensions are the
	// loaded ones.
	Mode       string
	Extensions []string
}

// Reports returns what the server knows of the agents of the named hosts, of all
// types, alive or not (bulk_pull, Agent at the server's own version). On error nothing
// is returned.
func (c *Client) Reports(ctx context.Context, hosts []string) ([]Reported, []Malformed, error) {
	raw, err := c.bulkPull(ctx, MethodAgents, pullArgs{agentType, nil, map[string][]string{"host": hosts}})
	if err != nil {
		return nil, nil, err
	}
	elems, err := list(raw, "answer")
	if err != nil {
		return nil, nil, fmt.Errorf("bulk_pull: %w", err)
	}
	reports, bad := decodeEach(elems, decodeReported, brokenAgent)
	return reports, bad, nil
}

func decodeReported(raw json.RawMessage) (Reported, error) {
	a, err := decodeAgent(raw)
	if err != nil {
		return Reported{}, err
	}
	o, err := openObject(raw, agentType)
	if err != nil {
		return Reported{}, err
	}
	var w struct {
		ID             string          `json:"id"`
		Binary         string          `json:"binary"`
		AdminUp        *bool           `json:"admin_state_up"`
		Heartbeat      string          `json:"heartbeat_timestamp"`
		Configurations json.RawMessage `json:"configurations"`
	}
	if err := decode(o.Data, &w); err != nil {
		return Reported{}, fmt.Errorf("agent of host %s: %w", a.Host, err)
	}
	if w.AdminUp == nil {
		return Reported{}, fmt.Errorf("agent of host %s: admin_state_up is missing", a.Host)
	}
	heartbeat, err := time.Parse(time.RFC3339, w.Heartbeat)
	if err != nil {
		return Reported{}, fmt.Errorf("agent of host %s: heartbeat_timestamp: %s", a.Host, amqp.Clean(err.Error()))
	}
	r := Reported{ID: amqp.Clean(w.ID), Host: a.Host, Type: a.Type, Binary: amqp.Clean(w.Binary),
		AdminUp: *w.AdminUp, Heartbeat: heartbeat.UTC(), Mode: a.Mode}
	// What other agents' configurations are is their business: without a list of
	// names under that key there are none.
	var c struct {
		Extensions []string `json:"extensions"`
	}
	if object, err := configurations(w.Configurations); err == nil && json.Unmarshal(object, &c) == nil {
		r.Extensions = clean(c.Extensions)
	}
	return r, nil
}

// configurations unpacks an agent's: a JSON object in a JSON string
// (DictOfMiscValuesField of neutron_lib), or the object itself.
func configurations(raw json.RawMessage) (json.RawMessage, error) {
	if absent(raw) || raw[0] != '"' {
		return raw, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, errors.New(amqp.Clean(err.Error()))
	}
	return json.RawMessage(text), nil
}

// clean makes words from outside fit to be shown.
func clean(words []string) []string {
	out := make([]string, 0, min(len(words), maxNames))
	for _, w := range words[:min(len(words), maxNames)] {
		out = append(out, amqp.Clean(w))
	}
	return out
}
