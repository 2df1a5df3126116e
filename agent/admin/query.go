package admin

import (
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/agent"
)

// Query narrows a Status down, and has it tell of single addresses. The zero value:
// of everything but these.
type Query struct {
	// Router is an id, the beginning of one, or a name. Namespace is a name, or the
	// beginning of one. Either must fit one only.
	Router, Namespace string
	// Address is an IPv6 address that an NDP proxy publishes.
	Address string
}

// Values are the parameters of the request.
func (q Query) Values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"router": q.Router, "namespace": q.Namespace, "address": q.Address} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

func parseQuery(v url.Values) (Query, error) {
	for name := range v {
		if !slices.Contains([]string{"router", "namespace", "address"}, name) {
			return Query{}, Refuse(http.StatusBadRequest, "unknown parameter %q", name)
		}
	}
	return Query{Router: v.Get("router"), Namespace: v.Get("namespace"), Address: v.Get("address")}, nil
}

// narrow finds what a query means.
func (q Query) narrow(l Loop, namespaces []agent.Namespace) (agent.Wanted, error) {
	w := agent.Wanted{Addresses: q != Query{}}
	if q.Router != "" {
		id, err := findRouter(q.Router, l.RouterNames())
		if err != nil {
			return w, err
		}
		w.Routers = []string{id}
	}
	if q.Namespace != "" {
		names := make([]string, 0, len(namespaces))
		for _, n := range namespaces {
			names = append(names, n.Name)
		}
		name, err := one("namespace", q.Namespace, beginning(q.Namespace, names))
		if err != nil {
			return w, err
		}
		w.Namespace = name
	}
	if q.Address != "" {
		a, err := netip.ParseAddr(q.Address)
		if err != nil || !a.Is6() || a.Zone() != "" {
			return w, Refuse(http.StatusBadRequest, "%q is no IPv6 address", q.Address)
		}
		w.Addr = a
	}
	return w, nil
}

// findRouter takes an id or the beginning of one, and where there is none the name.
func findRouter(what string, names map[string]string) (id string, err error) {
	found := beginning(what, slices.Sorted(maps.Keys(names)))
	if len(found) == 0 {
		for id, name := range names {
			if name == what {
				found = append(found, id)
			}
		}
	}
	return one("router", what, found)
}

// beginning returns the name itself, if there is one, or else those that begin so.
func beginning(what string, names []string) []string {
	if slices.Contains(names, what) {
		return []string{what}
	}
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, what) })
}

// one returns the only one.
func one(kind, what string, found []string) (string, error) {
	const most = 4
	switch n := len(found); {
	case n == 0:
		return "", Refuse(http.StatusNotFound, "no %s of this host is called %q", kind, what)
	case n > 1:
		slices.Sort(found)
		return "", Refuse(http.StatusConflict, "%d %ss are called %q, the first %s", n, kind, what, strings.Join(found[:min(n, most)], ", "))
	}
	return found[0], nil
}

// nobody says that there is no such router.
func (q Query) nobody() string {
	switch {
	case q.Address != "" && q.Router == "" && q.Namespace == "":
		return "no router of this host has an NDP proxy for " + q.Address
	case q.Address != "":
		return "none of these routers has an NDP proxy for " + q.Address
	}
	return "the router is not in this namespace"
}

// early adds to a refusal that it may be of no long standing.
func (s Status) early(err error) error {
	var r *Refusal
	if errors.As(err, &r) && r.Code == http.StatusNotFound && !s.Ready {
		return Refuse(r.Code, "%s; but the daemon waits for its first full sync", r.Text)
	}
	return err
}

// of leaves of the namespaces, and of the routers that wait, what the routers that were
// found have to do with.
func of(found []agent.Router, w agent.Wanted, namespaces []agent.Namespace, waiting map[string]string) ([]agent.Namespace, map[string]string) {
	inUse, waits := map[string]bool{w.Namespace: true}, map[string]string{}
	for _, r := range found {
		if what, ok := waiting[r.ID]; ok {
			waits[r.ID] = what
		}
		for _, at := range r.Attachments {
			inUse[at.Namespace] = inUse[at.Namespace] || w.Namespace == ""
		}
	}
	return slices.DeleteFunc(namespaces, func(n agent.Namespace) bool { return !inUse[n.Name] }), waits
}
