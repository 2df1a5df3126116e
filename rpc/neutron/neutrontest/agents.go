package neutrontest

import (
	"encoding/json"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/rpc/neutron"
)

// SetServicePlugins says which plugins the server has, by type.
func (s *Server) SetServicePlugins(types ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plugins = types
}

// SetAgent adds or changes an agent as the server knows it, in the place of the one
// that SetL3Agent and SetAgentMode tell of.
func (s *Server) SetAgent(r neutron.Reported) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents[r.Type+"@"+r.Host] = r
	if r.Type == neutron.L3AgentType {
		s.hosts[r.Host] = true
	}
}

// pullReported answers for the agents of SetAgent; s.mu is held.
func (s *Server) pullReported(host, version string) []any {
	var out []any
	for _, r := range s.agents {
		if r.Host == host {
			out = append(out, reportedObject(r, version))
		}
	}
	slices.SortFunc(out, func(a, b any) int { return slices.Compare(marshal(a), marshal(b)) })
	return out
}

func reportedObject(r neutron.Reported, version string) map[string]any {
	return object("Agent", version, map[string]any{
		"id": r.ID, "agent_type": r.Type, "binary": r.Binary, "topic": topicL3, "host": r.Host, "availability_zone": "nova",
		"admin_state_up": r.AdminUp, "started_at": timestamp(r.Heartbeat), "created_at": timestamp(r.Heartbeat),
		"heartbeat_timestamp": timestamp(r.Heartbeat), "load": 0,
		"configurations": string(marshal(map[string]any{"agent_mode": r.Mode, "extensions": r.Extensions, "routers": 1})),
	})
}

// timestamp is how the server writes a time down.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// marshal is for what is known to have a form in JSON.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
