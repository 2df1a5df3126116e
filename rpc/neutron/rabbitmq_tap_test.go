//go:build rabbitmq

package neutron_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/neutron"
	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

// The tap: the L3 agent gets every message although we listen, we get the same
// ones in the same order, and the only answers to calls are the L3 agent's.
func TestTapIsNoThief(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	l3 := neutrontest.StartL3Agent(t, url, neutrontest.Options{Host: testHost})
	c, _ := runClient(t, brokerConfig(vhost))
	await[neutron.Subscribed](t, c)
	const rounds = 40
	var want []string
	for i := range rounds {
		id := fmt.Sprintf("router-%d", i)
		must(t, s.RoutersUpdated(testHost, id))
		must(t, s.RouterAdded(testHost, id))
		must(t, s.Push(neutron.Created, proxyNo(i)))
		must(t, s.RouterDeleted(id))
		must(t, s.RouterRemoved(testHost, id))
		must(t, s.AgentUpdated(testHost, i%2 == 0))
		if err := s.RoutersUpdated("elsewhere", id); !errors.Is(err, neutrontest.ErrUnrouted) {
			t.Fatalf("a message to another host: %v", err)
		}
		want = append(want, "updated "+id, "added "+id, "created "+proxyNo(i).ID, "deleted "+id, "removed "+id, fmt.Sprint("agent up ", i%2 == 0))
	}
	var got []string
	for range want {
		select {
		case e := <-c.Events():
			got = append(got, short(e))
			if !strings.HasPrefix(e.Head().RequestID, "req-") || time.Since(e.Head().Received) > time.Minute {
				t.Errorf("header %+v", e.Head())
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of %d events", len(got), len(want))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	eventually(t, "the L3 agent's messages", func() bool { return len(l3.Messages()) >= len(want) })
	eventually(t, "the L3 agent's answers", func() bool { return len(s.Answers()) >= rounds })
	time.Sleep(200 * time.Millisecond) // room for one too many
	if n := len(l3.Messages()); n != len(want) {
		t.Errorf("the L3 agent received %d messages, want %d", n, len(want))
	}
	if n := len(s.Answers()); n != rounds {
		t.Errorf("%d answers to %d calls", n, rounds)
	}
	if st := c.Status(); st.Events != uint64(len(want)) || st.Duplicates+st.Garbled+st.Ignored != 0 {
		t.Errorf("status %+v", st)
	}
}

func short(e neutron.Event) string {
	switch e := e.(type) {
	case neutron.RoutersUpdated:
		return "updated " + strings.Join(e.IDs, ",")
	case neutron.RouterAdded:
		return "added " + strings.Join(e.IDs, ",")
	case neutron.RouterRemoved:
		return "removed " + e.ID
	case neutron.RouterDeleted:
		return "deleted " + e.ID
	case neutron.AgentUpdated:
		return fmt.Sprint("agent up ", e.AdminStateUp)
	case neutron.ProxiesPushed:
		return string(e.Kind) + " " + e.Proxies[0].ID
	}
	return fmt.Sprintf("%T", e)
}

// Without any other listener, the fanout exchanges outlive our stop, so that
// the server's pushes meanwhile are routed; our next start purges them and says
// Subscribed.
func TestExchangesOutliveUs(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	must(t, s.DeclareFanouts())
	cfg := brokerConfig(vhost)
	c, stop := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	must(t, s.Push(neutron.Created, proxyNo(0)))
	stop()
	queues := broker.Queues(t, vhost)
	q, ok := queues[neutron.QueueName(testHost)]
	if !ok || q.AutoDelete || q.Exclusive || q.Arguments["x-expires"] != float64(1800000) || q.Consumers != 0 {
		t.Errorf("our queue while we are stopped: %+v", q)
	}
	replies := 0
	for name := range queues {
		if strings.HasPrefix(name, "reply_") {
			replies++
		}
	}
	if replies != 1 { // the server's own
		t.Errorf("%d reply queues: %v", replies, queues)
	}
	must(t, s.Push(neutron.Created, proxyNo(1)))
	must(t, s.RouterDeleted("router-1"))
	c, _ = runClient(t, cfg)
	_, before := await[neutron.Subscribed](t, c)
	if len(before) > 0 {
		t.Errorf("events before Subscribed: %s", kinds(before))
	}
	must(t, s.Push(neutron.Updated, proxyNo(2)))
	e, before := await[neutron.ProxiesPushed](t, c)
	if e.Kind != neutron.Updated || len(before) > 0 {
		t.Errorf("%+v after %s", e, kinds(before))
	}
}

// The broker stops, starts, is killed, starts: Disconnected and Subscribed each
// time, and calls and notifications work again.
func TestBrokerRestarts(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	s.SetRouter(testHost, neutron.Router{ID: "router-1", AdminStateUp: true})
	c, _ := runClient(t, brokerConfig(vhost))
	await[neutron.Subscribed](t, c)
	for i, end := range []func() error{broker.Stop, broker.Kill} {
		must(t, end())
		d, _ := await[neutron.Disconnected](t, c)
		if d.Err == nil || !strings.Contains(d.Err.Error(), fmt.Sprint(broker.Port)) {
			t.Errorf("Disconnected: %v", d.Err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		_, err := c.RouterIDs(ctx)
		cancel()
		if !errors.Is(err, amqp.ErrNotConnected) {
			t.Errorf("call without a broker: %v", err)
		}
		if st := c.Status(); st.Connected || st.Subscribed || st.LastError == nil {
			t.Errorf("status %+v", st)
		}
		must(t, broker.Run())
		await[neutron.Subscribed](t, c)
		eventually(t, "calls work", func() bool { ids, err := c.RouterIDs(context.Background()); return err == nil && len(ids) == 1 })
		must(t, s.Push(neutron.Created, proxyNo(i)))
		if e, _ := await[neutron.ProxiesPushed](t, c); e.Proxies[0].ID != proxyNo(i).ID {
			t.Errorf("%+v", e)
		}
	}
}

// Calls under way when the connection is cut fail at once, not at their
// deadline.
func TestCutDuringCall(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	s.Mute("get_router_ids", true)
	proxy := broker.NewProxy(t)
	cfg := brokerConfig(vhost)
	cfg.Broker.Hosts[0].Port = proxy.Port
	cfg.CallTimeout = time.Minute
	c, _ := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	failed := make(chan error, 1)
	go func() { _, err := c.RouterIDs(context.Background()); failed <- err }()
	eventually(t, "the call", func() bool { return len(s.Calls("")) == 1 })
	proxy.Cut()
	select {
	case err := <-failed:
		if !errors.Is(err, amqp.ErrConnectionLost) {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still waiting")
	}
	// A broker that hangs: the same, within the budget of one exchange.
	await[neutron.Subscribed](t, c)
	proxy.Freeze()
	began := time.Now()
	_, err := c.RouterIDs(context.Background())
	if d := time.Since(began); !errors.Is(err, amqp.ErrConnectionLost) || d > 8*time.Second {
		t.Errorf("silent broker: %v after %v", err, d)
	}
}

// While nobody receives events, messages stay on the broker; none is lost.
func TestBackPressure(t *testing.T) {
	vhost, url := broker.VHost(t)
	s := neutrontest.StartServer(t, url, neutrontest.Options{})
	cfg := brokerConfig(vhost)
	cfg.Prefetch = 10
	c, _ := runClient(t, cfg)
	await[neutron.Subscribed](t, c)
	const n = 300
	for i := range n {
		must(t, s.Push(neutron.Created, proxyNo(i)))
	}
	eventually(t, "the prefetch", func() bool { return c.Status().Events == 10 })
	time.Sleep(300 * time.Millisecond)
	if got := c.Status().Events; got != 10 {
		t.Errorf("%d messages taken, prefetch 10", got)
	}
	for i := range n {
		if e, _ := await[neutron.ProxiesPushed](t, c); e.Proxies[0].ID != proxyNo(i).ID {
			t.Fatalf("event %d is %s", i, e.Proxies[0].ID)
		}
	}
}
