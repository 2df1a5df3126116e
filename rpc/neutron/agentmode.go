package neutron

import (
	"bytes"
	"encoding/json"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

type wireAgent struct {
	Host           string          `json:"host"`
	Type           string          `json:"agent_type"`
	Configurations json.RawMessage `json:"configurations"`
}

// decodeAgents decodes the answer of bulk_pull.
func decodeAgents(elems []json.RawMessage) ([]Agent, []Malformed) {
	return decodeEach(elems, decodeAgent, brokenAgent)
}

// brokenAgent names an agent that cannot be understood.
func brokenAgent(e json.RawMessage, i int) Malformed {
	var o wireObject
	var w wireAgent
	if json.Unmarshal(e, &o) == nil && json.Unmarshal(o.Data, &w) == nil && checkHost(w.Host) == nil {
		return Malformed{ID: w.Host}
	}
	return Malformed{ID: fmt.Sprintf("#%d", i)}
}

func decodeAgent(raw json.RawMessage) (Agent, error) {
	o, err := openObject(raw, agentType)
	if err != nil {
		return Agent{}, err
	}
	var w wireAgent
	if err := decode(o.Data, &w); err != nil {
		return Agent{}, fmt.Errorf("agent: %w", err)
	}
	if err := checkHost(w.Host); err != nil {
		return Agent{}, fmt.Errorf("agent: %w", err)
	}
	if w.Type == "" {
		return Agent{}, fmt.Errorf("agent of host %s: agent_type is missing", w.Host)
	}
	mode, err := agentMode(w.Configurations)
	if err != nil {
		return Agent{}, fmt.Errorf("agent of host %s: configurations: %w", w.Host, err)
	}
	return Agent{Host: w.Host, Type: amqp.Clean(w.Type), Mode: mode}, nil
}

// agentMode reads an agent's configurations. An agent that tells no mode is a legacy
// one, as for Neutron's scheduler.
func agentMode(raw json.RawMessage) (string, error) {
	if absent(raw) {
		return ModeLegacy, nil
	}
	object, err := configurations(raw)
	if err != nil {
		return "", err
	}
	var c struct {
		Mode *string `json:"agent_mode"`
	}
	if err := decode(bytes.TrimSpace(object), &c); err != nil {
		return "", err
	}
	if c.Mode == nil || *c.Mode == "" {
		return ModeLegacy, nil
	}
	return amqp.Clean(*c.Mode), nil
}
