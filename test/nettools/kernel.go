package nettools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ProxyEntry is a proxy neighbour as iproute2 shows it.
type ProxyEntry struct {
	Addr     netip.Addr
	Device   string
	Protocol string // rtnetlink protocol as shown; "" if it has none
}

func (e ProxyEntry) String() string {
	s := e.Addr.String() + " dev " + e.Device
	if e.Protocol != "" {
		s += " proto " + e.Protocol
	}
	return s
}

// ProxyEntries lists all IPv6 proxy neighbours of a namespace, sorted. With args, as iproute2's
// selectors ("proto", "110"), only those.
func ProxyEntries(ctx context.Context, ns string, args ...string) ([]ProxyEntry, error) {
	out, err := IP(ctx, ns, append([]string{"-6", "neigh", "show", "proxy"}, args...)...)
	if err != nil {
		return nil, err
	}
	var all []ProxyEntry
	for line := range strings.Lines(string(out)) {
		e, err := proxyEntry(strings.Fields(line))
		if err != nil {
			return nil, fmt.Errorf("proxy entries of %s: %q: %w", ns, line, err)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b ProxyEntry) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

func proxyEntry(words []string) (ProxyEntry, error) {
	var e ProxyEntry
	if len(words) == 0 {
		return e, fmt.Errorf("empty line")
	}
	addr, err := netip.ParseAddr(words[0])
	if err != nil {
		return e, err
	}
	e.Addr = addr
	for i := 1; i+1 < len(words); i++ {
		switch words[i] {
		case "dev":
			e.Device = words[i+1]
		case "proto":
			e.Protocol = words[i+1]
		}
	}
	return e, nil
}

// Tables lists the nftables tables of a namespace as "family name", sorted.
func Tables(ctx context.Context, ns string) ([]string, error) {
	out, err := Exec(ctx, ns, "nft", "-j", "list", "tables")
	if err != nil {
		return nil, err
	}
	var doc struct {
		Nftables []struct {
			Table *struct{ Family, Name string }
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("nft tables of %s: %w", ns, err)
	}
	var names []string
	for _, o := range doc.Nftables {
		if o.Table != nil {
			names = append(names, o.Table.Family+" "+o.Table.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Table returns a table as nft prints it; "" if it is not there.
func Table(ctx context.Context, ns, family, name string) (string, error) {
	tables, err := Tables(ctx, ns)
	if err != nil || !slices.Contains(tables, family+" "+name) {
		return "", err
	}
	out, err := Exec(ctx, ns, "nft", "list", "table", family, name)
	return string(out), err
}

// Kernel is what a namespace holds of what an NDP proxy agent writes.
type Kernel struct {
	Namespace string
	Entries   []ProxyEntry      // all, also of others
	Tables    []string          // "family name"
	Ours      string            // the agent's nftables table as nft prints it
	Sysctls   map[string]string // ipv6/conf/<device>/proxy_ndp and forwarding, ipv6/neigh/<device>/proxy_delay
}

// ReadKernel dumps a namespace; table is the name of the agent's table (family ip6).
func ReadKernel(ctx context.Context, ns, table string) (Kernel, error) {
	k := Kernel{Namespace: ns, Sysctls: map[string]string{}}
	var err error
	if k.Entries, err = ProxyEntries(ctx, ns); err != nil {
		return k, err
	}
	if k.Tables, err = Tables(ctx, ns); err != nil {
		return k, err
	}
	if k.Ours, err = Table(ctx, ns, "ip6", table); err != nil {
		return k, err
	}
	devices, err := Devices(ctx, ns)
	if err != nil {
		return k, err
	}
	for _, d := range append(devices, "all") {
		keys := []string{"ipv6/conf/" + d + "/proxy_ndp", "ipv6/conf/" + d + "/forwarding", "ipv6/neigh/" + d + "/proxy_delay"}
		for _, key := range keys {
			value, err := Sysctl(ns, key)
			if IsGone(err) {
				continue // the device went, or "all", which has no neigh
			}
			if err != nil {
				return k, err
			}
			k.Sysctls[key] = value
		}
	}
	return k, nil
}

// Marked returns the entries that carry the protocol number.
func (k Kernel) Marked(protocol int) []ProxyEntry {
	var marked []ProxyEntry
	for _, e := range k.Entries {
		if e.Protocol == strconv.Itoa(protocol) {
			marked = append(marked, e)
		}
	}
	return marked
}

// String is for the log of a failed test.
func (k Kernel) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "namespace %s\n", k.Namespace)
	for _, e := range k.Entries {
		fmt.Fprintf(&b, "  proxy %s\n", e)
	}
	var keys []string
	for key := range k.Sysctls {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		fmt.Fprintf(&b, "  %s = %s\n", key, k.Sysctls[key])
	}
	fmt.Fprintf(&b, "  tables: %s\n%s", strings.Join(k.Tables, ", "), k.Ours)
	return b.String()
}

// Devices lists the names of a namespace's interfaces.
func Devices(ctx context.Context, ns string) ([]string, error) {
	out, err := IP(ctx, ns, "-json", "link", "show")
	if err != nil {
		return nil, err
	}
	var links []struct {
		Name string `json:"ifname"`
	}
	if err := json.Unmarshal(out, &links); err != nil {
		return nil, fmt.Errorf("links of %s: %w", ns, err)
	}
	names := make([]string, 0, len(links))
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names, nil
}
