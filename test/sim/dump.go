package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/test/nettest"
)

// Ours are the daemon's marks.
const (
	Protocol = "110"
	Table    = "neutron_ndp_proxy"
)

// Dump is what a namespace holds, read with ip(8), nft(8) and from /proc/sys.
type Dump struct {
	Devices map[string]*DeviceDump
	// Proxies are proxy neighbours of all makers.
	Proxies []ProxyDump
	// Routes and Rules of all makers, without the kernel's own.
	Routes []RouteDump
	Rules  []RuleDump
	// Present: our table is there; Sets are its sets of addresses by name, each
	// element as nft names it; Comments those of its rules.
	Present  bool
	Sets     map[string][]string
	Comments []string
	// Tables of everybody, "family name".
	Tables []string
}

// DeviceDump is one device.
type DeviceDump struct {
	Name       string `json:"ifname"`
	MAC        string `json:"address"`
	Flags      []string
	AddrInfo   []AddrDump `json:"addr_info"`
	IPv6       bool       `json:"-"`
	ProxyNDP   string     `json:"-"`
	ProxyDelay string     `json:"-"`
}

// AddrDump is one address of a device.
type AddrDump struct {
	Local     netip.Addr
	Tentative bool
}

// ProxyDump is one proxy neighbour.
type ProxyDump struct{ Dst, Dev, Protocol string }

// RouteDump is one route.
type RouteDump struct {
	Dst, Gateway, Dev, Table, Protocol, Type string
	Metric                                   int
	Flags                                    []string
}

// RuleDump is one policy rule.
type RuleDump struct {
	Priority             int
	Src, IIF, Table      string
	Protocol, SrcLen, To string
}

// Up and Holds are as ip shows them.
func (d *DeviceDump) Up() bool { return slices.Contains(d.Flags, "UP") }

// Holds reports whether the device has a usable address.
func (d *DeviceDump) Holds(a netip.Addr) bool {
	return slices.ContainsFunc(d.AddrInfo, func(x AddrDump) bool { return x.Local == a && !x.Tentative })
}

// LinkLocal is the first usable link-local address.
func (d *DeviceDump) LinkLocal() netip.Addr {
	for _, x := range d.AddrInfo {
		if x.Local.IsLinkLocalUnicast() && !x.Tentative {
			return x.Local
		}
	}
	return netip.Addr{}
}

// ReadDump dumps a namespace. An error: it went, or changed, meanwhile.
func ReadDump(n *nettest.Namespace) (*Dump, error) {
	d := &Dump{Devices: map[string]*DeviceDump{}, Sets: map[string][]string{}}
	out, err := n.Feed("", "ip", "-j", "addr", "show")
	if err != nil {
		return nil, err
	}
	var devices []*DeviceDump
	if err := json.Unmarshal([]byte(out), &devices); err != nil {
		return nil, fmt.Errorf("%s: addresses: %w in %s", n.Name, err, out)
	}
	for _, dev := range devices {
		if dev != nil && dev.Name != "" {
			d.Devices[dev.Name] = dev
		}
	}
	out, err = n.Feed("neigh show proxy\nroute show table all\nrule show\n", "ip", "-6", "-j", "-N", "-d", "-batch", "-")
	if err != nil {
		return nil, err
	}
	if err := d.lists(out); err != nil {
		return nil, fmt.Errorf("%s: %w in %s", n.Name, err, out)
	}
	if err := n.Enter(d.sysctls); err != nil {
		return nil, err
	}
	if out, err = n.Feed("", "nft", "-j", "list", "ruleset"); err != nil {
		return nil, err
	}
	if err := d.ruleset(out); err != nil {
		return nil, fmt.Errorf("%s: %w in %s", n.Name, err, out)
	}
	return d, nil
}

// lists reads the arrays that ip prints one after the other, none for an empty
// list of neighbours.
func (d *Dump) lists(out string) error {
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var list []struct {
			ProxyDump
			Proxy    *json.RawMessage
			Gateway  string
			Type     string
			Table    string
			Metric   int
			Flags    []string
			Priority *int
			Src, IIF string
		}
		if err := dec.Decode(&list); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for _, e := range list {
			switch {
			case e.Priority != nil:
				d.Rules = append(d.Rules, RuleDump{Priority: *e.Priority, Src: e.Src, IIF: e.IIF, Table: e.Table, Protocol: e.Protocol})
			case e.Type != "":
				if e.Protocol != "2" { // the kernel's
					d.Routes = append(d.Routes, RouteDump{Dst: e.Dst, Gateway: e.Gateway, Dev: e.Dev, Table: e.Table,
						Protocol: e.Protocol, Type: e.Type, Metric: e.Metric, Flags: e.Flags})
				}
			default:
				d.Proxies = append(d.Proxies, e.ProxyDump)
			}
		}
	}
}

func (d *Dump) sysctls() error {
	for name, dev := range d.Devices {
		value := func(key string) string {
			b, err := os.ReadFile("/proc/sys/net/ipv6/" + key)
			if err != nil {
				return "" // no IPv6, or gone
			}
			return strings.TrimSpace(string(b))
		}
		dev.ProxyNDP = value("conf/" + name + "/proxy_ndp")
		dev.IPv6 = dev.ProxyNDP != "" && value("conf/"+name+"/disable_ipv6") == "0"
		dev.ProxyDelay = value("neigh/" + name + "/proxy_delay")
	}
	return nil
}

func (d *Dump) ruleset(out string) error {
	var doc struct {
		Nftables []struct {
			Table *struct{ Family, Name string }
			Set   *struct {
				Family, Table, Name string
				Type                json.RawMessage
				Elem                []json.RawMessage
			}
			Rule *struct{ Family, Table, Comment string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		return err
	}
	for _, o := range doc.Nftables {
		switch {
		case o.Table != nil:
			d.Tables = append(d.Tables, o.Table.Family+" "+o.Table.Name)
			d.Present = d.Present || o.Table.Name == Table
		case o.Set != nil && o.Set.Table == Table:
			elements := make([]string, 0, len(o.Set.Elem))
			for _, raw := range o.Set.Elem {
				elements = append(elements, element(raw))
			}
			slices.Sort(elements)
			d.Sets[o.Set.Name] = elements
		case o.Rule != nil && o.Rule.Table == Table:
			d.Comments = append(d.Comments, o.Rule.Comment)
		}
	}
	return nil
}

// element is an address, or a prefix with its length.
func element(raw json.RawMessage) string {
	var addr string
	if json.Unmarshal(raw, &addr) == nil {
		return addr
	}
	var p struct {
		Prefix struct {
			Addr string
			Len  int
		}
	}
	if json.Unmarshal(raw, &p) == nil && p.Prefix.Addr != "" {
		return fmt.Sprintf("%s/%d", p.Prefix.Addr, p.Prefix.Len)
	}
	return string(raw)
}
