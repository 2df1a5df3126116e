//go:build rabbitmq

package amqp_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// An exchange that is deleted by hand takes the binding along, and nobody is
// told. Renew finds that, and is no event while all is well.
func TestRenew(t *testing.T) {
	log, logs := watched(zapcore.WarnLevel)
	cfg := config(t)
	cfg.Logger = log
	ch := plain(t, cfg)
	b := &box{queue: "mine"}
	sub := b.sub(fanout("one"), fanout("two"))
	c := run(t, cfg, sub)
	b.waitUp(t, 1)
	ctx := context.Background()
	want := 0
	arrives := func(exchange string) {
		t.Helper()
		want++
		if err := publish(c, 5*time.Second, exchange, "", exchange); err != nil {
			t.Errorf("%s: %v", exchange, err)
		}
		eventually(t, "a message from "+exchange, func() bool { n, _, _ := b.count(); return n == want })
	}
	for range 2 {
		if err := c.Renew(ctx, sub.Queue.Name); err != nil {
			t.Fatal(err)
		}
	}
	arrives("one")
	if logs.Len() > 0 {
		t.Errorf("said while all was well: %v", logs.All())
	}
	// Gone, and gone but made again by somebody else.
	for _, x := range []string{"one", "two"} {
		if err := ch.ExchangeDelete(x, false, false); err != nil {
			t.Fatal(err)
		}
	}
	declareFanout(t, ch, "two")
	if err := c.Renew(ctx, sub.Queue.Name); err != nil {
		t.Fatal(err)
	}
	arrives("one")
	arrives("two")
	if logs.Len() != 1 {
		t.Errorf("said: %v", logs.All())
	}
	if _, ups, downs := b.count(); ups != 1 || downs != 0 || c.Status().Losses != 0 {
		t.Errorf("%d ups, %d downs, status %+v", ups, downs, c.Status())
	}
	if err := c.Renew(ctx, "somebody's"); err != nil {
		t.Error(err)
	}
}
