package uplink

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Defaults of [Options].
const (
	DefaultReceiveBuffer = 1 << 20
	DefaultRetryMin      = 100 * time.Millisecond
	DefaultRetryMax      = 30 * time.Second
)

// Options of [New]. The zero value of each field is its default.
type Options struct {
	Logger *zap.Logger
	// Names of the uplinks, or patterns of path.Match. Empty: physical devices,
	// that is those without IFLA_INFO_KIND but for the loopback, bonds and
	// teams.
	Names []string
	// NetNS is a file descriptor of the namespace, which must stay open while
	// the Watcher runs; 0: the namespace of the process.
	NetNS int
	// ReceiveBuffer is the size of the socket's buffer. The kernel charges only
	// what is queued in it.
	ReceiveBuffer int
	// RetryMin and RetryMax bound the pause before events are subscribed to
	// again after they were lost or the socket failed.
	RetryMin, RetryMax time.Duration
}

// Watcher watches. Make it with [New], then [Watcher.Run] it.
type Watcher struct {
	o       Options
	open    func() (source, error)
	carrier chan struct{}
	// links are all devices by index, not the uplinks alone: renaming one makes
	// no carrier. nil before they were first listed.
	links map[int]link
	trouble
}

// New returns a Watcher that does nothing until it is run. It fails if a name
// is no pattern.
func New(o Options) (*Watcher, error) {
	for _, n := range o.Names {
		if _, err := path.Match(n, ""); err != nil {
			return nil, fmt.Errorf("uplink %q: %w", n, err)
		}
	}
	o.ReceiveBuffer = cmp.Or(o.ReceiveBuffer, DefaultReceiveBuffer)
	o.RetryMin = cmp.Or(o.RetryMin, DefaultRetryMin)
	o.RetryMax = max(cmp.Or(o.RetryMax, DefaultRetryMax), o.RetryMin)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Watcher{
		o:       o,
		open:    func() (source, error) { return subscribe(o.NetNS, o.ReceiveBuffer) },
		carrier: make(chan struct{}, 1),
		trouble: trouble{log: o.Logger},
	}, nil
}

// Carrier delivers a value after an uplink got its carrier, or appeared with
// one. What comes before the value is taken is merged with it. The channel is
// never closed.
func (w *Watcher) Carrier() <-chan struct{} { return w.carrier }

// Run watches until the context ends and returns its error. Whatever else goes
// wrong is logged and tried again. It leaves no goroutine or socket behind.
func (w *Watcher) Run(ctx context.Context) error {
	retry := w.o.RetryMin
	for {
		began := time.Now()
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > w.o.RetryMax { // it had worked for long
			retry = w.o.RetryMin
			w.forget()
		}
		w.failed(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry):
		}
		retry = min(2*retry, w.o.RetryMax)
	}
}

// follow subscribes, compares with what was known before, and reads events
// until the context or the subscription ends.
func (w *Watcher) follow(ctx context.Context) error {
	src, err := w.open()
	if err != nil {
		return err
	}
	defer src.Close()
	defer context.AfterFunc(ctx, src.Interrupt)()
	list, err := src.List(ctx)
	if err != nil {
		return err
	}
	w.compare(list)
	w.works()
	for {
		events, err := src.Receive()
		if err != nil {
			return lostError{err}
		}
		for _, e := range events {
			w.take(e)
		}
	}
}

// compare takes on what is there, as if everything that changed had been an
// event. The first time nothing has changed.
func (w *Watcher) compare(list []link) {
	before := w.links
	w.links = make(map[int]link, len(list))
	for _, l := range list {
		if before != nil {
			was, known := before[l.index]
			w.judge(l, was, known)
		}
		w.links[l.index] = l
	}
}

func (w *Watcher) take(e event) {
	if e.gone {
		delete(w.links, e.index)
		return
	}
	was, known := w.links[e.index]
	w.judge(e.link, was, known)
	w.links[e.index] = e.link
}

// judge signals if a device got a carrier and is an uplink.
func (w *Watcher) judge(now, was link, known bool) {
	if !now.running || known && was.running && was.carriers == now.carriers || !w.isUplink(now) {
		return
	}
	w.o.Logger.Debug("an uplink has its carrier", zap.String("device", now.name), zap.Bool("new", !known))
	select {
	case w.carrier <- struct{}{}:
	default:
	}
}

func (w *Watcher) isUplink(l link) bool {
	if len(w.o.Names) == 0 {
		return !l.loopback && (l.kind == "" || l.kind == "bond" || l.kind == "team")
	}
	return slices.ContainsFunc(w.o.Names, func(pattern string) bool {
		matched, _ := path.Match(pattern, l.name) // New has seen to its form
		return matched
	})
}
