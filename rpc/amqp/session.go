package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap"
)

// session is one connection's life.
type session struct {
	c        *Conn
	endpoint Endpoint
	conn     *amqp091.Connection
	net      *guardedConn
	done     chan struct{} // closed when the session is over

	pub     *publisher
	closed  chan *amqp091.Error
	blocked chan amqp091.Blocking

	mu        sync.Mutex
	cause     error         // why the session was ended, the first reason
	wait      map[int]error // by required subscription: why it does not consume (yet)
	block     string        // the broker's reason for blocking publishers
	blockC    chan struct{} // closed and replaced when block changes
	consumers int           // made so far
	// bound are the optional bindings made: queue, exchange, key.
	bound map[[3]string]bool
}

var errSetUp = errors.New("subscribing")

func newSession(c *Conn, e Endpoint, conn *amqp091.Connection, nc *guardedConn) *session {
	s := &session{c: c, endpoint: e, conn: conn, net: nc, done: make(chan struct{}),
		// Buffered and drained by run: an unread notification stalls the
		// library's reader.
		closed:  conn.NotifyClose(make(chan *amqp091.Error, 1)),
		blocked: conn.NotifyBlocked(make(chan amqp091.Blocking, 8)),
		wait:    map[int]error{}, blockC: make(chan struct{})}
	for i, sub := range c.subs {
		if sub.Required {
			s.wait[i] = errSetUp
		}
	}
	return s
}

// run serves the connection until it fails or ctx is done.
func (s *session) run(ctx context.Context) error {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.watch(ctx)
	}()
	pub, err := newPublisher(s)
	if err == nil {
		s.pub = pub
		s.c.setSession(s)
		for i := range s.c.subs {
			wg.Go(func() { s.subscribe(ctx, i) })
		}
	} else {
		s.kill(fmt.Errorf("publishing channel: %w", err))
	}
	<-finished
	// Over: nobody may start anything on it, then everybody in it comes out.
	s.c.setSession(nil)
	close(s.done)
	cancel()
	wg.Wait()
	return s.reason()
}

// watch drains the library's notifications until the connection is closed. On
// ctx's end it closes the connection in an orderly way.
func (s *session) watch(ctx context.Context) {
	stopping := ctx.Done()
	for {
		select {
		case err, ok := <-s.closed:
			if ok {
				s.kill(fmt.Errorf("%w: %w", ErrConnectionLost, explain(err)))
			}
			s.kill(ErrConnectionLost) // makes sure that the socket is closed
			return
		case b, ok := <-s.blocked:
			if ok {
				s.setBlocked(b)
			} else {
				s.blocked = nil
			}
		case <-stopping:
			stopping = nil
			s.setCause(context.Canceled)
			s.tidy()
			// Closing makes s.closed ready, with or without the broker's help.
			// It is done aside because the library delivers what is still
			// in its way to s.blocked while it closes.
			go func() {
				_ = s.conn.CloseDeadline(time.Now().Add(time.Second))
				_ = s.net.Close()
			}()
		}
	}
}

// tidy deletes the queues that live only as long as this process.
func (s *session) tidy() {
	for _, sub := range s.c.subs {
		if !sub.DeleteOnStop {
			continue
		}
		t := time.AfterFunc(time.Second, func() { _ = s.net.Close() })
		if ch, err := s.conn.Channel(); err == nil {
			_, err = ch.QueueDelete(sub.Queue.Name, false, false, false)
			if err != nil {
				s.c.log.Debug("queue not deleted on stop; it expires by itself",
					zap.String("queue", sub.Queue.Name), zap.Error(explain(err)))
			}
		}
		t.Stop()
	}
}

// kill ends the session: the first cause counts. Closing the socket makes every
// call into the library return.
func (s *session) kill(cause error) {
	s.setCause(cause)
	_ = s.net.Close() // it is being closed because it is broken
}

func (s *session) setCause(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = cause
	}
}

// reason is why the session ended.
func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		return ErrConnectionLost
	}
	return s.cause
}

// over tells whether the session has been told to end.
func (s *session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause != nil
}

// do runs one synchronous exchange with the broker, at most OpTimeout long.
func (s *session) do(what string, f func() error) error {
	budget := s.c.cfg.OpTimeout
	t := time.AfterFunc(budget, func() {
		s.kill(fmt.Errorf("%w: no answer to %s within %v", ErrConnectionLost, what, budget))
	})
	err := f()
	t.Stop()
	if err == nil {
		return nil
	}
	// The library words the end of a connection by what it met first, such as
	// "use of closed network connection"; the cause says more. The
	// notification of a close by the broker may still be on its way to watch.
	switch {
	case s.over():
		err = s.reason()
	case s.conn.IsClosed() && errors.Is(err, amqp091.ErrClosed):
		err = ErrConnectionLost
	case s.conn.IsClosed():
		err = fmt.Errorf("%w: %w", ErrConnectionLost, explain(err))
	default:
		err = explain(err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// channel opens a channel.
func (s *session) channel() (ch *amqp091.Channel, err error) {
	err = s.do("open channel", func() (e error) {
		ch, e = s.conn.Channel()
		return e
	})
	return ch, err
}

// closeChannel gives a channel back; the broker may have closed it already.
func (s *session) closeChannel(ch *amqp091.Channel) {
	if ch != nil && !ch.IsClosed() && !s.over() {
		_ = s.do("close channel", ch.Close) // a failure ends the session by itself
	}
}

func (s *session) setBlocked(b amqp091.Blocking) {
	reason := ""
	if b.Active {
		if reason = Clean(b.Reason); reason == "" {
			reason = "no reason given"
		}
	}
	s.mu.Lock()
	was := s.block
	s.block = reason
	close(s.blockC)
	s.blockC = make(chan struct{})
	s.mu.Unlock()
	s.c.update(func(st *Status) { st.Blocked = reason })
	switch {
	case was == "" && reason != "":
		s.c.log.Warn("broker blocks publishers", zap.String("broker", s.endpoint.Addr()), zap.String("reason", reason))
	case was != "" && reason == "":
		s.c.log.Info("broker takes messages again", zap.String("broker", s.endpoint.Addr()))
	}
}

// deaf reports whether the broker blocks publishers. What it is asked on such a
// connection it hears when that ends, so asking would end the connection.
func (s *session) deaf() bool {
	reason, _ := s.blockState()
	return reason != ""
}

// blockState returns the reason for being blocked ("" if not) and a channel
// that is closed at its next change.
func (s *session) blockState() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.block, s.blockC
}

// setReady records whether a required subscription consumes (nil) or why not.
func (s *session) setReady(i int, err error) {
	s.mu.Lock()
	if err == nil {
		delete(s.wait, i)
	} else {
		s.wait[i] = err
	}
	s.mu.Unlock()
	s.c.signal()
}

// notReady says why messages cannot be sent yet.
func (s *session) notReady() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	for i, sub := range s.c.subs {
		if err := s.wait[i]; err != nil {
			return fmt.Errorf("broker %s: queue %s: %w", s.endpoint.Addr(), sub.Queue.Name, err)
		}
	}
	return nil
}
