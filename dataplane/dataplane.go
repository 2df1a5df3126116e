package dataplane

import (
	"cmp"
	"context"
	"errors"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane/netns"
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
	// Protocol marks our neighbour entries (`ip -6 neigh show proxy proto N`),
	// routes and rules.
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

// WatchOptions are the options of a [Watcher]; NetnsDir, Protocol and Logger
// are filled in by [Dataplane.NewWatcher] if empty.
type WatchOptions = watch.Options

// NewWatcher returns a watcher of the running kernel's namespaces.
func (d *Dataplane) NewWatcher(o WatchOptions) *Watcher {
	o.NetnsDir = cmp.Or(o.NetnsDir, d.dir)
	o.Protocol = cmp.Or(o.Protocol, d.protocol)
	if o.Logger == nil {
		o.Logger = d.log
	}
	return watch.New(o)
}
