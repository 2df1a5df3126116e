package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"go.yaml.in/yaml/v3"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// version is the only one there is. A file must name it, so that a later
// layout can't be taken for this one.
const version = 1

// Bounds of one file: far above what a device can answer for (facts.md: about
// 10,000 entries), low enough that a mistaken file can't eat the machine.
const (
	maxBytes     = 64 << 20
	maxPublished = 1 << 20
)

type document struct {
	Version    int         `yaml:"version"`
	Namespaces []namespace `yaml:"namespaces"`
}

type namespace struct {
	Name    string   `yaml:"name"`
	Devices []device `yaml:"devices"`
}

type device struct {
	Name             string  `yaml:"name"`
	GatewayAddresses []value `yaml:"gateway_addresses"`
	InternalSubnets  []value `yaml:"internal_subnets"`
	Published        []value `yaml:"published"`
}

// value is a scalar that remembers its line, for errors that point at it.
type value struct {
	text string
	line int
}

// UnmarshalYAML takes scalars only.
func (v *value) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: want one address or prefix", n.Line)
	}
	v.text, v.line = n.Value, n.Line
	return nil
}

// Parse reads one document. All mistakes are reported together, each with its
// line where there is one; nothing of a mistaken file is used.
func Parse(raw []byte) (inventory.Snapshot, error) {
	if len(raw) > maxBytes {
		return inventory.Snapshot{}, fmt.Errorf("larger than %d bytes", maxBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	var doc document
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return inventory.Snapshot{}, errors.New("the file is empty; `version: 1` alone publishes nothing")
	} else if err != nil {
		return inventory.Snapshot{}, err
	}
	if err := dec.Decode(&document{}); !errors.Is(err, io.EOF) {
		return inventory.Snapshot{}, errors.New("more than one YAML document")
	}
	if doc.Version != version {
		return inventory.Snapshot{}, fmt.Errorf("version: %d; this program reads version %d", doc.Version, version)
	}
	p := parser{seen: map[string]bool{}}
	for _, ns := range doc.Namespaces {
		p.namespace(ns)
	}
	if len(p.snapshot.Proxies) > maxPublished {
		p.fail(0, "more than %d published addresses", maxPublished)
	}
	return p.snapshot, errors.Join(p.errs...)
}

type parser struct {
	snapshot inventory.Snapshot
	seen     map[string]bool
	errs     []error
}

func (p *parser) fail(line int, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if line > 0 {
		err = fmt.Errorf("line %d: %w", line, err)
	}
	p.errs = append(p.errs, err)
}

func (p *parser) namespace(ns namespace) {
	if why := badName(ns.Name, 255); why != "" {
		p.fail(0, "namespace %q: %s", ns.Name, why)
		return
	}
	if len(ns.Devices) == 0 {
		p.fail(0, "namespace %q: no devices", ns.Name)
	}
	for _, d := range ns.Devices {
		p.device(ns.Name, d)
	}
}

func (p *parser) device(ns string, d device) {
	// IFNAMSIZ of linux/if.h is 16 with the final NUL.
	if why := badName(d.Name, 15); why != "" {
		p.fail(0, "namespace %q: device %q: %s", ns, d.Name, why)
		return
	}
	id := ns + "/" + d.Name
	if p.seen[id] {
		p.fail(0, "device %s is listed twice", id)
		return
	}
	p.seen[id] = true
	r := inventory.Router{ID: id, Name: id, Enabled: true}
	at := inventory.Attachment{Namespace: ns, Device: d.Name}
	for _, v := range d.GatewayAddresses {
		if a, ok := p.addr(v); ok {
			at.Addrs = append(at.Addrs, a)
		}
	}
	for _, v := range d.InternalSubnets {
		if s, ok := p.prefix(v); ok {
			r.Subnets = append(r.Subnets, inventory.Subnet{Prefix: s})
		}
	}
	for _, v := range d.Published {
		if a, ok := p.addr(v); ok {
			p.publish(r, v.line, a)
		}
	}
	r.External = []inventory.Attachment{at}
	p.snapshot.Routers = append(p.snapshot.Routers, r)
}

func (p *parser) publish(r inventory.Router, line int, a netip.Addr) {
	id := r.ID + "/" + a.String()
	if p.seen[id] {
		p.fail(line, "%s is published twice on %s", a, r.ID)
		return
	}
	p.seen[id] = true
	for _, s := range r.Subnets {
		if s.Prefix.Contains(a) {
			p.snapshot.Proxies = append(p.snapshot.Proxies, inventory.Proxy{ID: id, RouterID: r.ID, Addr: a})
			return
		}
	}
	p.fail(line, "%s is outside every internal subnet of %s", a, r.ID)
}

func (p *parser) addr(v value) (netip.Addr, bool) {
	a, err := netip.ParseAddr(v.text)
	switch {
	case err != nil:
		p.fail(v.line, "%q is not an IPv6 address", v.text)
	case !a.Is6() || a.Is4In6() || a.Zone() != "" || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast():
		p.fail(v.line, "%s is not a global unicast IPv6 address", a)
	default:
		return a, true
	}
	return netip.Addr{}, false
}

func (p *parser) prefix(v value) (netip.Prefix, bool) {
	s, err := netip.ParsePrefix(v.text)
	switch {
	case err != nil || !s.Addr().Is6() || s.Addr().Is4In6():
		p.fail(v.line, "%q is not an IPv6 prefix", v.text)
	case s != s.Masked():
		p.fail(v.line, "%s has bits beyond its length; did you mean %s?", s, s.Masked())
	case s.Bits() == 0:
		p.fail(v.line, "%s would guard every address there is", s)
	default:
		return s, true
	}
	return netip.Prefix{}, false
}

// badName applies the kernel's rules for names of devices (dev_valid_name of
// net/core/dev.c), which are those of file names, less white space and colons.
func badName(name string, most int) string {
	switch {
	case name == "":
		return "no name"
	case len(name) > most:
		return fmt.Sprintf("longer than %d characters", most)
	case name == "." || name == ".." || strings.ContainsAny(name, "/: \t\r\n\v\f\x00"):
		return "not a valid name"
	}
	return ""
}
