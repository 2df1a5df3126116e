package neutron

import (
	"encoding/json"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

type wireProxy struct {
	ID        string `json:"id"`
	RouterID  string `json:"router_id"`
	PortID    string `json:"port_id"`
	ProjectID string `json:"project_id"`
	Name      string `json:"name"`
	Addr      string `json:"ip_address"`
	Revision  int    `json:"revision_number"`
}

// decodeProxies decodes the answer of bulk_pull.
func decodeProxies(raw json.RawMessage, what string) ([]NDPProxy, []Malformed, error) {
	elems, err := list(raw, what)
	if err != nil {
		return nil, nil, err
	}
	proxies, bad := decodeProxyList(elems)
	return proxies, bad, nil
}

func decodeProxyList(elems []json.RawMessage) ([]NDPProxy, []Malformed) {
	return decodeEach(elems, decodeProxy, func(e json.RawMessage, i int) Malformed {
		return Malformed{ID: nameOf(e, objectData, i), RouterID: idAt(e, objectData, "router_id")}
	})
}

func decodeProxy(raw json.RawMessage) (NDPProxy, error) {
	o, err := openObject(raw, ndpProxyType)
	if err != nil {
		return NDPProxy{}, err
	}
	var w wireProxy
	if err := decode(o.Data, &w); err != nil {
		return NDPProxy{}, fmt.Errorf("NDP proxy: %w", err)
	}
	if err := checkID(w.ID); err != nil {
		return NDPProxy{}, fmt.Errorf("NDP proxy: %w", err)
	}
	if err := checkID(w.RouterID); err != nil {
		return NDPProxy{}, fmt.Errorf("NDP proxy %s: router_id: %w", w.ID, err)
	}
	if w.PortID != "" {
		if err := checkID(w.PortID); err != nil {
			return NDPProxy{}, fmt.Errorf("NDP proxy %s: port_id: %w", w.ID, err)
		}
	}
	a, err := address(w.Addr, "ip_address")
	if err != nil {
		return NDPProxy{}, fmt.Errorf("NDP proxy %s: %w", w.ID, err)
	}
	// The kernel takes a proxy entry for nonsense without a word.
	if !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return NDPProxy{}, fmt.Errorf("NDP proxy %s: ip_address: %s is not a global IPv6 unicast address", w.ID, a)
	}
	return NDPProxy{ID: w.ID, RouterID: w.RouterID, PortID: w.PortID, ProjectID: amqp.Clean(w.ProjectID),
		Name: amqp.Clean(w.Name), Addr: a, Revision: w.Revision}, nil
}
