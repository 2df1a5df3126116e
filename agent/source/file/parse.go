package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// version is the only one there is. A file must name it, so that a later
// layout can't be taken for this one.
const version = 1

// Bounds of one file: far above what a device can answer for (about 10,000
// entries), low enough that a mistaken file can't eat the machine: while it is
// read, each of the shortest nodes that YAML has takes more than a hundred bytes.
const (
	maxBytes     = 4 << 20
	maxPublished = 1 << 17
	// maxMistakes are named; maxWords bounds what is said of them.
	maxMistakes = 20
	maxWords    = 4096
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
	var node yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(raw)).Decode(&node); err == nil {
		if err := narrow(&node); err != nil {
			return inventory.Snapshot{}, err
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	var doc document
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return inventory.Snapshot{}, errors.New("the file is empty; `version: 1` alone publishes nothing")
	} else if err != nil {
		return inventory.Snapshot{}, shortened{err}
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

// maxKeys bounds the keys of one mapping, of which the format has four.
const maxKeys = 16

// narrow refuses mappings with very many keys: the library compares each with
// each, and tells of every pair that is equal.
func narrow(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode && len(n.Content) > 2*maxKeys {
		return fmt.Errorf("line %d: more than %d keys in one mapping", n.Line, maxKeys)
	}
	for _, inner := range n.Content { // an alias has none of its own
		if err := narrow(inner); err != nil {
			return err
		}
	}
	return nil
}

// shortened is an error of the YAML library, which tells everything it found.
type shortened struct{ error }

func (e shortened) Error() string {
	text := e.error.Error()
	if len(text) <= maxWords {
		return text
	}
	return text[:maxWords] + "..."
}

func (e shortened) Unwrap() error { return e.error }

type parser struct {
	snapshot inventory.Snapshot
	seen     map[string]bool
	errs     []error
	mistakes int
}

func (p *parser) fail(line int, format string, args ...any) {
	if p.mistakes++; p.mistakes > maxMistakes {
		p.errs = append(p.errs[:maxMistakes], fmt.Errorf("and %d more", p.mistakes-maxMistakes))
		return
	}
	err := fmt.Errorf(format, args...)
	if line > 0 {
		err = fmt.Errorf("line %d: %w", line, err)
	}
	p.errs = append(p.errs, err)
}

func (p *parser) namespace(ns namespace) {
	if why := badName(ns.Name, 255); why != "" {
		p.fail(0, "namespace %.100q: %s", ns.Name, why)
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
		p.fail(0, "namespace %q: device %.100q: %s", ns, d.Name, why)
		return
	}
	id := ns + "/" + d.Name
	if p.seen[id] {
		p.fail(0, "device %s is listed twice", id)
		return
	}
	p.seen[id] = true
	r := inventory.Router{ID: id, Name: id, Enabled: true, Open: true}
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
		p.fail(v.line, "%.100q is not an IPv6 address", v.text)
	case a.Zone() != "":
		p.fail(v.line, "%.100q is not a global unicast IPv6 address: it has a zone", v.text)
	case !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast():
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
		p.fail(v.line, "%.100q is not an IPv6 prefix", v.text)
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
// net/core/dev.c), which are those of file names, less white space and colons;
// and what cannot be printed is nobody's name for anything.
func badName(name string, most int) string {
	switch {
	case name == "":
		return "no name"
	case len(name) > most:
		return fmt.Sprintf("longer than %d characters", most)
	case name == "." || name == ".." || strings.ContainsAny(name, "/:") ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) || !utf8.ValidString(name):
		return "not a valid name"
	}
	return ""
}
