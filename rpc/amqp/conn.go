package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Conn is one supervised connection. Make it with New, add subscriptions, then
// run it; Publish and Status may be used from any goroutine.
type Conn struct {
	cfg  Config
	log  *zap.Logger
	subs []Subscription

	mu      sync.Mutex
	status  Status
	trouble trouble
	session *session      // nil while not connected
	changed chan struct{} // closed and replaced whenever session or its readiness changes
	running bool
	refused map[string]string // by queue: the refusals of optional bindings that were said last
}

// Status is what there is to say about the connection.
type Status struct {
	// Connected is true while a connection is open.
	Connected bool
	// Endpoint is the broker connected to, or the one last tried.
	Endpoint string
	// Since is when Connected last changed.
	Since time.Time
	// LastError is why the connection was lost or could not be made: what the
	// last attempt met at each broker that was tried since the last connection,
	// in the order of Config.Hosts. Nil after a connection was made.
	LastError error
	// Blocked is the broker's reason for blocking publishers, "" if it does not.
	Blocked string
	// Connections, Attempts and Losses count since the start: connections
	// made, endpoints tried, connections lost.
	Connections, Attempts, Losses uint64
}

// New checks the configuration. Nothing is dialled before Run.
func New(cfg Config) (*Conn, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Conn{cfg: cfg, log: cfg.Logger, changed: make(chan struct{}),
		trouble: trouble{hosts: cfg.Hosts}, status: Status{Since: cfg.Now()}}, nil
}

// Subscribe adds a subscription that every connection sets up. It must be
// called before Run.
func (c *Conn) Subscribe(s Subscription) { c.subs = append(c.subs, s) }

// Status returns the present state.
func (c *Conn) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Run connects and reconnects until ctx is done, which is the only way it
// ends: a broker that cannot be reached is a state, not the end. It returns
// nil then, and an error only if it is already running.
func (c *Conn) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.running {
		c.mu.Unlock()
		return errors.New("amqp: Run called twice")
	}
	c.running = true
	c.mu.Unlock()

	sched := newSchedule(c.cfg)
	said := map[string]string{} // by endpoint: the failure that was logged last
	for failed, lost := 0, false; ; {
		e, wait := sched.next()
		if lost {
			wait = c.cfg.afterLoss(wait)
		}
		lost = false
		if !sleep(ctx, wait) {
			return nil
		}
		c.update(func(s *Status) { s.Attempts++; s.Endpoint = e.Addr() })
		conn, nc, err := dial(ctx, c.cfg, e)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			failed++
			c.failed(e, steady(err), said)
			continue
		}
		began := c.cfg.Now()
		c.log.Info("connected to broker", zap.String("broker", e.Addr()), zap.Int("failed_attempts", failed))
		clear(said)
		failed = 0
		err = newSession(c, e, conn, nc).run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		c.lost(e, err)
		// A broker that accepts and drops at once must not be hammered.
		if c.cfg.Now().Sub(began) >= c.cfg.Retry.Interval {
			sched.succeeded()
		}
		lost = true
	}
}

// failed records a failed attempt and logs it if it says something new.
func (c *Conn) failed(e Endpoint, err error, said map[string]string) {
	err = fmt.Errorf("broker %s: %w", e.Addr(), err)
	c.update(func(s *Status) { s.LastError = c.trouble.at(e, err) })
	text := err.Error()
	if said[e.Addr()] == text {
		c.log.Debug("broker still unreachable", zap.String("broker", e.Addr()), zap.Error(err))
		return
	}
	said[e.Addr()] = text
	c.log.Error("cannot connect to broker; retrying quietly", zap.String("broker", e.Addr()), zap.Error(err))
}

func (c *Conn) lost(e Endpoint, err error) {
	err = fmt.Errorf("broker %s: %w", e.Addr(), err)
	c.update(func(s *Status) {
		s.LastError = c.trouble.at(e, err)
		s.Losses++
	})
	c.log.Warn("connection to broker lost", zap.String("broker", e.Addr()), zap.Error(err))
}

func (c *Conn) update(f func(*Status)) {
	c.mu.Lock()
	f(&c.status)
	c.mu.Unlock()
}

// setSession publishes the session to waiting callers (nil: none).
func (c *Conn) setSession(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	if c.status.Connected != (s != nil) {
		c.status.Connected, c.status.Since = s != nil, c.cfg.Now()
	}
	c.status.Blocked = ""
	if s != nil {
		c.status.Connections++
		c.status.LastError = nil
		c.trouble.over()
	}
	c.broadcast()
}

// signal wakes those who wait for a usable session.
func (c *Conn) signal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broadcast()
}

func (c *Conn) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// await returns a session whose required subscriptions consume, waiting for
// one until ctx is done.
func (c *Conn) await(ctx context.Context) (*session, error) {
	for {
		s, changed, _ := c.usable()
		if s != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			_, _, why := c.usable()
			if why == nil {
				why = errors.New("first attempt under way")
			}
			return nil, fmt.Errorf("%w: %w (%w)", ErrNotConnected, why, ctx.Err())
		}
	}
}

// usable returns the session if messages can be sent on it, and otherwise why
// not, with a channel that is closed when that may have changed.
func (c *Conn) usable() (*session, <-chan struct{}, error) {
	c.mu.Lock()
	s, changed, last := c.session, c.changed, c.status.LastError
	c.mu.Unlock()
	if s == nil {
		return nil, changed, last
	}
	if why := s.notReady(); why != nil {
		return nil, changed, why
	}
	return s, changed, nil
}

// sleep waits for d and tells whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
