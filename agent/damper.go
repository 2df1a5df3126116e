package agent

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"neutron-ndp-proxy-agent/dataplane/watch"
)

// A namespace may be looked at this often because of changes that only
// somebody's hand makes: at once at first, then so that a program that undoes
// what we write keeps neither a CPU nor the log busy. Links and addresses, on
// which a failover depends, are not damped.
const (
	handBurst = 20
	handEvery = time.Second
)

// damper spaces the looks that such changes ask for, by namespace.
type damper struct {
	log *zap.Logger
	add func(namespace string)

	mu    sync.Mutex
	hands map[string]*hand
}

type hand struct {
	limit   *rate.Limiter
	pending bool // a look was put off
	said    bool
}

func newDamper(log *zap.Logger, add func(namespace string)) *damper {
	return &damper{log: log, add: add, hands: map[string]*hand{}}
}

// event asks for a look because of an event, now or soon.
func (d *damper) event(ns, cause string) {
	switch cause {
	case watch.CauseRoute, watch.CauseRule, watch.CauseSetting:
	default:
		d.add(ns)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.hands[ns]
	if h == nil {
		h = &hand{limit: rate.NewLimiter(rate.Every(handEvery), handBurst)}
		d.hands[ns] = h
	}
	if h.pending {
		return
	}
	wait := h.limit.Reserve().Delay()
	if wait == 0 {
		h.said = h.said && h.limit.Tokens() < handBurst/2
		d.add(ns)
		return
	}
	if !h.said {
		h.said = true
		d.log.Warn("routes, rules or settings change again and again, as if another program undid what is written here: looking less often",
			zap.String("namespace", ns), zap.Duration("every", handEvery))
	}
	h.pending = true
	time.AfterFunc(wait, func() {
		d.mu.Lock()
		h.pending = false
		d.mu.Unlock()
		d.add(ns)
	})
}

// forget ends the count of a namespace that is worked in no more.
func (d *damper) forget(ns string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.hands, ns)
}
