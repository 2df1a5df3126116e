package neutron

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// releasedPortVersions are those of the releases that have NDP proxies: Zed and
// 2023.1, 2023.2, 2024.1, 2024.2 to 2026.1, and the next. All of them are tried
// at each set-up, and no more: each that does not exist is an error in the
// broker's log, on every host of the cloud.
var releasedPortVersions = []string{"1.7", "1.8", "1.9", "1.10", "1.11"}

// portVersions remembers the versions at which servers described ports. A
// server always pushes at its own (neutron/api/rpc/callbacks/version_manager.py)
// and describes at its own when asked for none.
type portVersions struct {
	mu     sync.Mutex
	latest string
	all    []string
}

// maxVersions bounds what is remembered.
const maxVersions = 8

func (v *portVersions) note(version string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latest = version
	if slices.Contains(releasedPortVersions, version) || slices.Contains(v.all, version) {
		return
	}
	v.all = append(v.all, version)
	v.all = v.all[max(0, len(v.all)-maxVersions):]
}

// known are the versions worth listening to.
func (v *portVersions) known() (all []string, latest string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Concat(releasedPortVersions, v.all), v.latest
}

// noteVersion takes note of the version of an answer.
func (c *Client) noteVersion(elems []json.RawMessage) {
	if len(elems) == 0 {
		return
	}
	if o, err := openObject(elems[0], portType); err == nil && isVersion(o.Version) {
		c.versions.note(o.Version)
	}
}

// isVersion tells whether a version can be part of the name of an exchange.
func isVersion(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 16
}

func (q Queues) portBindings(versions ...string) []amqp.Binding {
	l := make([]amqp.Binding, 0, len(versions))
	for _, v := range versions {
		l = append(l, amqp.Binding{Exchange: q.fanout(topicPort + v), Key: topicPort + v})
	}
	return l
}

// portBindings is what to listen to for ports, as far as it exists. The
// exchanges are the L2 agents' and the server's own: auto-delete, one for each
// version that the server pushes. Were one made here, the server would not push
// to it for that.
func (c *Client) portBindings() []amqp.Binding {
	if c.cfg.WantPort == nil {
		return nil
	}
	all, _ := c.versions.known()
	return c.cfg.Queues.portBindings(all...)
}

// unwantedBindings are what our queue may still be bound to from a time when
// ports were of interest.
func (c Config) unwantedBindings() []amqp.Binding {
	if c.WantPort != nil {
		return nil
	}
	return c.Queues.portBindings(releasedPortVersions...)
}

// Reprobe binds our queue to the exchange of Port pushes at the version at
// which the server last described ports, if that exchange exists by now: it
// comes with the first push or the first L2 agent, and goes with the last queue,
// unless ours is on it. It is meant to be called with each audit; while nothing
// is to be done it costs three exchanges with the broker. Without a connection,
// or before the first [Client.Ports], it does nothing.
func (c *Client) Reprobe(ctx context.Context) error {
	_, latest := c.versions.known()
	if c.cfg.WantPort == nil || latest == "" {
		return nil
	}
	return c.bind(ctx, c.queue, c.cfg.Queues.portBindings(latest)...)
}

// Renew makes sure that our queue is bound to all that the real L3 agent's are: an
// exchange that is deleted by hand takes our binding along without a word. It is
// meant to be called with each audit. Without a connection it does nothing.
func (c *Client) Renew(ctx context.Context) error { return c.conn.Renew(ctx, c.queue) }

// mentionsWanted tells whether a message may be about a wanted port, by looking
// for ids in its raw text: decoding it takes two hundred times as long, and nearly all
// ports of a cloud are none of ours. A port's own id is among the ids in its
// description, whatever the order of keys and the depth of escapes; the others
// (networks, subnets, requests) are no wanted port's. What cannot be looked into
// may be about any.
func mentionsWanted(d amqp.Delivery, want func(id string) bool) bool {
	if want == nil {
		return false
	}
	if d.Compression != "" || d.TooLarge > 0 {
		return true
	}
	var room [16][]byte
	asked := room[:0]
	for rest := d.Body; ; {
		id, after := nextUUID(rest)
		if id == nil {
			return len(asked) == 0
		}
		rest = after
		if slices.ContainsFunc(asked, func(a []byte) bool { return bytes.Equal(a, id) }) {
			continue
		}
		if want(string(id)) {
			return true
		}
		if len(asked) < len(room) {
			asked = append(asked, id)
		}
	}
}

const uuidLength = 36

// nextUUID finds the first UUID in canonical form, and what follows it; nil if
// there is none.
func nextUUID(b []byte) (id, after []byte) {
	for i := 8; i < len(b); i++ {
		dash := bytes.IndexByte(b[i:], '-')
		if dash < 0 {
			break
		}
		i += dash
		if start := i - 8; start+uuidLength <= len(b) && isUUID(b[start:start+uuidLength]) {
			return b[start : start+uuidLength], b[start+uuidLength:]
		}
	}
	return nil, nil
}

func isUUID(b []byte) bool {
	for i, c := range b {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}
