package neutron

import (
	"encoding/json"
	"errors"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// decodeNotification turns a message to the L3 agent into an event. Methods
// that say nothing about routers or NDP proxies give none (nil, nil), such as
// fipnamespace_delete_on_ext_net or add_arp_entry, and so do ports that nobody
// wants.
func decodeNotification(r *oslo.Request, h Header, wantPort func(string) bool) (Event, error) {
	fail := func(err error) (Event, error) {
		return nil, fmt.Errorf("%s: %w", amqp.Clean(r.Method), err)
	}
	switch r.Method {
	case "routers_updated":
		var a struct {
			Routers json.RawMessage `json:"routers"`
		}
		if err := decode(r.Args, &a); err != nil {
			return fail(err)
		}
		l, err := ids(a.Routers, "routers")
		if err != nil {
			return fail(err)
		}
		return RoutersUpdated{Header: h, IDs: l}, nil

	case "router_added_to_agent":
		var a struct {
			Payload json.RawMessage `json:"payload"`
		}
		if err := decode(r.Args, &a); err != nil {
			return fail(err)
		}
		l, err := ids(a.Payload, "payload")
		if err != nil {
			return fail(err)
		}
		return RouterAdded{Header: h, IDs: l}, nil

	case "router_removed_from_agent":
		var a struct {
			Payload struct {
				RouterID string `json:"router_id"`
			} `json:"payload"`
		}
		if err := decode(r.Args, &a); err != nil {
			return fail(err)
		}
		if err := checkID(a.Payload.RouterID); err != nil {
			return fail(fmt.Errorf("payload: router_id: %w", err))
		}
		return RouterRemoved{Header: h, ID: a.Payload.RouterID}, nil

	case "router_deleted":
		var a struct {
			RouterID string `json:"router_id"`
		}
		if err := decode(r.Args, &a); err != nil {
			return fail(err)
		}
		if err := checkID(a.RouterID); err != nil {
			return fail(fmt.Errorf("router_id: %w", err))
		}
		return RouterDeleted{Header: h, ID: a.RouterID}, nil

	case "agent_updated":
		var a struct {
			Payload struct {
				AdminStateUp *bool `json:"admin_state_up"`
			} `json:"payload"`
		}
		if err := decode(r.Args, &a); err != nil {
			return fail(err)
		}
		if a.Payload.AdminStateUp == nil {
			return fail(errors.New("payload: admin_state_up is missing"))
		}
		return AgentUpdated{Header: h, AdminStateUp: *a.Payload.AdminStateUp}, nil

	case "push":
		e, err := decodePush(r.Args, h, wantPort)
		if err != nil {
			return fail(err)
		}
		return e, nil
	}
	return nil, nil
}

// decodePush decodes the push of changed versioned objects, which are of one
// type (ResourcesPushRpcApi in neutron/api/rpc/handlers/resources_rpc.py).
func decodePush(args json.RawMessage, h Header, wantPort func(string) bool) (Event, error) {
	var a struct {
		EventType string          `json:"event_type"`
		Resources json.RawMessage `json:"resource_list"`
	}
	if err := decode(args, &a); err != nil {
		return nil, err
	}
	kind := ChangeKind(a.EventType)
	switch kind {
	case Created, Updated, Deleted:
	default:
		return nil, fmt.Errorf("event_type %q is none we know", amqp.Clean(a.EventType))
	}
	elems, err := list(a.Resources, "resource_list")
	if err != nil {
		return nil, err
	}
	if len(elems) > 0 && typeOf(elems[0]) == portType {
		return pushedPorts(elems, h, kind, wantPort), nil
	}
	proxies, bad := decodeProxyList(elems)
	return ProxiesPushed{Header: h, Kind: kind, Proxies: proxies, Malformed: bad}, nil
}
