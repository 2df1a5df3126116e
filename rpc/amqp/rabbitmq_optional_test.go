//go:build rabbitmq

package amqp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/test/rabbit"
)

func fanout(name string) amqp.Binding {
	return amqp.Binding{Exchange: amqp.Exchange{Name: name, Kind: "fanout", AutoDelete: true}, Key: name}
}

// optional is a subscription with optional bindings beside one that is not.
func (b *box) optional(names ...string) amqp.Subscription {
	sub := b.sub(fanout("always"))
	sub.Optional = func() []amqp.Binding {
		var l []amqp.Binding
		for _, n := range names {
			l = append(l, fanout(n))
		}
		return l
	}
	return sub
}

func declareFanout(t *testing.T, ch *amqp091.Channel, name string) {
	t.Helper()
	if err := ch.ExchangeDeclare(name, "fanout", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
}

// What does not exist is neither missed nor made; what appears later is bound
// when asked for; what vanishes is nobody's trouble.
func TestOptionalExchanges(t *testing.T) {
	log, logs := watched(zapcore.WarnLevel)
	cfg := config(t)
	cfg.Logger = log
	ch := plain(t, cfg)
	declareFanout(t, ch, "one")
	b := &box{queue: "mine"}
	c := run(t, cfg, b.optional("zero", "one", "two"))
	b.waitUp(t, 1)
	want := 0
	arrives := func(exchange string) {
		t.Helper()
		want++
		if err := publish(c, 5*time.Second, exchange, "", exchange); err != nil {
			t.Errorf("%s: %v", exchange, err)
		}
		eventually(t, "a message from "+exchange, func() bool { n, _, _ := b.count(); return n == want })
	}
	missing := func(names ...string) {
		t.Helper()
		for _, n := range names {
			if _, there := broker.Exchanges(t, cfg.VHost)[n]; there {
				t.Errorf("exchange %s was made", n)
			}
		}
	}
	arrives("always")
	arrives("one")
	missing("zero", "two")

	declareFanout(t, ch, "two")
	ctx := context.Background()
	for range 2 { // the second time changes nothing
		if err := c.Bind(ctx, "mine", fanout("zero"), fanout("two"), fanout("one")); err != nil {
			t.Fatal(err)
		}
	}
	arrives("two")
	arrives("one")
	missing("zero")

	if err := ch.ExchangeDelete("two", false, false); err != nil {
		t.Fatal(err)
	}
	arrives("always")
	if err := c.Bind(ctx, "mine", fanout("two")); err != nil {
		t.Fatal(err)
	}
	missing("two")
	declareFanout(t, ch, "two")
	if err := c.Bind(ctx, "mine", fanout("two")); err != nil {
		t.Fatal(err)
	}
	arrives("two")
	if _, ups, downs := b.count(); ups != 1 || downs != 0 || c.Status().Losses != 0 {
		t.Errorf("%d ups, %d downs, status %+v", ups, downs, c.Status())
	}
	if logs.Len() != 0 {
		t.Errorf("warned: %v", logs.All())
	}
}

// The queue is replaced (another shape than before): the optional exchanges
// that it alone was bound to live through that.
func TestOptionalExchangesSurviveReplacement(t *testing.T) {
	cfg := config(t)
	ch := plain(t, cfg)
	declareFanout(t, ch, "one")
	if _, err := ch.QueueDeclare("mine", true, false, false, false, amqp091.Table{"x-expires": int64(99000)}); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind("mine", "one", "one", false, nil); err != nil {
		t.Fatal(err)
	}
	b := &box{queue: "mine"}
	c := run(t, cfg, b.optional("one", "two"))
	b.waitUp(t, 1)
	if err := publish(c, 5*time.Second, "one", "", "x"); err != nil {
		t.Error(err)
	}
	if n := len(broker.Queues(t, cfg.VHost)); n != 1 {
		t.Errorf("%d queues", n)
	}
}

// Bindings from before an option was changed are removed; that there are none,
// or no such exchange, is no trouble.
func TestUnwantedBindings(t *testing.T) {
	log, logs := watched(zapcore.WarnLevel)
	cfg := config(t)
	cfg.Logger = log
	ch := plain(t, cfg)
	for _, name := range []string{"was", "never"} {
		declareFanout(t, ch, name)
		if _, err := ch.QueueDeclare("other-"+name, false, true, false, false, nil); err != nil {
			t.Fatal(err)
		}
		if err := ch.QueueBind("other-"+name, name, name, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	b := &box{queue: "mine"}
	stop := runSub(t, cfg, b.optional("was"))
	b.waitUp(t, 1)
	stop()
	sub := b.sub(fanout("always"))
	sub.Unwanted = []amqp.Binding{fanout("no such"), fanout("never"), fanout("was")}
	c := run(t, cfg, sub)
	b.waitUp(t, 2)
	for _, x := range []string{"was", "never", "always"} {
		if err := publish(c, 5*time.Second, x, "", x); err != nil {
			t.Errorf("%s: %v", x, err)
		}
	}
	eventually(t, "the wanted one", func() bool { n, _, _ := b.count(); return n > 0 })
	time.Sleep(100 * time.Millisecond) // room for one too many
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) != 1 || b.messages[0] != "always" || logs.Len() != 0 {
		t.Errorf("messages %v, warnings %v", b.messages, logs.All())
	}
}

func runSub(t *testing.T, cfg amqp.Config, sub amqp.Subscription) (stop func()) {
	t.Helper()
	c, err := amqp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Subscribe(sub)
	return runConn(t, c)
}

// An exchange that we may not read is told apart from one that is not there: said
// once however often the queue is set up, and told to who asks for it. What is
// bound later is said once, too.
func TestRefusedOptionalExchange(t *testing.T) {
	log, logs := watched(zapcore.InfoLevel)
	cfg := config(t)
	cfg.Logger = log
	ch := plain(t, cfg)
	declareFanout(t, ch, "one")
	declareFanout(t, ch, "two")
	if _, err := ch.QueueDeclare("other", false, true, false, false, nil); err != nil { // keeps the exchange
		t.Fatal(err)
	}
	if err := ch.QueueBind("other", "one", "one", false, nil); err != nil {
		t.Fatal(err)
	}
	allow := func(read string) {
		t.Helper()
		broker.API(t, http.MethodPut, "/api/permissions/"+cfg.VHost+"/"+rabbit.User,
			map[string]string{"configure": ".*", "write": ".*", "read": read}, nil)
	}
	allow("^(mine|always|zero|one|three)$")
	b := &box{queue: "mine"}
	c := run(t, cfg, b.optional("zero", "two", "one"))
	b.waitUp(t, 1)
	if err := publish(c, 5*time.Second, "one", "", "x"); err != nil {
		t.Error(err)
	}
	eventually(t, "a message from the one that is allowed", func() bool { n, _, _ := b.count(); return n == 1 })
	if _, err := ch.QueueDelete("mine", false, false, false); err != nil { // it is set up again
		t.Fatal(err)
	}
	b.waitUp(t, 2)
	if l := logs.FilterMessageSnippet("exchanges that exist").All(); len(l) != 2 || !cmp.Equal(l[1].ContextMap()["exchanges"], []any{"one"}) {
		t.Errorf("said of the set-ups: %v", l)
	}
	if n := logs.FilterMessageSnippet("the broker refuses").Len(); n != 1 {
		t.Errorf("the refusal was said %d times", n)
	}

	declareFanout(t, ch, "three")
	for range 2 {
		err := c.Bind(context.Background(), "mine", fanout("zero"), fanout("two"), fanout("three"))
		if err == nil || !strings.Contains(err.Error(), `"two"`) || strings.Contains(err.Error(), "zero") || strings.Contains(err.Error(), "three") {
			t.Errorf("bind: %v", err)
		}
	}
	fresh := func() []any {
		var l []any
		for _, e := range logs.FilterMessageSnippet("did not exist before").All() {
			l = append(l, e.ContextMap()["exchanges"])
		}
		return l
	}
	if diff := cmp.Diff([]any{[]any{"three"}}, fresh()); diff != "" {
		t.Errorf("said of what was bound (-want +got):\n%s", diff)
	}
	allow(".*")
	if err := c.Bind(context.Background(), "mine", fanout("two")); err != nil {
		t.Error(err)
	}
	if len(fresh()) != 2 {
		t.Errorf("said of what was bound: %v", fresh())
	}
}

func TestBindWithoutConnection(t *testing.T) {
	c, err := amqp.New(config(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(context.Background(), "mine", fanout("x")); err != nil {
		t.Error(err)
	}
}
