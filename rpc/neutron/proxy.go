package neutron

import (
	"encoding/json"
	"fmt"
	"strings"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// Names of the versioned object NDPProxy. A later 1.x only adds fields.
const (
	ndpProxyType    = "NDPProxy"
	ndpProxyVersion = "1.0"
)

// wireObject is a serialised versioned object. Its data stays raw until the
// type and version are known to be ours.
type wireObject struct {
	Name    string          `json:"versioned_object.name"`
	Version string          `json:"versioned_object.version"`
	Data    json.RawMessage `json:"versioned_object.data"`
}

type wireProxy struct {
	ID        string `json:"id"`
	RouterID  string `json:"router_id"`
	PortID    string `json:"port_id"`
	ProjectID string `json:"project_id"`
	Name      string `json:"name"`
	Addr      string `json:"ip_address"`
	Revision  int    `json:"revision_number"`
}

// objectData is where the ids of a versioned object are.
var objectData = []string{"versioned_object.data"}

// decodeProxies decodes the answer of bulk_pull, or the resource_list of a push.
func decodeProxies(raw json.RawMessage, what string) ([]NDPProxy, []Malformed, error) {
	elems, err := list(raw, what)
	if err != nil {
		return nil, nil, err
	}
	var proxies []NDPProxy
	var bad []Malformed
	for i, e := range elems {
		p, err := decodeProxy(e)
		if err != nil {
			bad = append(bad, Malformed{ID: nameOf(e, objectData, i), RouterID: idAt(e, objectData, "router_id"), Err: err})
			continue
		}
		proxies = append(proxies, p)
	}
	return proxies, bad, nil
}

func decodeProxy(raw json.RawMessage) (NDPProxy, error) {
	var o wireObject
	if err := decode(raw, &o); err != nil {
		return NDPProxy{}, fmt.Errorf("versioned object: %w", err)
	}
	if o.Name != ndpProxyType {
		return NDPProxy{}, fmt.Errorf("versioned object %q (want %s)", amqp.Clean(o.Name), ndpProxyType)
	}
	if o.Version != "1" && !strings.HasPrefix(o.Version, "1.") {
		return NDPProxy{}, fmt.Errorf("%s version %q (want 1.x)", ndpProxyType, amqp.Clean(o.Version))
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
	a, err := address(w.Addr, "ip_address")
	if err != nil {
		return NDPProxy{}, fmt.Errorf("NDP proxy %s: %w", w.ID, err)
	}
	// The kernel takes a proxy entry for nonsense without a word.
	if !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return NDPProxy{}, fmt.Errorf("NDP proxy %s: ip_address: %s is not a global IPv6 unicast address", w.ID, a)
	}
	return NDPProxy{ID: w.ID, RouterID: w.RouterID, PortID: w.PortID, ProjectID: w.ProjectID,
		Name: w.Name, Addr: a, Revision: w.Revision}, nil
}
