package amqp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
)

// Parts of AMQP 0-9-1 that the guard looks at (its sections 2.3.5 and 4.2).
const (
	frameMethod, frameContent, frameBody, frameHeartbeat = 1, 2, 3, 8

	frameEnd        = 0xCE
	frameHeaderLen  = 7 // type, channel, size of the payload
	contentSizeAt   = 4 // after class and weight
	contentSizeEnd  = contentSizeAt + 8
	methodDeliver   = 60<<16 | 60
	deliverTagsFrom = 4 // after class and method

	// maxFrame bounds a frame's payload: what is asked for at the handshake, and
	// from the first byte on, while nothing has been agreed yet.
	maxFrame = 131072
)

// heartbeat is a frame.
var heartbeat = []byte{frameHeartbeat, 0, 0, 0, 0, 0, 0, frameEnd}

// DefaultMaxMessage bounds the body of a message where no subscription says
// otherwise.
const DefaultMaxMessage = 64 << 20

// frameGuard stands between the socket and the library, which collects a
// message however large its sender says that it is. A frame that is too long
// ends the connection, as the protocol wants. A message that is too large
// arrives without its body, which is dropped frame by frame as it comes; so it
// can be acknowledged, and the broker does not bring it again.
//
// Read is called from one goroutine.
type frameGuard struct {
	from *bufio.Reader
	buf  []byte // of one frame
	rest []byte // what of it was not handed over yet
	// contents are the messages under way, by channel.
	contents map[uint16]*content

	mu     sync.Mutex
	limits map[string]int64 // by consumer tag
	// dropped are the sizes of the messages that arrived without their body.
	dropped map[delivered]uint64
}

// content is a message under way on a channel.
type content struct {
	limit int64
	what  delivered
	drop  bool
}

// delivered names a delivery.
type delivered struct {
	consumer string
	tag      uint64
}

func newFrameGuard(r io.Reader) *frameGuard {
	return &frameGuard{from: bufio.NewReader(r), contents: map[uint16]*content{},
		limits: map[string]int64{}, dropped: map[delivered]uint64{}}
}

// limit bounds the messages of a consumer.
func (g *frameGuard) limit(consumer string, most int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits[consumer] = most
}

// forget ends that.
func (g *frameGuard) forget(consumer string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.limits, consumer)
	maps.DeleteFunc(g.dropped, func(d delivered, _ uint64) bool { return d.consumer == consumer })
}

// tooLarge returns the size that a delivery would have had whose body was
// dropped, and forgets it; 0: it is complete.
func (g *frameGuard) tooLarge(consumer string, tag uint64) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	what := delivered{consumer, tag}
	size := g.dropped[what]
	delete(g.dropped, what)
	return size
}

// Read hands over whole frames.
func (g *frameGuard) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// next reads a frame into rest; a heartbeat if it is to be dropped.
func (g *frameGuard) next() error {
	head := append(g.buf[:0], make([]byte, frameHeaderLen)...)
	if n, err := io.ReadFull(g.from, head); err != nil {
		// What there is of one is for the library to judge.
		if g.rest = head[:n]; n > 0 {
			return nil
		}
		return err
	}
	kind, channel, size := head[0], binary.BigEndian.Uint16(head[1:]), binary.BigEndian.Uint32(head[3:])
	switch kind {
	case frameMethod, frameContent, frameBody, frameHeartbeat:
	default:
		g.rest = head // the library refuses it
		return nil
	}
	if size > maxFrame {
		return fmt.Errorf("frame of %d bytes (limit %d)", size, maxFrame)
	}
	frame := append(head, make([]byte, size+1)...) // and the end mark
	g.buf = frame
	if _, err := io.ReadFull(g.from, frame[frameHeaderLen:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if g.take(kind, channel, frame[frameHeaderLen:frameHeaderLen+size]) {
		g.rest = frame
	} else {
		g.rest = heartbeat // the library is to know that the broker is alive
	}
	return nil
}

// take looks at a payload, and reports whether the frame is to be handed over.
func (g *frameGuard) take(kind byte, channel uint16, payload []byte) bool {
	c := g.contents[channel]
	switch kind {
	case frameMethod:
		g.contents[channel] = g.begins(payload) // whatever was under way is over
	case frameContent:
		if c == nil || len(payload) < contentSizeEnd {
			return true
		}
		at := payload[contentSizeAt:contentSizeEnd]
		if size := binary.BigEndian.Uint64(at); size > uint64(c.limit) { //nolint:gosec // a limit is positive
			c.drop = true
			g.note(c.what, size)
			clear(at) // it has no body
		}
	case frameBody:
		return c == nil || !c.drop
	}
	return true
}

// begins reads a method: a message follows it, or the next method.
func (g *frameGuard) begins(payload []byte) *content {
	c := &content{limit: DefaultMaxMessage}
	if len(payload) <= deliverTagsFrom || binary.BigEndian.Uint32(payload) != methodDeliver {
		return c
	}
	consumer := payload[deliverTagsFrom+1:]
	n := int(payload[deliverTagsFrom])
	if len(consumer) < n+8 {
		return c
	}
	c.what = delivered{string(consumer[:n]), binary.BigEndian.Uint64(consumer[n:])}
	g.mu.Lock()
	defer g.mu.Unlock()
	if most := g.limits[c.what.consumer]; most > 0 {
		c.limit = most
	}
	return c
}

// note remembers what was dropped, for a consumer that takes its deliveries.
func (g *frameGuard) note(what delivered, size uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, consumes := g.limits[what.consumer]; consumes {
		g.dropped[what] = size
	}
}
