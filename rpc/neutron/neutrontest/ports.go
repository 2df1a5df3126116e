package neutrontest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/rpc/neutron"
)

// SetPort adds or changes a port. Nobody is told. Its id should be a UUID, by
// whose shape the agent looks for ids in pushes.
func (s *Server) SetPort(p neutron.BoundPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports[p.ID] = p
}

// DropPort forgets a port. Nobody is told; its NDP proxies stay.
func (s *Server) DropPort(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, id)
}

// SetAgentMode says in which mode a host's L3 agent works; it has one then.
// Without a word it is a legacy one.
func (s *Server) SetAgentMode(host, mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modes[host], s.hosts[host] = mode, true
}

// MovePort binds a port to another host and tells it, as Neutron does.
func (s *Server) MovePort(id, host string) error {
	s.mu.Lock()
	p, ok := s.ports[id]
	p.Host = host
	p.Revision++
	if ok {
		s.ports[id] = p
	}
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("neutrontest: no port %s", id)
	}
	return s.PushPort(neutron.Updated, p)
}

// DeletePort deletes a port with its NDP proxies, and tells the former only, as
// Neutron does.
func (s *Server) DeletePort(id string) error {
	s.DropPort(id)
	s.mu.Lock()
	for _, p := range s.proxies {
		if p.PortID == id {
			delete(s.proxies, p.ID)
		}
	}
	s.mu.Unlock()
	return s.PushPort(neutron.Deleted, neutron.BoundPort{ID: id})
}

// PushPort tells everybody about a port, at each of the versions; none stands
// for the server's own. Like the real one's, a push to an exchange that does
// not exist fails.
func (s *Server) PushPort(kind neutron.ChangeKind, p neutron.BoundPort, versions ...string) error {
	if len(versions) == 0 {
		versions = []string{s.opts.portVersion()}
	}
	for _, v := range versions {
		object := boundPortObject(p, v)
		if kind == neutron.Deleted {
			object["versioned_object.data"] = map[string]any{"id": p.ID, "security_group_ids": nil,
				"qos_policy_id": nil, "qos_network_policy_id": nil}
		}
		m := notification("push", "1.1", map[string]any{"resource_list": []any{object}, "event_type": kind})
		if err := s.toAll(topicPort+v, m); err != nil {
			return fmt.Errorf("push of port %s at version %s: %w", p.ID, v, err)
		}
	}
	return nil
}

// DeclarePortFanouts declares the exchanges of Port pushes, as the server does
// before its first push and each L2 agent when it starts.
func (s *Server) DeclarePortFanouts(versions ...string) error {
	return s.onChannel(func(ch channel) error {
		for _, v := range versions {
			if err := s.fanout(ch, topicPort+v); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeletePortFanouts deletes them.
func (s *Server) DeletePortFanouts(versions ...string) error {
	return s.onChannel(func(ch channel) error {
		for _, v := range versions {
			if err := ch.ExchangeDelete(topicPort+v+"_fanout", false, false); err != nil {
				return err
			}
		}
		return nil
	})
}

const topicPort = "neutron-vo-Port-"

// defaultPortVersion is that of Neutron 21 ("Zed").
const defaultPortVersion = "1.7"

func (o Options) portVersion() string {
	if o.PortVersion == "" {
		return defaultPortVersion
	}
	return o.PortVersion
}

// pullPorts and pullAgents answer bulk_pull; s.mu is held. Version "" is the
// server's own; a later one than that is refused.
func (s *Server) pullPorts(version string, ids []string) (any, *failure) {
	if version == "" {
		version = s.opts.portVersion()
	}
	if later(version, s.opts.portVersion()) {
		return nil, &failure{class: "InvalidTargetVersion", message: "Invalid target version " + version}
	}
	out := []any{}
	for _, id := range ids {
		if p, ok := s.ports[id]; ok {
			out = append(out, boundPortObject(p, version))
		}
	}
	return out, nil
}

func (s *Server) pullAgents(version string, hosts []string) (any, *failure) {
	const own = "1.1"
	if version == "" {
		version = own
	}
	if later(version, own) {
		return nil, &failure{class: "InvalidTargetVersion", message: "Invalid target version " + version}
	}
	out := []any{}
	for _, host := range hosts {
		out = append(out, s.pullReported(host, version)...)
		if _, told := s.agents[neutron.L3AgentType+"@"+host]; told {
			continue
		}
		mode := s.modes[host]
		switch {
		case mode == "" && !s.hosts[host]:
			continue
		case mode == "":
			mode = neutron.ModeLegacy
		}
		out = append(out, agentObject(host, mode, version))
	}
	return out, nil
}

func agentObject(host, mode, version string) map[string]any {
	return reportedObject(neutron.Reported{ID: hexID(), Type: neutron.L3AgentType, Binary: "neutron-l3-agent", Host: host,
		AdminUp: true, Heartbeat: time.Now(), Mode: mode}, version)
}

// later compares versions of objects.
func later(a, b string) bool {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, errM := strconv.Atoi(x)
		n, errN := strconv.Atoi(y)
		if errM != nil || errN != nil {
			return strings.Compare(x, y)
		}
		return m - n
	}) > 0
}

// object is a versioned object.
func object(name, version string, data map[string]any) map[string]any {
	return map[string]any{"versioned_object.name": name, "versioned_object.namespace": "versionedobjects",
		"versioned_object.version": version, "versioned_object.data": data}
}

// boundPortObject is a port as a versioned object. An unbound one has a binding
// to no host.
func boundPortObject(p neutron.BoundPort, version string) map[string]any {
	binding := func(host, status string) any {
		return object("PortBinding", "1.0", map[string]any{"port_id": p.ID, "host": host, "profile": "{}",
			"vif_type": "ovs", "vif_details": "{}", "vnic_type": "normal", "status": status})
	}
	return object("Port", version, map[string]any{
		"id": p.ID, "project_id": "p", "name": "", "network_id": p.NetworkID, "mac_address": "fa:16:3e:00:00:01",
		"admin_state_up": true, "device_id": "", "device_owner": p.DeviceOwner, "status": "ACTIVE",
		"bindings":             []any{binding("", "INACTIVE"), binding(p.Host, "ACTIVE")},
		"distributed_bindings": []any{}, "fixed_ips": []any{}, "binding_levels": []any{}, "revision_number": p.Revision,
	})
}
