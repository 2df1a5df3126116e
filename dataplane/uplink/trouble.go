package uplink

import (
	"errors"

	"go.uber.org/zap"
)

// lostError ends a subscription that stood: ENOBUFS, mostly.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

// trouble says what goes wrong once, not with every attempt.
type trouble struct {
	log    *zap.Logger
	losses int
	// said are the texts that were logged and are not over yet; subscribing
	// is over when it works, losses are when none comes for long.
	subscribing, losing string
}

func (t *trouble) failed(err error) {
	text := err.Error()
	if !errors.As(err, new(lostError)) {
		if text != t.subscribing {
			t.subscribing = text
			t.log.Warn("the host's links cannot be watched; trying again", zap.Error(err))
		}
		return
	}
	t.losses++
	if text != t.losing {
		t.losing = text
		t.log.Info("events of the host's links were lost; comparing", zap.Int("losses", t.losses), zap.Error(err))
	}
}

func (t *trouble) works() {
	if t.subscribing != "" {
		t.subscribing = ""
		t.log.Info("the host's links are watched again")
	}
}

func (t *trouble) forget() { t.losing = "" }
