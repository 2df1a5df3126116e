package nstest

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// Neighbour is an entry of the kernel's neighbour cache.
type Neighbour struct {
	Addr  netip.Addr `json:"dst"`
	MAC   string     `json:"lladdr"`
	State []string   `json:"state"`
	// Router is there, as null, if the entry has the mark.
	Router json.RawMessage `json:"router"`
	Raw    string          `json:"-"`
}

// IsRouter tells whether the entry has the router mark.
func (n Neighbour) IsRouter() bool { return len(n.Router) > 0 }

// Neighbour returns the cache's entry for addr.
func (n *Namespace) Neighbour(device string, addr netip.Addr) Neighbour {
	n.t.Helper()
	var entries []Neighbour
	n.json(&entries, "-6", "neigh", "show", addr.String(), "dev", device)
	if len(entries) != 1 {
		n.t.Fatalf("%d neighbour entries for %s on %s, want 1", len(entries), addr, device)
	}
	entries[0].Raw = strings.TrimSpace(n.IP("-6", "neigh", "show", addr.String(), "dev", device))
	return entries[0]
}

// Neighbours returns all that the cache has for a device, without Raw.
func (n *Namespace) Neighbours(device string) map[netip.Addr]Neighbour {
	n.t.Helper()
	var entries []Neighbour
	n.json(&entries, "-6", "neigh", "show", "nud", "all", "dev", device)
	all := make(map[netip.Addr]Neighbour, len(entries))
	for _, e := range entries {
		all[e.Addr] = e
	}
	return all
}

// Batch runs many commands of ip in one process.
func (n *Namespace) Batch(commands ...string) {
	n.t.Helper()
	path := filepath.Join(n.t.TempDir(), "batch")
	if err := os.WriteFile(path, []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.IP("-batch", path)
}
