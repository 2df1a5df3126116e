package inventory

import (
	"slices"
	"time"
)

// Cause is the message that told of a change. The zero value: none did.
type Cause struct {
	// Request is Neutron's request id, "" if the message had none.
	Request string
	// Received is when the message left the broker's socket.
	Received time.Time
}

// none reports that no message told of it.
func (c Cause) none() bool { return c.Received.IsZero() }

// maxCauses bounds the causes that are remembered of one namespace. The first ones
// stay: from them the time is measured until the kernel is right.
const maxCauses = 16

// Causes are the messages whose changes of one namespace nobody has made true yet,
// in the order in which they came.
type Causes struct{ list []Cause }

// Received is when the first of the messages came; zero: there is none.
func (c Causes) Received() time.Time {
	if len(c.list) == 0 {
		return time.Time{}
	}
	return c.list[0].Received
}

// Requests are their request ids, each once.
func (c Causes) Requests() []string {
	var out []string
	for _, cause := range c.list {
		if cause.Request != "" && !slices.Contains(out, cause.Request) {
			out = append(out, cause.Request)
		}
	}
	return out
}

// note adds the causes of one change.
func (c *Causes) note(more []Cause) {
	for _, cause := range more {
		if len(c.list) < maxCauses && !slices.Contains(c.list, cause) {
			c.list = append(slices.Clip(c.list), cause) // a View may have the old list
		}
	}
}

// Answered forgets the causes of a [View] of a namespace: what they told of is true
// now, or waits for something that has its own event. Those that came since stay.
func (i *Inventory) Answered(namespace string, v View) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.causes[namespace]
	if len(now.list) <= len(v.Because.list) {
		delete(i.causes, namespace)
		return
	}
	// Causes are only added at the end.
	i.causes[namespace] = Causes{slices.Clone(now.list[len(v.Because.list):])}
}

// Told is an inventory that remembers of each change why it was made.
type Told struct {
	i     *Inventory
	cause Cause
}

// Because returns the inventory to which a message told something.
func (i *Inventory) Because(c Cause) Told { return Told{i, c} }

// SetProxy is [Inventory.SetProxy].
func (t Told) SetProxy(p Proxy) (local bool) { return t.i.push(push{proxy: p}, t.cause) }

// RemoveProxy is [Inventory.RemoveProxy].
func (t Told) RemoveProxy(p Proxy) (local bool) {
	return t.i.push(push{proxy: p, deleted: true}, t.cause)
}

// SetPorts is [Inventory.SetPorts].
func (t Told) SetPorts(ports []Port) {
	t.i.changeFor(func(string) Cause { return t.cause }, func(d *dirt) {
		for _, p := range ports {
			t.i.setPort(p, d)
		}
	})
}
