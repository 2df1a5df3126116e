package neutron

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// maxID bounds an identifier. Neutron's are UUIDs.
const maxID = 64

// checkID accepts what can safely name a namespace, a device or a key: ids
// become part of paths such as /run/netns/qrouter-<id>.
func checkID(id string) error {
	if id == "" {
		return errors.New("id is empty")
	}
	if len(id) > maxID {
		return fmt.Errorf("id of %d characters", len(id))
	}
	for _, c := range []byte(id) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
		default:
			return fmt.Errorf("id %q is not an identifier", amqp.Clean(id))
		}
	}
	return nil
}

// nameOf gives an object that may be broken a name for reports: its id, or its
// position in the list.
func nameOf(raw json.RawMessage, path []string, i int) string {
	if id := idAt(raw, path, "id"); id != "" {
		return id
	}
	return fmt.Sprintf("#%d", i)
}

// idAt reads an identifier out of an object that may be broken, "" if there is
// no usable one.
func idAt(raw json.RawMessage, path []string, field string) string {
	for _, key := range append(slices.Clone(path), field) {
		var m map[string]json.RawMessage
		if json.Unmarshal(raw, &m) != nil {
			return ""
		}
		raw = m[key]
	}
	var id string
	if json.Unmarshal(raw, &id) != nil || checkID(id) != nil {
		return ""
	}
	return id
}

// decode is json.Unmarshal with printable errors, for an object.
func decode(raw json.RawMessage, into any) error {
	if len(raw) == 0 || raw[0] != '{' {
		return errors.New("not a JSON object")
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errors.New(amqp.Clean(err.Error()))
	}
	return nil
}

// list is a JSON array whose elements are decoded one by one. Null is none: an
// answer of null would look like "all of them are gone".
func list(raw json.RawMessage, what string) ([]json.RawMessage, error) {
	var l []json.RawMessage
	if err := json.Unmarshal(raw, &l); err != nil || l == nil {
		return nil, fmt.Errorf("%s is not a list", what)
	}
	return l, nil
}

// optionalList is a list that may be null or missing.
func optionalList(raw json.RawMessage, what string) ([]json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return list(raw, what)
}

// ids decodes a list of identifiers, all of which must be good: they come
// alone, as the arguments of a message or as an answer.
func ids(raw json.RawMessage, what string) ([]string, error) {
	var l []string
	if err := json.Unmarshal(raw, &l); err != nil || l == nil {
		return nil, fmt.Errorf("%s is not a list of ids", what)
	}
	for _, id := range l {
		if err := checkID(id); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	return l, nil
}

// address parses an IP address without a zone.
func address(s, what string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%s: %q is not an IP address", what, amqp.Clean(s))
	}
	return a, nil
}

// macAddress parses an Ethernet address.
func macAddress(s string) (string, error) {
	m, err := net.ParseMAC(s)
	if err != nil || len(m) != 6 {
		return "", fmt.Errorf("mac_address: %q is not an Ethernet address", amqp.Clean(s))
	}
	return strings.ToLower(m.String()), nil
}
