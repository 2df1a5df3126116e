package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Reconciled is what came of a reconcile.
type Reconciled struct {
	Looks []Done
	// Unsynced is why the source was not asked for everything, or did not answer; nil if
	// it did, or has nothing more to say.
	Unsynced error
}

// Reconcile has everything that is selected looked at, thoroughly and now; then asks the
// source for everything, with sync, and looks once more. sync is nil where there is
// nothing to ask. It returns when that is done, or with the context.
func (a *Agent) Reconcile(ctx context.Context, s Selection, sync func(ctx context.Context) error) (Reconciled, error) {
	names, err := a.concernedBy(ctx, s)
	if err != nil {
		return Reconciled{}, err
	}
	o := a.begin(ctx, names, nil)
	defer a.end(o)
	var r Reconciled
	done := o.await(ctx, o.allLooked)
	if sync != nil {
		if r.Unsynced = sync(ctx); r.Unsynced == nil && done {
			if more, err := a.concernedBy(ctx, s); err == nil {
				names = more
			}
			a.again(o, names)
			o.await(ctx, o.allLooked)
		}
	}
	r.Looks = o.list()
	return r, nil
}

// concernedBy are the selected namespaces in which there may be something to do. One
// that is named and nobody's is an [ErrNotHere]: it would be looked at for nothing.
func (a *Agent) concernedBy(ctx context.Context, s Selection) ([]string, error) {
	if s.Router != "" {
		return a.Select(ctx, s)
	}
	for _, ns := range s.Namespaces {
		d, err := a.Compare(ctx, ns)
		switch {
		case err == nil && d.Nobodys:
			return nil, fmt.Errorf("namespace %s: %w", ns, ErrNotHere)
		case err != nil && !a.inhabited(ns):
			// It can be none: what was queued for it would be tried again for ever.
			return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
		}
	}
	if len(s.Namespaces) > 0 {
		return a.Select(ctx, s)
	}
	left, err := a.leftovers(ctx)
	if err != nil && len(left) == 0 && ctx.Err() != nil {
		return nil, err
	}
	return append(a.inventory.Namespaces(), left...), nil
}

// inhabited reports whether a router is in a namespace.
func (a *Agent) inhabited(ns string) bool {
	entries, _ := a.inventory.Namespace(ns)
	return len(entries) > 0
}

// Why an announcement can't be ordered.
var (
	ErrNotPublished = errors.New("nothing on this host publishes it, as far as the source has told")
	ErrNotEnabled   = errors.New("NDP proxying is off")
	ErrSilent       = errors.New("nothing is announced with announce = false")
)

// Fate is what became of one address of an announcement.
type Fate struct {
	Addr              netip.Addr
	Namespace, Device string
	// Sent: an advertisement has left since. Owed: it leaves as soon as it can.
	Sent, Owed bool
	// Why says what it waits for, or why it is not answered for here.
	Why string
}

// Teller is an [Announcer] that says what becomes of what is owed; *announcer.Announcer
// is one.
type Teller interface {
	OweTold(ctx context.Context, target announcer.Target, told func(addr netip.Addr, sent bool), addrs ...netip.Addr)
	Trouble(target announcer.Target) error
}

// Announce owes an announcement of an address, or of all that a router publishes here,
// where the next look finds it answered for, and returns when it has left, or with the
// context. What is owed then stays owed. Sorted by address. Errors: [ErrNotHere],
// [ErrNotPublished], [ErrNotEnabled], [ErrSilent].
func (a *Agent) Announce(ctx context.Context, router string, addr netip.Addr) ([]Fate, error) {
	if _, tells := a.o.Announcer.(Teller); !tells {
		return nil, ErrSilent
	}
	names, wants, err := a.announced(router, addr)
	if err != nil {
		return nil, err
	}
	o := a.begin(ctx, names, wants)
	defer a.end(o)
	o.await(ctx, func() bool {
		return o.allLooked() && o.owed == 0 // asked at each of thousands of addresses
	})
	return a.fates(o), nil
}

// announced returns where an announcement may be made, and of what.
func (a *Agent) announced(router string, addr netip.Addr) (names []string, wants func(netip.Addr) bool, err error) {
	if router != "" {
		e, known := a.inventory.Router(router)
		switch {
		case !known:
			return nil, nil, fmt.Errorf("router %s: %w", router, ErrNotHere)
		case !e.Router.Enabled:
			return nil, nil, fmt.Errorf("router %s: %w", router, ErrNotEnabled)
		}
		of := map[netip.Addr]bool{}
		for _, p := range e.Proxies {
			of[p.Addr] = true
		}
		if names = serving(e, func(inventory.Proxy) bool { return true }); len(names) == 0 {
			return nil, nil, fmt.Errorf("router %s: %w", router, ErrNotPublished)
		}
		return names, func(a netip.Addr) bool { return of[a] }, nil
	}
	var off string
	for _, id := range a.inventory.RouterIDs() {
		e, _ := a.inventory.Router(id)
		is := func(p inventory.Proxy) bool { return p.Addr == addr }
		switch {
		case !slices.ContainsFunc(e.Proxies, is):
		case !e.Router.Enabled:
			off = id
		default:
			names = append(names, serving(e, is)...)
		}
	}
	switch {
	case len(names) > 0:
		return names, func(a netip.Addr) bool { return a == addr }, nil
	case off != "":
		return nil, nil, fmt.Errorf("address %s, router %s: %w", addr, off, ErrNotEnabled)
	}
	return nil, nil, fmt.Errorf("address %s: %w", addr, ErrNotPublished)
}

// serving are the namespaces in which such a proxy of the router is served here.
func serving(e inventory.Entry, which func(inventory.Proxy) bool) []string {
	return slices.DeleteFunc(namespacesOf(e), func(ns string) bool { return !slices.ContainsFunc(plan.Served(ns, e), which) })
}

// announceOrdered owes what was ordered of a namespace, and says of the rest why not.
func (a *Agent) announceOrdered(r *record, ns string, p plan.Plan, have dataplane.Observation, result dataplane.Result) {
	if r == nil {
		return
	}
	for o := range r.orders {
		if o.announces == nil || o.waits.Err() != nil {
			continue
		}
		for _, d := range p.State.Devices {
			t := announcer.Target{Namespace: ns, Device: d.Name}
			var owed []netip.Addr
			if d.Answer {
				owed = slices.DeleteFunc(answered(d, have, result.Answerable[d.Name]), func(addr netip.Addr) bool { return !o.announces(addr) })
			}
			why := cmp.Or(p.Standby[d.Name], "it is not answered for: the kernel could not be told")
			for _, addr := range d.Published {
				if _, fine := slices.BinarySearchFunc(owed, addr, netip.Addr.Compare); o.announces(addr) && !fine { // sorted as these
					o.refuse(t, addr, why)
				}
			}
			a.oweOrdered(o, t, o.news(t, owed))
		}
		for _, refused := range [][]plan.Rejection{p.Rejected, p.Waiting} {
			for _, rejected := range refused {
				if o.announces(rejected.Proxy.Addr) {
					o.refuse(announcer.Target{Namespace: ns}, rejected.Proxy.Addr, rejected.Reason)
				}
			}
		}
	}
}

func (a *Agent) oweOrdered(o *order, t announcer.Target, addrs []netip.Addr) {
	teller, tells := a.o.Announcer.(Teller)
	if len(addrs) == 0 || !tells {
		return
	}
	o.change(func() {
		for _, addr := range addrs {
			o.fate(t, Fate{Addr: addr, Owed: true})
		}
	})
	a.debts.Mark(t.Namespace)
	teller.OweTold(o.waits, t, func(addr netip.Addr, sent bool) {
		o.change(func() {
			f := Fate{Addr: addr, Sent: sent}
			if !sent {
				f.Why = "it was taken back before it could leave: it is not answered for here any more, or the device is gone"
			}
			o.fate(t, f)
		})
	}, addrs...)
}

// news are the addresses that the order has not owed yet, or that were taken back since.
// There may be many looks while an order waits for one of its addresses: each is announced
// for it once.
func (o *order) news(t announcer.Target, addrs []netip.Addr) []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool {
		f := o.fates[fateOf{t, addr}]
		return f.Owed || f.Sent
	})
}

func (o *order) refuse(t announcer.Target, addr netip.Addr, why string) {
	o.change(func() { o.fate(t, Fate{Addr: addr, Why: why}) })
}

// fate sets what became of an address, with the order locked.
func (o *order) fate(t announcer.Target, f Fate) {
	f.Namespace, f.Device = t.Namespace, t.Device
	key := fateOf{t, f.Addr}
	if o.fates[key].Owed {
		o.owed--
	}
	if f.Owed {
		o.owed++
	}
	o.fates[key] = f
}

// fates says what became of all addresses, and of namespaces that tell of none.
func (a *Agent) fates(o *order) []Fate {
	o.mu.Lock()
	var out []Fate
	told := map[string]bool{}
	for _, f := range o.fates {
		out, told[f.Namespace] = append(out, f), true
	}
	for ns, l := range o.looks {
		if !told[ns] {
			out = append(out, Fate{Namespace: ns, Why: cmp.Or(l.Trouble, map[bool]string{false: "it was not looked at in time", true: "nothing of it is published there"}[l.Looked])})
		}
	}
	o.mu.Unlock()
	for i, f := range out {
		if f.Owed {
			out[i].Why = "it waits for its turn (announce_rate)"
			if err := a.o.Announcer.(Teller).Trouble(announcer.Target{Namespace: f.Namespace, Device: f.Device}); err != nil {
				out[i].Why = err.Error()
			}
		}
	}
	slices.SortFunc(out, func(a, b Fate) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Device, b.Device))
	})
	return out
}
