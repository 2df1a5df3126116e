package dataplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
	"neutron-ndp-proxy-agent/dataplane/watch"
)

// Defaults of [Options].
const (
	DefaultProtocol = 110
	DefaultTable    = "neutron_ndp_proxy"
)

// Options of [New]. The zero value of each field is its default.
type Options struct {
	Logger *zap.Logger
	// NetnsDir is where namespaces are bound by name; /run/netns.
	NetnsDir string
	// Protocol marks our neighbour entries (`ip -6 neigh show proxy proto N`).
	Protocol uint8
	// Table is the name of our nftables table, family ip6.
	Table string
	// Kernel replaces the running kernel in tests.
	Kernel Kernel
}

// Dataplane observes and changes namespaces. Its methods may be called
// concurrently for different namespaces; for one namespace the caller sees to
// it that an Apply is over before the next Observe.
type Dataplane struct {
	log      *zap.Logger
	dir      string
	protocol uint8
	table    string
	kernel   Kernel
	memory   memory
}

// New returns a Dataplane. It holds no resources.
func New(o Options) *Dataplane {
	d := &Dataplane{
		log:      o.Logger,
		dir:      cmp.Or(o.NetnsDir, netns.DefaultDir),
		protocol: cmp.Or(o.Protocol, DefaultProtocol),
		table:    cmp.Or(o.Table, DefaultTable),
		kernel:   o.Kernel,
	}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	if d.kernel == nil {
		d.kernel = linuxKernel{dir: d.dir}
	}
	return d
}

// Namespaces lists the named namespaces, sorted, including those that are only
// half made.
func (d *Dataplane) Namespaces(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.kernel.Namespaces()
}

// Identify returns the identity of the namespace that is bound to that name
// now. The kernel uses inode numbers again: see [ID]. Errors: as
// [Dataplane.Observe] for a namespace that cannot be opened.
func (d *Dataplane) Identify(ns string) (ID, error) {
	s, err := d.kernel.Open(ns)
	if err != nil {
		return ID{}, err
	}
	return s.ID(), s.Close()
}

// Enter runs fn on a thread inside the namespace. fn must not start goroutines
// that rely on being inside; sockets it opens stay there.
func (d *Dataplane) Enter(ns string, fn func() error) error {
	s, err := d.kernel.Open(ns)
	if err != nil {
		return err
	}
	return errors.Join(s.Do(fn), s.Close())
}

// Owned reports whether anything of ours is in the namespace: the table or an
// entry with our mark.
func (d *Dataplane) Owned(ctx context.Context, ns string) (bool, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return false, err
	}
	defer d.close(s)
	present, err := s.FilterPresent(ctx, d.table)
	if err != nil {
		return false, fmt.Errorf("namespace %s: %w", ns, err)
	}
	if present {
		return true, nil
	}
	entries, err := s.Neighbours(ctx)
	if err != nil {
		return false, fmt.Errorf("namespace %s: %w", ns, err)
	}
	for _, e := range entries {
		if e.Protocol == d.protocol {
			return true, nil
		}
	}
	return false, nil
}

// Interfaces returns the devices of a namespace, sorted by name, without
// looking at anything else in it. Errors: as [Dataplane.Observe].
func (d *Dataplane) Interfaces(ctx context.Context, ns string) ([]Interface, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer d.close(s)
	list, _, err := interfaces(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return list, nil
}

// interfaces also reports conf.all.proxy_ndp.
func interfaces(ctx context.Context, s Session) (list []Interface, allProxyNDP bool, err error) {
	links, err := s.Links(ctx)
	if err != nil {
		return nil, false, err
	}
	table, err := s.Sysctls(ctx)
	if err != nil {
		return nil, false, err
	}
	return withSysctls(links, table), table.AllProxyNDP, nil
}

// Observe returns what the namespace looks like. Errors: [ErrNamespaceGone]
// and others, for [Classify].
func (d *Dataplane) Observe(ctx context.Context, ns string, depth Depth) (Observation, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return Observation{}, err
	}
	defer d.close(s)
	o, err := d.observe(ctx, s, ns, depth)
	if err != nil {
		return Observation{}, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return o, nil
}

func (d *Dataplane) observe(ctx context.Context, s Session, ns string, depth Depth) (Observation, error) {
	o := Observation{Namespace: ns, ID: s.ID(), Depth: depth}
	var err error
	o.Interfaces, o.AllProxyNDP, err = interfaces(ctx, s)
	if err != nil {
		return Observation{}, err
	}
	entries, err := s.Neighbours(ctx)
	if err != nil {
		return Observation{}, err
	}
	names := make(map[int]string, len(o.Interfaces))
	for _, i := range o.Interfaces {
		names[i.Index] = i.Name
	}
	for _, e := range entries {
		// A device that came after the list of links announces itself.
		if name, ok := names[e.Index]; ok {
			o.Proxies = append(o.Proxies, Proxy{
				Device: name, Index: e.Index, Addr: e.Addr, Protocol: e.Protocol,
				Router: e.Router(), Ours: e.Protocol == d.protocol,
			})
		}
	}
	slices.SortFunc(o.Proxies, func(a, b Proxy) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), a.Addr.Compare(b.Addr))
	})
	o.Filter, err = s.ReadFilter(ctx, d.table, depth == Deep)
	if err != nil {
		return Observation{}, err
	}
	o.Baseline = d.memory.baseline(o)
	if o.Baseline.Filter != nil {
		o.Filter.Fill(*o.Baseline.Filter)
	}
	return o, nil
}

func withSysctls(links []link.Interface, table sysctl.Table) []link.Interface {
	for n := range links {
		v, ok := table.Devices[links[n].Index]
		links[n].IPv6 = ok
		links[n].Forwarding, links[n].ProxyNDP = v.Forwarding, v.ProxyNDP
		links[n].ProxyDelay = v.ProxyDelay
		if !ok {
			links[n].ProxyDelay = filter.NoDelay
		}
	}
	return links
}

// open also forgets what is known of a namespace that is gone.
func (d *Dataplane) open(ctx context.Context, ns string) (Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := d.kernel.Open(ns)
	if errors.Is(err, netns.ErrGone) {
		d.memory.forget(ns)
	}
	return s, err
}

func (d *Dataplane) close(s Session) {
	if err := s.Close(); err != nil {
		d.log.Warn("closing a namespace failed", zap.Error(err))
	}
}

// Watcher tells which namespaces to look at again; see package watch.
type Watcher = watch.Watcher

// Event names a namespace to look at again.
type Event = watch.Event

// WatchOptions are the options of a [Watcher]; NetnsDir and Logger are filled
// in by [Dataplane.NewWatcher] if empty.
type WatchOptions = watch.Options

// NewWatcher returns a watcher of the running kernel's namespaces.
func (d *Dataplane) NewWatcher(o WatchOptions) *Watcher {
	o.NetnsDir = cmp.Or(o.NetnsDir, d.dir)
	if o.Logger == nil {
		o.Logger = d.log
	}
	return watch.New(o)
}
