package neutron

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
// no usable one. field is "id" or "router_id".
func idAt(raw json.RawMessage, path []string, field string) string {
	var w struct {
		ID       json.RawMessage `json:"id"`
		RouterID json.RawMessage `json:"router_id"`
		Data     json.RawMessage `json:"versioned_object.data"`
	}
	if len(path) > 0 {
		if json.Unmarshal(raw, &w) != nil {
			return ""
		}
		raw = w.Data
	}
	if json.Unmarshal(raw, &w) != nil {
		return ""
	}
	if raw = w.ID; field == "router_id" {
		raw = w.RouterID
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

const (
	// maxList bounds a list of objects: an element of a few bytes becomes a
	// hundred in memory. A real object has more than 500 bytes, so that a message
	// ([oslo.MaxMessage]) cannot hold so many.
	maxList = 1 << 17
	// maxFew bounds a list within an object, such as the interfaces of a router or
	// the addresses of a port, of which a real one has a few dozen.
	maxFew = 4096
)

// few is a list within an object.
type few[T any] []T

// UnmarshalJSON refuses long ones before they are made.
func (f *few[T]) UnmarshalJSON(raw []byte) error {
	if longer(raw, maxFew) {
		return fmt.Errorf("a list of more than %d", maxFew)
	}
	return json.Unmarshal(raw, (*[]T)(f))
}

// longer reports whether a JSON array has more than so many elements.
func longer(raw []byte, most int) bool {
	depth, n, quoted := 0, 1, false
	for i := 0; i < len(raw) && n <= most; i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1:
			n++
		}
	}
	return n > most
}

// list is a JSON array whose elements are decoded one by one. Null is none: an
// answer of null would look like "all of them are gone".
func list(raw json.RawMessage, what string) ([]json.RawMessage, error) {
	return listOf(raw, what, maxList)
}

func listOf(raw json.RawMessage, what string, most int) ([]json.RawMessage, error) {
	if longer(raw, most) {
		return nil, fmt.Errorf("%s has more than %d elements", what, most)
	}
	var l []json.RawMessage
	if err := json.Unmarshal(raw, &l); err != nil || l == nil {
		return nil, fmt.Errorf("%s is not a list", what)
	}
	return l, nil
}

// optionalList is a list within an object that may be null or missing.
func optionalList(raw json.RawMessage, what string) ([]json.RawMessage, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return listOf(raw, what, maxFew)
}

// ids decodes a list of identifiers, all of which must be good: they come
// alone, as the arguments of a message or as an answer.
func ids(raw json.RawMessage, what string) ([]string, error) {
	if longer(raw, maxList) {
		return nil, fmt.Errorf("%s has more than %d elements", what, maxList)
	}
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

// address parses an IP address without a zone. One that is mapped (RFC 4291,
// section 2.5.5.2) is in no packet.
func address(s, what string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil || a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%s: %q is not an IP address", what, amqp.Clean(s))
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%s: %s is not a global IPv6 unicast address, nor is it how IPv4 is written", what, a)
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
