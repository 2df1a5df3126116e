package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// Only what is wanted is decoded and delivered; nothing wanted is no event.
func TestPushedPortsAreThoseThatAreWanted(t *testing.T) {
	moved, id := request(t, "64-push-port-moved"), "0504f9e3-b21d-463e-8d4b-7ea0ac2e88a1"
	only := func(ids ...string) func(string) bool {
		return func(id string) bool { return slices.Contains(ids, id) }
	}
	decoded := func(args string, want func(string) bool) (PortsPushed, bool) {
		t.Helper()
		e, err := decodeNotification(&oslo.Request{Method: "push", Args: json.RawMessage(args)}, Header{}, want)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := e.(PortsPushed)
		if e != nil && !ok {
			t.Fatalf("%T", e)
		}
		return p, ok
	}
	if e, ok := decoded(string(moved.Args), only(id)); !ok || len(e.Ports) != 1 || e.Ports[0].Host != "lab-host1" || e.Ports[0].Revision != 5 {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]func(string) bool{"nobody asks": nil, "another is wanted": only("x")} {
		if e, ok := decoded(string(moved.Args), want); ok {
			t.Errorf("%s: %+v", name, e)
		}
	}
	// Broken ones count if they are wanted, or could be.
	several := strings.Replace(string(moved.Args), `"resource_list": [`, `"resource_list": [
		{"versioned_object.name": "Port", "versioned_object.version": "1.7", "versioned_object.data": {"id": "broken"}},
		{"versioned_object.name": "Port", "versioned_object.version": "1.7", "versioned_object.data": {"id": "unwanted"}},
		{"versioned_object.name": "Port", "versioned_object.version": "1.7"}, `, 1)
	e, ok := decoded(several, only(id, "broken"))
	if !ok || len(e.Ports) != 1 || len(e.Malformed) != 2 || e.Malformed[0].ID != "broken" || e.Malformed[1].ID != "#2" {
		t.Errorf("%+v", e)
	}
}

// portDelivery is a captured Port push as it comes from the broker.
func portDelivery(tb testing.TB, name string) amqp.Delivery {
	tb.Helper()
	c := readCapture(tb, name)
	d := amqp.NewDelivery([]byte(c.Body), someTime, nil)
	d.Exchange = c.AMQP.Exchange
	return d
}

// The ids of the port, its network, subnet, device and so on are asked about,
// each once, and nothing else of the message.
func TestIdsInARawMessage(t *testing.T) {
	var asked []string
	if mentionsWanted(portDelivery(t, "64-push-port-moved"), func(id string) bool { asked = append(asked, id); return false }) {
		t.Error("wanted by nobody")
	}
	if len(asked) > 12 || !slices.Contains(asked, "0504f9e3-b21d-463e-8d4b-7ea0ac2e88a1") {
		t.Errorf("asked about %v", asked)
	}
	slices.Sort(asked)
	if len(slices.Compact(asked)) != len(asked) {
		t.Errorf("asked twice: %v", asked)
	}
	for name, d := range map[string]amqp.Delivery{
		"compressed": {Body: []byte("0504f9e3-b21d-463e-8d4b-7ea0ac2e88a1"), Compression: "application/x-gzip"},
		"no id":      {Body: []byte(`{"oslo.version": "2.0"}`)},
	} {
		if !mentionsWanted(d, func(string) bool { return false }) {
			t.Errorf("%s: cannot be known, but was dropped", name)
		}
	}
}

// An unwanted port is dropped without decoding anything: one allocation for
// each id asked about. Decoding takes two hundred times the time.
func TestAnUnwantedPortIsNotDecoded(t *testing.T) {
	s, c := newTestClient(t, Config{WantPort: func(string) bool { return false }}, nil)
	d := portDelivery(t, "64-push-port-moved")
	n := testing.AllocsPerRun(100, func() { s.subs[1].Deliver(d) })
	if n > 20 {
		t.Errorf("%v allocations", n)
	}
	if n := &c.counts; n.unwanted.Load() == 0 || n.events.Load()+n.garbled.Load()+n.duplicates.Load()+n.ignored.Load() != 0 {
		t.Errorf("counts %+v", n)
	}
	// The same message, wanted: an event, and once only.
	s, c = newTestClient(t, Config{WantPort: everything}, nil)
	for range 3 {
		s.subs[1].Deliver(d)
	}
	if n := &c.counts; n.events.Load() != 1 || n.duplicates.Load() != 2 || n.unwanted.Load() != 0 {
		t.Errorf("counts %+v", n)
	}
}

func BenchmarkPortPush(b *testing.B) {
	for name, want := range map[string]func(string) bool{"unwanted": func(string) bool { return false }, "decoded": everything} {
		b.Run(name, func(b *testing.B) {
			d := portDelivery(b, "64-push-port-moved")
			b.SetBytes(int64(len(d.Body)))
			b.ReportAllocs()
			for b.Loop() {
				if !mentionsWanted(d, want) {
					continue
				}
				body, err := oslo.Body(d, maxNotification)
				if err != nil {
					b.Fatal(err)
				}
				r, err := oslo.DecodeRequest(body)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := decodeNotification(r, Header{}, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the queue is bound to for ports: what the releases push, and what the
// server said it has; nothing when nobody wants ports.
func TestPortBindings(t *testing.T) {
	names := func(l []amqp.Binding) (out []string) {
		for _, b := range l {
			if b.Key+"_fanout" != b.Exchange.Name {
				t.Errorf("key %s of %s", b.Key, b.Exchange.Name)
			}
			out = append(out, strings.TrimSuffix(strings.TrimPrefix(b.Exchange.Name, "neutron-vo-Port-"), "_fanout"))
		}
		return out
	}
	released := []string{"1.7", "1.8", "1.9", "1.10", "1.11"}
	s, c := newTestClient(t, Config{}, nil)
	tap := s.subs[1]
	if len(tap.Optional()) != 0 || !slices.Equal(names(tap.Unwanted), released) || len(tap.Bindings) != 3 {
		t.Errorf("without ports: %v, unwanted %v, always %v", names(tap.Optional()), names(tap.Unwanted), tap.Bindings)
	}
	if err := c.Reprobe(context.Background()); err != nil {
		t.Error(err)
	}

	version := "1.12"
	s, c = newTestClient(t, Config{WantPort: everything}, func(*oslo.Request) (any, error) {
		return []json.RawMessage{change(t, captured(t, "19b-bulk_pull-port-reply"), "versioned_object.version", `"`+version+`"`)}, nil
	})
	tap = s.subs[1]
	var bound []string
	c.bind = func(_ context.Context, queue string, b ...amqp.Binding) error {
		bound = append(bound, queue+" "+strings.Join(names(b), ","))
		return errors.New("as told")
	}
	if err := c.Reprobe(context.Background()); err != nil || bound != nil || len(tap.Unwanted) != 0 || !slices.Equal(names(tap.Optional()), released) {
		t.Errorf("before the first answer: %v %v %v", err, bound, names(tap.Optional()))
	}
	for _, v := range []string{"1.12", "1.12", "1.7", "1.x"} {
		version = v
		if _, _, err := client1(c); err != nil {
			t.Fatal(err)
		}
		if err := c.Reprobe(context.Background()); err == nil {
			t.Error("the error of binding was lost")
		}
	}
	const q = "neutron-ndp-proxy-agent.lab-host1 "
	if diff := cmp.Diff([]string{q + "1.12", q + "1.12", q + "1.7", q + "1.7"}, bound); diff != "" {
		t.Errorf("bound (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append(released, "1.12"), names(tap.Optional())); diff != "" {
		t.Errorf("at the next set-up (-want +got):\n%s", diff)
	}
}

func client1(c *Client) ([]BoundPort, []Malformed, error) {
	return c.Ports(context.Background(), []string{thePort})
}
