package announcer

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/ndsend"
)

// Defaults of [Options].
const (
	// DefaultRate is in advertisements per second and device. Sending costs
	// us 5 us each; the pace spares the receivers, routers that police what
	// reaches their control plane.
	DefaultRate = 500
	// DefaultBurst is how many may leave at once after a quiet time.
	DefaultBurst = 100
	// DefaultCount is MAX_NEIGHBOR_ADVERTISEMENT and DefaultInterval is
	// RETRANS_TIMER of RFC 4861 section 10.
	DefaultCount    = 3
	DefaultInterval = time.Second
	// DefaultMaxBackoff bounds the pause between two attempts.
	DefaultMaxBackoff = 3 * time.Second
	// DefaultGoneAfter is how long a namespace or device may stay away
	// before what it owes is dropped.
	DefaultGoneAfter = time.Minute
	// DefaultConcurrency is how many devices are served at the same moment:
	// each takes a thread while it enters a namespace.
	DefaultConcurrency = 8
)

// Unpaced as [Options].Rate sends as fast as the device takes it.
const Unpaced = -1

// Target is one device of one namespace, both by name, because both may vanish
// and come back as something else under the same name.
type Target struct {
	// Namespace is the name that [Options].Enter gets; empty: the
	// namespace of this process.
	Namespace string
	Device    string
}

// SendFunc sends one burst; [ndsend.Burst] says what it returns.
type SendFunc func(ctx context.Context, target Target, addrs []netip.Addr) (sent []netip.Addr, err error)

// Options of [New]. The zero value of a field means its default.
type Options struct {
	Logger *zap.Logger
	// Enter runs fn on a thread inside the named namespace. Needed unless
	// every Target's Namespace is empty or Send is given.
	Enter func(namespace string, fn func() error) error
	// Gone tells whether an error of Enter means that the namespace does not
	// exist. Default: errors.Is(err, fs.ErrNotExist).
	Gone func(error) bool
	// Router sets the Router flag of each advertisement.
	Router bool
	// Count is how many copies of each announcement leave, the first at once;
	// a receiver that missed one learns from the next. RFC 4861 section 7.2.6
	// allows three.
	Count int
	// Interval is the least time between two copies, the section's
	// RetransTimer. Each pause is up to a quarter longer, at random.
	Interval time.Duration
	// Rate and Burst pace each device, in advertisements per second, or
	// [Unpaced], and in advertisements.
	Rate  float64
	Burst int
	// MaxBackoff bounds the pause between two failing attempts.
	MaxBackoff time.Duration
	// GoneAfter bounds how long a missing namespace or device is waited for.
	GoneAfter time.Duration
	// Concurrency bounds how many devices are served at the same moment.
	Concurrency int
	// Random is in [0, 1) and spreads retries; safe for concurrent use.
	Random func() float64
	// Send replaces [ndsend.Burst].
	Send SendFunc
	// Left, if not nil, hears of the first copies that a burst handed to a device, how
	// long each had been owed; from a worker. It must not wait.
	Left func(waited []time.Duration)
	// Settled, if not nil, is called when a target owes nothing any more. It
	// may call no method of the Announcer but Owing, and is called by whoever
	// made it so: a worker, or a caller of Forget, Retain and Drop.
	Settled func(Target)
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Gone == nil {
		o.Gone = func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	}
	if o.Count <= 0 {
		o.Count = DefaultCount
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Burst <= 0 {
		o.Burst = DefaultBurst
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = DefaultMaxBackoff
	}
	if o.GoneAfter <= 0 {
		o.GoneAfter = DefaultGoneAfter
	}
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Send == nil {
		o.Send = burst(o.Enter, o.Router)
	}
}

// burst opens a new socket each time: one that is kept would keep a deleted
// namespace, with its devices, alive and on the link.
func burst(enter func(string, func() error) error, router bool) SendFunc {
	return func(ctx context.Context, target Target, addrs []netip.Addr) ([]netip.Addr, error) {
		config := ndsend.Config{Interface: target.Device, Flags: ndsend.Flags{Router: router}}
		if target.Namespace != "" {
			config.Enter = func(fn func() error) error { return enter(target.Namespace, fn) }
		}
		return ndsend.Burst(ctx, config, addrs)
	}
}
