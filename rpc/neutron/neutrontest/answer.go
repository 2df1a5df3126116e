package neutrontest

import (
	"encoding/json"
	"fmt"
	"slices"

	"neutron-ndp-proxy-agent/rpc/neutron"
)

// answer is what is answered: what there is, changed if a test wants that.
func (s *Server) answer(method string, raw json.RawMessage) (any, *failure) {
	result, fault := s.truth(method, raw)
	s.mu.Lock()
	change := s.distort[method]
	s.mu.Unlock()
	if fault != nil || change == nil {
		return result, fault
	}
	text, err := json.Marshal(result)
	if err != nil {
		return nil, &failure{class: "TypeError", message: err.Error()}
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, &failure{class: "TypeError", message: err.Error()}
	}
	return change(raw, plain), nil
}

// arguments of the methods that are answered here.
type arguments struct {
	Host         string   `json:"host"`
	RouterIDs    []string `json:"router_ids"`
	ResourceType string   `json:"resource_type"`
	Version      string   `json:"version"`
	Filter       struct {
		RouterID []string `json:"router_id"`
		ID       []string `json:"id"`
		Host     []string `json:"host"`
	} `json:"filter_kwargs"`
	AgentState struct {
		AgentState struct {
			AgentType string `json:"agent_type"`
			Host      string `json:"host"`
		} `json:"agent_state"`
	} `json:"agent_state"`
}

// truth is what Neutron 21 ("Zed") answers.
func (s *Server) truth(method string, raw json.RawMessage) (any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.fail[method]; ok && f.times != 0 {
		f.times--
		s.fail[method] = f
		return nil, &f
	}
	var a arguments
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, &failure{class: "TypeError", message: err.Error()}
	}
	if c := s.opts.Cloud; c != nil {
		if result, ok := fromCloud(c, method, a, s.opts.portVersion()); ok {
			return result, nil
		}
	}
	switch method {
	case "get_router_ids":
		ids := []string{}
		for _, id := range s.order {
			if s.routers[id].host == a.Host {
				ids = append(ids, id)
			}
		}
		return ids, nil // of an unknown host, too
	case "sync_routers":
		if !s.hosts[a.Host] {
			return nil, &failure{class: "AgentNotFoundByTypeHost",
				message: fmt.Sprintf("Agent with agent_type=L3 agent and host=%s could not be found.", a.Host)}
		}
		out := []json.RawMessage{}
		for _, id := range s.order {
			if r := s.routers[id]; r.host == a.Host && (len(a.RouterIDs) == 0 || slices.Contains(a.RouterIDs, id)) {
				out = append(out, r.raw)
			}
		}
		return out, nil
	case "bulk_pull":
		switch a.ResourceType {
		case "Port":
			return s.pullPorts(a.Version, a.Filter.ID)
		case "Agent":
			return s.pullAgents(a.Version, a.Filter.Host)
		case "NDPProxy":
		default:
			return nil, &failure{class: "InvalidResourceTypeClass", message: a.ResourceType}
		}
		out := []any{}
		for _, p := range s.sortedProxies() {
			if len(a.Filter.RouterID) == 0 || slices.Contains(a.Filter.RouterID, p.RouterID) {
				out = append(out, proxyObject(p))
			}
		}
		return out, nil
	case "get_service_plugin_list":
		return s.plugins, nil
	case "report_state":
		key := a.AgentState.AgentState.AgentType + "@" + a.AgentState.AgentState.Host
		if s.known[key] {
			return "alive", nil
		}
		s.known[key] = true
		if a.AgentState.AgentState.AgentType == "L3 agent" {
			s.hosts[a.AgentState.AgentState.Host] = true
		}
		return "new", nil
	}
	return nil, &failure{class: "NoSuchMethod", message: "Endpoint does not support RPC method " + method}
}

func (s *Server) sortedProxies() []neutron.NDPProxy {
	var l []neutron.NDPProxy
	for _, p := range s.proxies {
		l = append(l, p)
	}
	slices.SortFunc(l, func(a, b neutron.NDPProxy) int { return a.Addr.Compare(b.Addr) })
	return l
}
