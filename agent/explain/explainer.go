package explain

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/inventory"
	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Loop is what is asked of *agent.Agent.
type Loop interface {
	Inventory() *inventory.Inventory
	Preview(ctx context.Context, ns string) (agent.Preview, error)
	Namespace(name string) agent.Namespace
}

// Kernel is what is asked of *dataplane.Dataplane.
type Kernel interface {
	Namespaces(ctx context.Context) ([]string, error)
	Trace(ctx context.Context, ns, device string, addr netip.Addr) (dataplane.Trace, error)
	Holders(ctx context.Context, namespaces []string, addr netip.Addr) ([]dataplane.Holder, error)
	Enter(ns string, fn func() error) error
}

// Options of an [Explainer].
type Options struct {
	Host, Source, NetnsDir string
	Audit                  time.Duration
	Most                   int
	Loop                   Loop
	Kernel                 Kernel
	// Scope reports whether a namespace may hold what this source published.
	Scope func(ns string) bool
	// Overdue names the parts that are stuck, Broker is the connection, nil where none
	// is needed. They return at once.
	Overdue func() []string
	Broker  func() *admin.Broker
	// Ask asks the server, nil where there is none.
	Ask func(ctx context.Context, addr netip.Addr) ([]ServerProxy, error)
	// Debt is what an address owes, nil with announce = false.
	Debt func(t announcer.Target, addr netip.Addr) announcer.Debt
}

// Bounds of an answer. The server may need longer for one question: then it is not
// waited for.
const (
	Limit       = 10 * time.Second
	askLimit    = 3 * time.Second
	searchLimit = 3 * time.Second
	maxSites    = 8 // of one address
)

// Explainer answers. Safe for concurrent use.
type Explainer struct{ o Options }

// New returns an Explainer.
func New(o Options) *Explainer { return &Explainer{o: o} }

// Explain finds out about an address. What can't be found out in time is unknown;
// the error is the context's.
func (x *Explainer) Explain(ctx context.Context, addr netip.Addr) (Answer, error) {
	f := x.gather(ctx, addr)
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	return Judge(f), nil
}

func (x *Explainer) gather(ctx context.Context, addr netip.Addr) Facts {
	i := x.o.Loop.Inventory()
	f := Facts{
		Addr: addr, Host: x.o.Host, Source: x.o.Source, NetnsDir: x.o.NetnsDir,
		Stuck: x.o.Overdue(), Synced: i.SyncedAt(), Audit: x.o.Audit, Most: x.o.Most, Broker: x.o.Broker(),
		Entries: i.Find(addr), Held: i.HeldIDs(),
	}
	asked := make(chan *Server, 1)
	go func() { asked <- x.ask(ctx, f.Broker, addr) }()
	x.sites(ctx, &f)
	if len(f.Sites) == 0 {
		x.search(ctx, &f)
	}
	f.Server = <-asked // it has a bound of its own
	return f
}

// ask is nil if the server can't be asked at all.
func (x *Explainer) ask(ctx context.Context, b *admin.Broker, addr netip.Addr) *Server {
	if x.o.Ask == nil || b != nil && !b.Connected {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	proxies, err := x.o.Ask(ctx, addr)
	return &Server{Err: err, Proxies: proxies}
}

// sites looks at where the address is served here.
func (x *Explainer) sites(ctx context.Context, f *Facts) {
	for _, e := range f.Entries {
		for _, at := range e.Router.External {
			serves := slices.ContainsFunc(e.Proxies, func(p inventory.Proxy) bool {
				place := e.Places[p.PortID]
				return at.Publishes(place) || place == inventory.Anywhere
			})
			if serves && len(f.Sites) < maxSites {
				f.Sites = append(f.Sites, x.site(ctx, e.Router.ID, at, f.Addr))
			}
		}
	}
}

func (x *Explainer) site(ctx context.Context, router string, at inventory.Attachment, addr netip.Addr) Site {
	s := Site{Router: router, At: at, Last: x.o.Loop.Namespace(at.Namespace)}
	s.Preview, s.Err = x.o.Loop.Preview(ctx, at.Namespace)
	if s.Err != nil {
		s.Gone = dataplane.Classify(s.Err) == dataplane.ClassGone
		return s
	}
	if x.o.Debt != nil {
		d := x.o.Debt(announcer.Target{Namespace: at.Namespace, Device: at.Device}, addr)
		s.Debt = &d
	}
	if _, exists := s.device(); !exists {
		return s
	}
	enter := func(fn func() error) error { return x.o.Kernel.Enter(at.Namespace, fn) }
	if seen, err := ndsend.Verify(ndsend.Config{Interface: at.Device, Enter: enter}, []netip.Addr{addr}); err != nil {
		s.Unread = err
	} else {
		s.Device = &seen[0].Device
	}
	s.Trace, s.Untraced = x.trace(ctx, at.Namespace, at.Device, addr)
	if in := at.Inner; in != nil {
		var err error
		s.Peer, err = x.trace(ctx, in.PeerNamespace, in.PeerDevice, addr)
		s.Untraced = errors.Join(s.Untraced, err)
	}
	return s
}

func (x *Explainer) trace(ctx context.Context, ns, device string, addr netip.Addr) (*dataplane.Trace, error) {
	t, err := x.o.Kernel.Trace(ctx, ns, device, addr)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// search looks for proxy neighbours that nobody here should have made, or that an
// earlier run made: the kernel may answer for the address all the same.
func (x *Explainer) search(ctx context.Context, f *Facts) {
	ctx, cancel := context.WithTimeout(ctx, searchLimit)
	defer cancel()
	names, err := x.o.Kernel.Namespaces(ctx)
	if err == nil {
		f.Holders, err = x.o.Kernel.Holders(ctx, slices.DeleteFunc(names, func(ns string) bool { return !x.o.Scope(ns) }), f.Addr)
	}
	f.Unsearched = err
}
