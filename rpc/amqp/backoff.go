package amqp

import "time"

// schedule yields the endpoints to try and the waits between rounds. A round
// visits every endpoint once without waiting; the wait grows from round to
// round. It is used by one goroutine.
type schedule struct {
	retry    Retry
	strategy Strategy
	rand     func() float64
	order    []Endpoint
	pos      int // next in order
	rounds   int // failed rounds in a row
}

func newSchedule(cfg Config) *schedule {
	s := &schedule{retry: cfg.Retry, strategy: cfg.Failover, rand: cfg.Rand,
		order: append([]Endpoint(nil), cfg.Hosts...)}
	// As oslo.messaging does: the hosts of a whole cloud must not all settle
	// on the broker that happens to be named first.
	s.shuffle()
	return s
}

func (s *schedule) shuffle() {
	for i := len(s.order) - 1; i > 0; i-- {
		j := int(s.rand() * float64(i+1))
		s.order[i], s.order[j] = s.order[j], s.order[i]
	}
}

// next returns the endpoint to try and how long to wait before trying it.
func (s *schedule) next() (Endpoint, time.Duration) {
	var wait time.Duration
	if s.pos == len(s.order) {
		s.pos = 0
		s.rounds++
		wait = s.wait()
		if s.strategy == Shuffle {
			s.shuffle()
		}
	}
	e := s.order[s.pos]
	s.pos++
	return e, wait
}

// wait is the back-off after s.rounds failed rounds.
func (s *schedule) wait() time.Duration {
	d := s.retry.Interval
	// A multiplication would overflow after years of rounds.
	for i := 1; i < s.rounds && d < s.retry.Max; i++ {
		d += s.retry.Backoff
		if s.retry.Backoff == 0 {
			break
		}
	}
	return spread(min(d, s.retry.Max), s.rand())
}

// succeeded starts the back-off anew; the next attempt goes to the next
// endpoint.
func (s *schedule) succeeded() { s.rounds = 0 }

// afterLoss is how long to wait before the first attempt after a lost
// connection, where the schedule wants wait: the clients of one broker must not
// all come back at once.
func (c Config) afterLoss(wait time.Duration) time.Duration {
	switch {
	case c.ReconnectDelay > 0 || c.ReconnectSplay > 0:
		return max(wait, c.ReconnectDelay+time.Duration(c.Rand()*float64(c.ReconnectSplay)))
	case wait == 0:
		return time.Duration(c.Rand() * float64(min(c.Retry.Interval, time.Second)))
	}
	return wait
}

// spread moves d by up to a fifth either way.
func spread(d time.Duration, r float64) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*r))
}
