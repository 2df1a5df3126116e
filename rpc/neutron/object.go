package neutron

import (
	"encoding/json"
	"fmt"
	"strings"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// Types of versioned objects. A later 1.x only adds fields.
const (
	ndpProxyType = "NDPProxy"
	portType     = "Port"
	bindingType  = "PortBinding"
	agentType    = "Agent"
)

// wireObject is a serialised versioned object. Its data stays raw until the
// type and version are known to be ours.
type wireObject struct {
	Name    string          `json:"versioned_object.name"`
	Version string          `json:"versioned_object.version"`
	Data    json.RawMessage `json:"versioned_object.data"`
}

// objectData is where the ids of a versioned object are.
var objectData = []string{"versioned_object.data"}

// openObject takes the data out of a versioned object of a type, version 1.x.
func openObject(raw json.RawMessage, name string) (wireObject, error) {
	var o wireObject
	if err := decode(raw, &o); err != nil {
		return o, fmt.Errorf("versioned object: %w", err)
	}
	if o.Name != name {
		return o, fmt.Errorf("versioned object %q (want %s)", amqp.Clean(o.Name), name)
	}
	if o.Version != "1" && !strings.HasPrefix(o.Version, "1.") {
		return o, fmt.Errorf("%s version %q (want 1.x)", name, amqp.Clean(o.Version))
	}
	return o, nil
}

// decodeEach decodes objects one by one; broken gives those a name that cannot
// be understood.
func decodeEach[T any](elems []json.RawMessage, one func(json.RawMessage) (T, error),
	broken func(e json.RawMessage, i int) Malformed) (out []T, bad []Malformed) {
	for i, e := range elems {
		v, err := one(e)
		if err != nil {
			m := broken(e, i)
			m.Err = err
			bad = append(bad, m)
			continue
		}
		out = append(out, v)
	}
	return out, bad
}

// typeOf reads the type of a versioned object, "" if there is none to read.
func typeOf(raw json.RawMessage) string {
	var o struct {
		Name string `json:"versioned_object.name"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return ""
	}
	return o.Name
}
