package nettools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Sets returns the elements of all sets of an nftables table as strings ("2001:db8::5",
// "2001:db8::/112", "2001:db8::1:0-2001:db8::2:ffff" for prefixes that the kernel or nft has joined), each
// sorted; nil if the table is not there. Elements of other kinds than addresses,
// prefixes and names are left out.
func Sets(ctx context.Context, ns, family, table string) (map[string][]string, error) {
	tables, err := Tables(ctx, ns)
	if err != nil || !slices.Contains(tables, family+" "+table) {
		return nil, err
	}
	out, err := Exec(ctx, ns, "nft", "-j", "list", "table", family, table)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Nftables []struct {
			Set *struct {
				Name string
				Elem []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("nft table %s of %s: %w", table, ns, err)
	}
	sets := map[string][]string{}
	for _, o := range doc.Nftables {
		if o.Set == nil {
			continue
		}
		sets[o.Set.Name] = []string{}
		for _, raw := range o.Set.Elem {
			if e := element(raw); e != "" {
				sets[o.Set.Name] = append(sets[o.Set.Name], e)
			}
		}
		slices.Sort(sets[o.Set.Name])
	}
	return sets, nil
}

// element reads a set's element as nft -j writes it: a value, {"prefix": ...}, or either in {"elem": ...}
// if it has a comment or a timeout.
func element(raw json.RawMessage) string {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return plain
	}
	var e struct {
		Prefix *struct {
			Addr string
			Len  int
		}
		Range []string
		Elem  *struct{ Val json.RawMessage }
	}
	if json.Unmarshal(raw, &e) != nil {
		return ""
	}
	switch {
	case e.Prefix != nil:
		return e.Prefix.Addr + "/" + strconv.Itoa(e.Prefix.Len)
	case len(e.Range) == 2:
		return e.Range[0] + "-" + e.Range[1]
	case e.Elem != nil:
		return element(e.Elem.Val)
	}
	return ""
}
