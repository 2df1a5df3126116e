package neutron

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

type wireBoundPort struct {
	ID          string          `json:"id"`
	NetworkID   string          `json:"network_id"`
	DeviceOwner string          `json:"device_owner"`
	Bindings    json.RawMessage `json:"bindings"`
	Revision    int             `json:"revision_number"`
}

type wireBinding struct {
	Host   string `json:"host"`
	Status string `json:"status"`
}

// bindingActive is the status of the binding that counts (PortBinding).
const bindingActive = "ACTIVE"

// decodePorts decodes the answer of bulk_pull.
func decodePorts(elems []json.RawMessage) ([]BoundPort, []Malformed) {
	return decodeEach(elems, decodeBoundPort, brokenPort)
}

func brokenPort(e json.RawMessage, i int) Malformed { return Malformed{ID: nameOf(e, objectData, i)} }

// pushedPorts decodes the wanted ones of the ports of a push; none is no event.
func pushedPorts(elems []json.RawMessage, h Header, kind ChangeKind, want func(string) bool) Event {
	if want == nil {
		return nil
	}
	e := PortsPushed{Header: h, Kind: kind}
	one := decodeBoundPort
	if kind == Deleted {
		one = decodeDeletedPort
	}
	for i, raw := range elems {
		if id := idAt(raw, objectData, "id"); id != "" && !want(id) {
			continue
		}
		p, err := one(raw)
		if err != nil {
			m := brokenPort(raw, i)
			m.Err = err
			e.Malformed = append(e.Malformed, m)
			continue
		}
		e.Ports = append(e.Ports, p)
	}
	if len(e.Ports)+len(e.Malformed) == 0 {
		return nil
	}
	return e
}

func decodeBoundPort(raw json.RawMessage) (BoundPort, error) {
	w, version, err := openPort(raw)
	if err != nil {
		return BoundPort{}, err
	}
	// Up to version 1.3 there was one binding, under another name.
	if len(w.Bindings) == 0 {
		return BoundPort{}, fmt.Errorf("port %s: version %s without bindings (since 1.4)", w.ID, amqp.Clean(version))
	}
	// Unbound is an empty list, or a binding to the host "": null would be
	// news of the object only, not of the port.
	elems, err := list(w.Bindings, "bindings")
	if err != nil {
		return BoundPort{}, fmt.Errorf("port %s: %w", w.ID, err)
	}
	p := BoundPort{ID: w.ID, NetworkID: amqp.Clean(w.NetworkID), DeviceOwner: amqp.Clean(w.DeviceOwner), Revision: w.Revision}
	for _, e := range elems {
		b, err := decodeBinding(e)
		if err != nil {
			return BoundPort{}, fmt.Errorf("port %s: %w", w.ID, err)
		}
		if b.Status == bindingActive && p.Host == "" {
			p.Host = b.Host
		}
	}
	return p, nil
}

// decodeDeletedPort decodes what is pushed of a port that is no more: an object
// made for that, with nothing but its id (neutron/plugins/ml2/ovo_rpc.py).
func decodeDeletedPort(raw json.RawMessage) (BoundPort, error) {
	w, _, err := openPort(raw)
	return BoundPort{ID: w.ID}, err
}

func openPort(raw json.RawMessage) (w wireBoundPort, version string, err error) {
	o, err := openObject(raw, portType)
	if err != nil {
		return w, "", err
	}
	if err := decode(o.Data, &w); err != nil {
		return wireBoundPort{}, "", fmt.Errorf("port: %w", err)
	}
	if err := checkID(w.ID); err != nil {
		return wireBoundPort{}, "", fmt.Errorf("port: %w", err)
	}
	return w, o.Version, nil
}

func decodeBinding(raw json.RawMessage) (wireBinding, error) {
	var w wireBinding
	o, err := openObject(raw, bindingType)
	if err != nil {
		return w, err
	}
	if err := decode(o.Data, &w); err != nil {
		return w, fmt.Errorf("binding: %w", err)
	}
	if w.Status == "" {
		return w, errors.New("binding: status is missing")
	}
	// An unbound port has an active binding to the host "".
	if w.Host != "" {
		err = checkHost(w.Host)
	}
	return w, err
}

// checkHost accepts what can name a host: printable, of a length that Neutron
// stores.
func checkHost(host string) error {
	if host == "" {
		return errors.New("host is empty")
	}
	if len(host) > 255 {
		return fmt.Errorf("host of %d characters", len(host))
	}
	for _, r := range host {
		if !unicode.IsGraphic(r) {
			return fmt.Errorf("host %q is not a name", amqp.Clean(host))
		}
	}
	return nil
}
