package neutron

import (
	"errors"
	"sync"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// chunker sizes sync_routers: halved when the server does not answer in time,
// doubled again after some answers in a row. It remembers across calls, so
// that a slow server is not asked for too much at every sync.
type chunker struct {
	mu    sync.Mutex
	max   int
	now   int
	goods int // answers to full chunks in a row
}

// growAfter full chunks answered in time the size doubles.
const growAfter = 4

func newChunker(most int) *chunker { return &chunker{max: most, now: most} }

func (c *chunker) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// tooSlow takes note of a failed chunk of n, and tells whether a smaller one
// should be tried.
func (c *chunker) tooSlow(n int, err error) bool {
	if !errors.Is(err, oslo.ErrTimeout) || n <= 1 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Another caller may have halved it meanwhile.
	c.now = min(c.now, max(n/2, 1))
	c.goods = 0
	return true
}

// answered takes note of a chunk of n that was answered.
func (c *chunker) answered(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < c.now {
		return // a small remainder says nothing about full chunks
	}
	if c.goods++; c.goods >= growAfter {
		c.now, c.goods = min(2*c.now, c.max), 0
	}
}
