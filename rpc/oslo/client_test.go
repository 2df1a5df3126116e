package oslo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// loop is a broker that hands every published message to answer, which may
// deliver to the reply queue.
type loop struct {
	sub    amqp.Subscription
	answer func(l *loop, m amqp.Message) error
	sent   []amqp.Message
}

func (l *loop) Subscribe(s amqp.Subscription) { l.sub = s }
func (l *loop) Publish(_ context.Context, m amqp.Message) error {
	l.sent = append(l.sent, m)
	return l.answer(l, m)
}

func (l *loop) reply(text string) {
	body, err := seal(rawJSON(text))
	if err != nil {
		panic(err)
	}
	l.sub.Deliver(amqp.Delivery{Body: body})
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func msgID(m amqp.Message) string {
	r, err := DecodeRequest(m.Body)
	if err != nil {
		panic(err)
	}
	return r.MsgID
}

func newLoop(answer func(*loop, amqp.Message) error) (*loop, *Client) {
	l := &loop{answer: answer}
	return l, NewClient(l, Config{Exchange: "neutron", Timeout: 100 * time.Millisecond,
		Queue: amqp.Queue{Args: map[string]any{"x-expires": 1}}})
}

func TestCall(t *testing.T) {
	var l *loop
	for name, c := range map[string]struct {
		replies []string // %s is the _msg_id
		want    string
		err     func(error) bool
	}{
		"one reply":   {replies: []string{`{"result":"a","failure":null,"ending":true,"_msg_id":"%s","_unique_id":"1"}`}, want: "a"},
		"null result": {replies: []string{`{"result":null,"ending":true,"_msg_id":"%s"}`}, want: "unset"},
		"result, then ending": {replies: []string{
			`{"result":"a","ending":false,"_msg_id":"%s","_unique_id":"1"}`,
			`{"result":null,"ending":true,"_msg_id":"%s","_unique_id":"2"}`}, want: "a"},
		"repeated reply": {replies: []string{
			`{"result":"a","ending":false,"_msg_id":"%s","_unique_id":"1"}`,
			`{"result":"b","ending":true,"_msg_id":"%s","_unique_id":"1"}`,
			`{"result":"c","ending":true,"_msg_id":"%s","_unique_id":"3"}`}, want: "c"},
		"somebody else's reply": {replies: []string{
			`{"result":"b","ending":true,"_msg_id":"other%s","_unique_id":"1"}`,
			`{"result":"a","ending":true,"_msg_id":"%s","_unique_id":"2"}`}, want: "a"},
		"garbled, then the reply": {replies: []string{
			`{"result":"b","ending":true,"x":"%s"}`,
			`{"result":"a","ending":true,"_msg_id":"%s"}`}, want: "a"},
		"failure": {replies: []string{`{"result":null,"failure":"{\"class\":\"Boom\",\"module\":\"m\",\"message\":\"x\\u001by\"}","ending":true,"_msg_id":"%s"}`},
			err: func(err error) bool {
				return IsRemote(err, "Boom") && strings.Contains(err.Error(), `x\x1by`) && strings.Contains(err.Error(), "do_it on q-topic")
			}},
		"no reply": {err: func(err error) bool {
			return errors.Is(err, ErrTimeout) && strings.Contains(err.Error(), "do_it on q-topic")
		}},
		"never ending": {replies: []string{`{"result":"a","ending":false,"_msg_id":"%s"}`},
			err: func(err error) bool { return errors.Is(err, ErrTimeout) }},
		"answer of another type": {replies: []string{`{"result":{"a":1},"ending":true,"_msg_id":"%s"}`},
			err: func(err error) bool { return strings.Contains(err.Error(), "decode answer") }},
	} {
		t.Run(name, func(t *testing.T) {
			var client *Client
			l, client = newLoop(func(l *loop, m amqp.Message) error {
				for _, r := range c.replies {
					l.reply(fmt.Sprintf(r, msgID(m)))
				}
				return nil
			})
			got := "unset"
			err := client.Call(context.Background(), "q-topic", "1.2", "do_it", map[string]string{}, &got)
			if c.err != nil {
				if err == nil || !c.err(err) {
					t.Fatalf("error %v", err)
				}
			} else if err != nil || got != c.want {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
			if len(client.pending) != 0 {
				t.Errorf("%d calls left pending", len(client.pending))
			}
			m := l.sent[0]
			if m.Exchange != "neutron" || m.Key != "q-topic" || !m.Mandatory || m.Expiration <= 0 || m.Expiration > 100*time.Millisecond {
				t.Errorf("published as %+v", m)
			}
		})
	}
}

func TestStrayAndGarbledAreCounted(t *testing.T) {
	l, client := newLoop(nil)
	l.reply(`{"result":1,"ending":true,"_msg_id":"late"}`)
	l.sub.Deliver(amqp.Delivery{Body: []byte("\x00")})
	l.sub.Deliver(amqp.Delivery{Body: []byte("x"), Compression: "application/x-gzip"})
	if stray, garbled := client.Stats(); stray != 1 || garbled != 2 {
		t.Errorf("stray %d, garbled %d; want 1, 2", stray, garbled)
	}
}

// The loss of the reply queue fails the calls under way at once.
func TestLost(t *testing.T) {
	why := errors.New("queue deleted")
	_, client := newLoop(func(l *loop, _ amqp.Message) error {
		l.sub.Down(why)
		return nil
	})
	client.cfg.Timeout = time.Hour
	err := client.Call(context.Background(), "t", "1.0", "m", nil, nil)
	if !errors.Is(err, amqp.ErrConnectionLost) || !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

// Replies of another _unique_id to a call that was answered come while its
// caller takes the answer: it gets the first, and nothing is written meanwhile
// (which -race watches).
func TestSecondReply(t *testing.T) {
	for i := range 200 {
		var more sync.WaitGroup
		_, client := newLoop(func(l *loop, m amqp.Message) error {
			reply := func(n int) {
				l.reply(fmt.Sprintf(`{"result":"%d","ending":%v,"_msg_id":"%s","_unique_id":"%d"}`, n, n != 2, msgID(m), n))
			}
			reply(0)
			more.Go(func() { reply(1); reply(2) })
			return nil
		})
		var got string
		if err := client.Call(context.Background(), "t", "1.0", "m", nil, &got); err != nil || got != "0" {
			t.Fatalf("call %d: %q, %v; want the first reply", i, got, err)
		}
		more.Wait()
	}
}

// A message that the broker did not confirm may still be answered.
func TestUnconfirmed(t *testing.T) {
	_, client := newLoop(func(l *loop, m amqp.Message) error {
		l.reply(fmt.Sprintf(`{"result":7,"ending":true,"_msg_id":"%s"}`, msgID(m)))
		return amqp.ErrUnconfirmed
	})
	var n int
	if err := client.Call(context.Background(), "t", "1.0", "m", nil, &n); err != nil || n != 7 {
		t.Errorf("got %d, %v", n, err)
	}
	_, client = newLoop(func(*loop, amqp.Message) error { return amqp.ErrUnconfirmed })
	err := client.Call(context.Background(), "t", "1.0", "m", nil, &n)
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, amqp.ErrUnconfirmed) {
		t.Errorf("error %v", err)
	}
}

// A server that stays silent is one trouble: it has one text, whatever the
// clocks say.
func TestTimeoutsReadTheSame(t *testing.T) {
	_, client := newLoop(func(*loop, amqp.Message) error { return nil })
	now := time.Now()
	client.cfg.Now = func() time.Time { now = now.Add(7 * time.Second); return now }
	client.cfg.Timeout = 30 * time.Millisecond
	text := func(ctx context.Context) string { return client.Call(ctx, "t", "1.0", "m", nil, nil).Error() }
	ctx := context.Background()
	if a, b := text(ctx), text(ctx); a != b || !strings.Contains(a, "within 30ms") {
		t.Errorf("%q and %q", a, b)
	}
	client.cfg.Timeout = time.Minute
	var said []string
	for _, d := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond} {
		short, cancel := context.WithTimeout(ctx, d)
		said = append(said, text(short))
		cancel()
	}
	if said[0] != said[1] || !strings.Contains(said[0], "caller's deadline") {
		t.Errorf("%q", said)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, client := newLoop(func(*loop, amqp.Message) error { cancel(); return nil })
	client.cfg.Timeout = time.Hour
	if err := client.Call(ctx, "t", "1.0", "m", nil, nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("error %v", err)
	}
}

func TestCast(t *testing.T) {
	l, client := newLoop(func(*loop, amqp.Message) error { return nil })
	if err := client.Cast(context.Background(), "q-topic", "1.5", "tell", map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	m := l.sent[0]
	if m.Key != "q-topic" || m.Expiration != 0 || msgID(m) != "" {
		t.Errorf("published as %+v", m)
	}
	_, client = newLoop(func(*loop, amqp.Message) error { return amqp.ErrUnroutable })
	if err := client.Cast(context.Background(), "q-topic", "1.5", "tell", nil); !errors.Is(err, amqp.ErrUnroutable) {
		t.Errorf("error %v", err)
	}
}
