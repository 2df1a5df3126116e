package admin

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/inventory"
)

// StateDisabled: of a router, that it is to publish nothing.
const StateDisabled State = "disabled"

// Router is one router, by what is known of it now and the last look at its
// namespaces.
type Router struct {
	ID    string         `json:"id"`
	Name  string         `json:"name"`
	Kind  inventory.Kind `json:"kind"` // "" with source = file
	State State          `json:"state"`
	// Enabled is Neutron's enable_ndp_proxy, and administratively up.
	Enabled bool `json:"enabled"`
	// Obstacle is why the router meets the external network nowhere on this host, or
	// what an attachment waits for.
	Obstacle    string       `json:"obstacle"`
	Attachments []Attachment `json:"attachments"`
	// Proxies of it. Of those of an enabled one Answered are answered for, Pending
	// wait, Failed were refused, and Elsewhere other hosts serve.
	Proxies   int `json:"proxies"`
	Answered  int `json:"answered"`
	Pending   int `json:"pending"`
	Failed    int `json:"failed"`
	Elsewhere int `json:"elsewhere"`
	// Addresses are there when the question was narrowed down; first those that
	// failed, then those that wait.
	Addresses []Address `json:"addresses,omitempty"`
}

// Attachment is one external device of a router.
type Attachment struct {
	Namespace string     `json:"namespace"`
	Device    string     `json:"device"`
	Role      agent.Role `json:"role"`
	// Why it has the role; "" for an active one.
	Why string `json:"why"`
	// Since when; null: longer than this run of the daemon has known it.
	Since *time.Time `json:"since"`
	// LookedAt is when the namespace was last compared; null: it was not yet.
	LookedAt *time.Time `json:"looked_at"`
	Answered int        `json:"answered"`
	Pending  int        `json:"pending"`
	Failed   int        `json:"failed"`
	// Trouble is the reason of the first that failed, or of one that waits for
	// something of its own.
	Trouble string `json:"trouble"`
}

// Address is one NDP proxy.
type Address struct {
	Address netip.Addr         `json:"address"`
	Proxy   string             `json:"proxy"` // its id
	Port    string             `json:"port"`
	State   agent.AddressState `json:"state"`
	// Namespace and Device serve it; "" if none here does.
	Namespace string `json:"namespace"`
	Device    string `json:"device"`
	// Why it has the state; "" for one that is answered for.
	Why string `json:"why"`
	// Since when; null: longer than this run of the daemon has known it.
	Since *time.Time `json:"since"`
}

// Texts of a router are shorter than others: there are many of them.
const (
	maxName   = 64
	maxReason = 256
)

// routers are the worst first, at most maxListed of them and of all addresses.
func routers(all []agent.Router) (out []Router, left int) {
	slices.SortFunc(all, func(a, b agent.Router) int {
		return cmp.Or(routerState(a).order()-routerState(b).order(), cmp.Compare(a.ID, b.ID))
	})
	n, room := min(len(all), maxListed), maxListed
	out, left = make([]Router, 0, n), len(all)-n
	for _, r := range all[:n] {
		addresses := addresses(r.Addresses, room)
		left += len(r.Addresses) - len(addresses)
		room -= len(addresses)
		out = append(out, Router{
			ID: printable(r.ID, maxName), Name: printable(r.Name, maxName), Kind: r.Kind, State: routerState(r), Enabled: r.Enabled,
			Obstacle: printable(r.Obstacle, maxReason), Attachments: attachments(r.Attachments),
			Proxies: r.Proxies, Answered: r.Answered, Pending: r.Pending, Failed: r.Failed, Elsewhere: r.Elsewhere,
			Addresses: addresses,
		})
	}
	return out, left
}

// addresses are the worst first, at most so many.
func addresses(all []agent.Address, most int) []Address {
	slices.SortStableFunc(all, func(a, b agent.Address) int { return addressOrder(a.State) - addressOrder(b.State) })
	var out []Address
	for _, a := range all[:min(len(all), most)] {
		out = append(out, Address{
			Address: a.Addr, Proxy: printable(a.ID, maxName), Port: printable(a.PortID, maxName), State: a.State,
			Namespace: printable(a.Namespace, maxName), Device: printable(a.Device, maxName), Why: printable(a.Why, maxReason), Since: known(a.Since),
		})
	}
	return out
}

func attachments(all []agent.Attachment) []Attachment {
	out := make([]Attachment, 0, len(all))
	for _, at := range all {
		out = append(out, Attachment{
			Namespace: printable(at.Namespace, maxName), Device: printable(at.Device, maxName), Role: at.Role, Why: printable(at.Why, maxReason),
			Since: known(at.Since), LookedAt: known(at.Looked),
			Answered: at.Answered, Pending: at.Pending, Failed: at.Failed, Trouble: printable(at.Trouble, maxReason),
		})
	}
	return out
}

func routerState(r agent.Router) State {
	switch {
	case !r.Enabled:
		return StateDisabled
	case r.Failed > 0:
		return StateFailed
	case slices.ContainsFunc(r.Attachments, func(at agent.Attachment) bool { return at.Looked.IsZero() }):
		return StateNew
	case r.Pending > 0:
		return StateWaiting
	}
	return StateOK
}

func addressOrder(s agent.AddressState) int {
	return slices.Index([]agent.AddressState{agent.Failed, agent.Pending, agent.Answered, agent.Elsewhere, agent.Disabled}, s)
}

// order puts what needs a look first.
func (s State) order() int {
	return slices.Index([]State{StateFailed, StateWaiting, StateNew, StateOK, StateDisabled}, s)
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return known(*t)
}

// known is a time, nil if there is none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
