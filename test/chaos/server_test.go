//go:build rabbitmq

package chaos

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/rpc/neutron/neutrontest"
)

// Methods that the daemon calls.
var methods = []string{"get_router_ids", "sync_routers", "bulk_pull", "report_state"}

// serverFaults are those of neutron-server.
func serverFaults() []fault {
	each := func(do func(n *neutrontest.Server, method string)) func(*stage, *testing.T) {
		return func(s *stage, _ *testing.T) {
			for _, m := range methods {
				do(s.neutron.now(), m)
			}
		}
	}
	distort := func(method string, change func(any) any) func(*stage, *testing.T) {
		return func(s *stage, _ *testing.T) { s.neutron.now().Distort(method, always(change)) }
	}
	straight := each(func(n *neutrontest.Server, m string) { n.Distort(m, nil) })
	// full makes the daemon ask for everything during the fault.
	full := func(do func(*stage, *testing.T)) func(*stage, *testing.T) {
		return func(s *stage, t *testing.T) {
			do(s, t)
			s.proxy.Cut()
		}
	}
	return []fault{
		{name: "server slow", hold: audit * 3 / 2, within: audit + reconnected,
			do:   full(each(func(n *neutrontest.Server, m string) { n.Slow(m, callTimeout/2) })),
			undo: each(func(n *neutrontest.Server, m string) { n.Slow(m, 0) })},
		{name: "server too slow", shows: saysServer, hold: audit, within: 2*audit + reconnected,
			do:   full(each(func(n *neutrontest.Server, m string) { n.Slow(m, callTimeout*3/2) })),
			undo: each(func(n *neutrontest.Server, m string) { n.Slow(m, 0) })},
		// The log's line comes when it has found the size that the server can stand.
		{name: "server too slow for many at once", shows: `in sync with the server.*"routers": 16,`, within: audit + reconnected,
			do: full(func(s *stage, _ *testing.T) {
				s.neutron.cloud.more.Store(13)
				s.neutron.now().SlowBy("sync_routers", func(args json.RawMessage) time.Duration {
					var a struct {
						IDs []string `json:"router_ids"`
					}
					_ = json.Unmarshal(args, &a) // none: no time
					return time.Duration(len(a.IDs)) * callTimeout / 6
				})
			}),
			undo: func(s *stage, _ *testing.T) {
				s.neutron.cloud.more.Store(0)
				s.neutron.now().SlowBy("sync_routers", nil)
			}},
		{name: "server gone", shows: saysServer, within: 2*audit + reconnected,
			do:   full(func(s *stage, _ *testing.T) { s.neutron.stop() }),
			undo: func(s *stage, _ *testing.T) { s.neutron.start() }},
		{name: "server answers errors", shows: saysServer, hold: audit, within: 2*audit + reconnected,
			do: full(each(func(n *neutrontest.Server, m string) {
				n.Fail(m, "OperationalError", "(pymysql.err.OperationalError) (2013, 'Lost connection to MySQL server during query')", -1)
			})),
			undo: each(func(n *neutrontest.Server, m string) { n.Fail(m, "", "", 0) })},
		{name: "half a router", shows: saysServer, hold: audit, within: 2*audit + reconnected,
			do: full(distort("sync_routers", eachObject(func(i int, r map[string]any) any {
				missing := []string{"gw_port", "admin_state_up", "_interfaces", "enable_ndp_proxy"}
				r[missing[i%len(missing)]] = "?"
				delete(r, missing[(i+1)%len(missing)])
				return r
			}))),
			undo: straight},
		{name: "one server of two truncates lists", hold: audit * 3 / 2, within: audit + reconnected,
			do: full(func(s *stage, _ *testing.T) {
				for _, m := range methods {
					s.neutron.now().Distort(m, alternately(firstOnly))
				}
			}),
			undo: straight},
		{name: "one server of two has nothing", hold: audit * 3 / 2, within: audit + reconnected,
			do: full(oneHasNothing), undo: straight},
		{name: "one server of two has nothing when the daemon starts", hold: audit * 3 / 2, within: audit + reconnected, renews: true,
			do: func(s *stage, t *testing.T) {
				s.daemon.kill()
				oneHasNothing(s, t)
				s.start(t)
			},
			undo: straight},
		{name: "no L3 agent of this host", shows: saysServer, hold: audit * 3 / 2, within: 2*audit + reconnected,
			do: full(func(s *stage, t *testing.T) {
				s.neutron.now().Fail("sync_routers", "AgentNotFoundByTypeHost", "Agent with agent_type=L3 agent and host=chaos-host1 could not be found", -1)
				distort("get_router_ids", nothing)(s, t)
			}),
			undo: func(s *stage, t *testing.T) {
				s.neutron.now().Fail("sync_routers", "", "", 0)
				straight(s, t)
			}},
		{name: "no routers for this host", shows: "does not list these routers for this host any more", hold: audit * 3 / 2, within: 2*audit + reconnected, hits: all, believed: true,
			do: full(distort("sync_routers", nothing)), undo: straight},
		{name: "no proxies at all", shows: "withdrawn", hold: audit * 3 / 2, within: audit + reconnected, hits: all,
			do: full(distort("bulk_pull", nothing)), undo: straight},
		{name: "proxies that are no objects", shows: saysServer, hold: audit, within: 2*audit + reconnected,
			do: full(distort("bulk_pull", eachObject(func(i int, o map[string]any) any {
				if i%2 == 0 {
					return "nonsense"
				}
				delete(o, "versioned_object.data")
				return o
			}))),
			undo: straight},
		{name: "answers of another kind", shows: saysServer, hold: audit, within: 2*audit + reconnected,
			do: full(each(func(n *neutrontest.Server, m string) {
				n.Distort(m, always(func(any) any { return map[string]any{"a": 1.5} }))
			})),
			undo: straight},
		{name: "answers to nobody, garbage and repeats", shows: "garbled message dropped", hold: audit, within: reconnected,
			do: func(s *stage, t *testing.T) {
				s.neutron.now().Twice(true)
				s.proxy.Cut()
				s.stray(t)
			},
			undo: func(s *stage, t *testing.T) {
				s.stray(t)
				s.neutron.now().Twice(false)
			}},
	}
}

// oneHasNothing is a server of two whose database is behind, or about to go.
func oneHasNothing(s *stage, _ *testing.T) {
	for _, m := range []string{"get_router_ids", "sync_routers", "bulk_pull"} {
		s.neutron.now().Distort(m, alternately(nothing))
	}
}

// all parts.
var all = []string{"legacy", "dvr", "victim"}

// eachObject changes the objects of a list.
func eachObject(change func(i int, o map[string]any) any) func(any) any {
	return func(result any) any {
		list, is := result.([]any)
		for i := range list {
			if o, is := list[i].(map[string]any); is {
				list[i] = change(i, o)
			}
		}
		if !is {
			return result
		}
		return list
	}
}

func always(change func(any) any) func(json.RawMessage, any) any {
	return func(_ json.RawMessage, result any) any { return change(result) }
}

// alternately changes every other answer about one kind of object, as behind one
// queue with two servers.
func alternately(change func(any) any) func(json.RawMessage, any) any {
	var mu sync.Mutex
	times := map[string]int{}
	return func(args json.RawMessage, result any) any {
		var kind struct {
			ResourceType string `json:"resource_type"`
		}
		if err := json.Unmarshal(args, &kind); err != nil {
			return result
		}
		mu.Lock()
		defer mu.Unlock()
		if times[kind.ResourceType]++; times[kind.ResourceType]%2 == 1 {
			return change(result)
		}
		return result
	}
}

func nothing(any) any { return []any{} }

func firstOnly(result any) any {
	if list, is := result.([]any); is && len(list) > 1 {
		return list[:1]
	}
	return result
}

// stray sends to the daemon's queue of answers what it did not ask for.
func (s *stage) stray(t *testing.T) {
	t.Helper()
	n, queue := s.neutron.now(), s.replyQueue(t)
	last := n.Calls("")
	for i := range 200 {
		id := "feedfacefeedfacefeedfacefeedface"
		if i%2 == 0 {
			id = last[len(last)-1-i/2%len(last)].ID // answered long ago
		}
		body := neutrontest.Envelope(map[string]any{"result": []any{}, "failure": nil, "ending": true, "_msg_id": id, "_unique_id": id})
		if i%5 == 0 {
			body = []byte{0, 0xff, '{', byte(i)}
		}
		if err := n.Raw("", queue, body); err != nil {
			t.Logf("stray answer %d: %v", i, err)
			return
		}
	}
}
