package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// divisible tells whether a failure may be due to one object among others.
func divisible(err error) bool {
	var remote *oslo.RemoteError
	return errors.As(err, &remote) && remote.Class != noAgent
}

// maxParts bounds the calls for parts of chunks in one question. Finding one
// router in 256 takes 16 of them, six in as many chunks of 64 take 72.
const maxParts = 128

// nothing is the id of no object.
const nothing = "00000000-0000-0000-0000-000000000000"

// question asks for many objects in chunks, and finds those that the server
// fails for.
type question struct {
	what  string // "router": for reports
	call  func(ctx context.Context, ids []string) (json.RawMessage, error)
	take  func(answer json.RawMessage) error
	chunk *chunker
	log   *zap.Logger
	now   func() time.Time
	// patience bounds the time that fails without an answer in between, and
	// that for dividing. What the server answers takes what it takes.
	patience time.Duration

	spent  time.Duration // of patience
	bad    []Malformed   // found by dividing
	failed []part        // to be divided, the largest first
	parts  int           // calls for parts so far
}

// part is some of the objects asked for, which the server failed for.
type part struct {
	ids []string
	err error
}

// newQuestion returns one whose trouble may take as long as three calls that are
// not answered, and the end of the call under way.
func (c *Client) newQuestion(what string, chunk *chunker) *question {
	return &question{what: what, chunk: chunk, log: c.log, now: c.cfg.Now, patience: 3 * c.cfg.CallTimeout}
}

// try makes a call, and counts the time if it fails, or counted says so.
func (q *question) try(ctx context.Context, ids []string, counted bool) (json.RawMessage, error) {
	began := q.now()
	raw, err := q.call(ctx, ids)
	if err != nil || counted {
		q.spent += q.now().Sub(began)
	}
	return raw, err
}

func (q *question) outOfPatience() bool { return q.spent >= q.patience }

// ask asks for all of them. Chunks shrink while the server does not answer in
// time (down to one object) and grow again when it does; when that has taken too
// long, the next question goes on with the size that this one came to.
func (q *question) ask(ctx context.Context, ids []string) error {
	for rest := ids; len(rest) > 0; {
		n := min(q.chunk.size(), len(rest))
		raw, err := q.try(ctx, rest[:n], false)
		switch {
		case err == nil:
			q.chunk.answered(n)
			q.spent = 0
			err = q.take(raw)
		case ctx.Err() == nil && q.chunk.tooSlow(n, err) && !q.outOfPatience():
			continue
		case divisible(err):
			err = q.chunkFailed(ctx, rest[:n], err)
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return q.divide(ctx)
}

// chunkFailed puts a chunk aside, to be divided when all were asked for. On
// the first, a call that names no object tells a sick server from a sick
// object; its failure is returned.
func (q *question) chunkFailed(ctx context.Context, ids []string, why error) error {
	if len(q.failed) == 0 {
		if _, err := q.try(ctx, []string{nothing}, true); err != nil {
			// The server's trouble; what it said of the objects comes from it.
			q.log.Debug("the server fails also when asked for none", zap.String("of", q.what),
				zap.NamedError("with", why), zap.NamedError("without", err))
			return err
		}
	}
	q.failed = append(q.failed, part{ids, why})
	return nil
}

// divide asks for the halves of what failed, and for theirs. It goes through
// all chunks level by level, so that a chunk with many sick objects does not
// use up the calls that the others need.
func (q *question) divide(ctx context.Context) error {
	q.spent = 0
	for ; len(q.failed) > 0; q.failed = q.failed[1:] {
		p := q.failed[0]
		halves := halve(p.ids)
		if q.parts+len(halves) > maxParts || q.outOfPatience() {
			q.giveUp(p)
			continue
		}
		for _, ids := range halves {
			if err := q.askPart(ctx, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// halve splits a part. A chunk of one object is asked for again as it is: it
// was asked for only once, and its failure may have been a passing one.
func halve(ids []string) [][]string {
	if len(ids) == 1 {
		return [][]string{ids}
	}
	return [][]string{ids[:len(ids)/2], ids[len(ids)/2:]}
}

// askPart asks for a part. It returns what is no single object's fault.
func (q *question) askPart(ctx context.Context, ids []string) error {
	q.parts++
	raw, err := q.try(ctx, ids, true)
	switch {
	case err == nil:
		return q.take(raw)
	case !divisible(err):
		if ctx.Err() == nil {
			q.chunk.tooSlow(len(ids), err) // for the next question
		}
		return err
	case len(ids) == 1:
		q.giveUp(part{ids, err})
	default:
		q.failed = append(q.failed, part{ids, err})
	}
	return nil
}

// giveUp reports the objects of a part as malformed. The text does not tell
// how many were asked for: it would change while the trouble stays the same.
func (q *question) giveUp(p part) {
	for _, id := range p.ids {
		err := fmt.Errorf("%s %s: %w", q.what, id, p.err)
		if len(p.ids) > 1 {
			err = fmt.Errorf("%s %s or another asked for together with it: %w", q.what, id, p.err)
		}
		q.bad = append(q.bad, Malformed{ID: id, Err: err})
	}
}
