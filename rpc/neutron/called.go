package neutron

import (
	"context"
	"errors"
	"strings"

	"neutron-ndp-proxy-agent/rpc/amqp"
	"neutron-ndp-proxy-agent/rpc/oslo"
)

// Method names a call to the server, for counts. bulk_pull is named together with
// what it asks for, since its cost depends on that.
type Method string

// The methods that a client calls.
const (
	MethodRouterIDs Method = "get_router_ids"
	MethodRouters   Method = "sync_routers"
	MethodProxies   Method = "bulk_pull:NDPProxy"
	MethodPorts     Method = "bulk_pull:Port"
	MethodAgents    Method = "bulk_pull:Agent"
	MethodReport    Method = "report_state"
)

// Methods lists them all, for metrics that should show zeros.
func Methods() []Method {
	return []Method{MethodRouterIDs, MethodRouters, MethodProxies, MethodPorts, MethodAgents, MethodReport}
}

// Class says in one word how a call failed. The set is closed.
type Class string

// The classes of failures.
const (
	// ClassTimeout: it was sent, and not answered in time.
	ClassTimeout Class = "timeout"
	// ClassDisconnected: no broker was connected, or the connection was lost.
	ClassDisconnected Class = "disconnected"
	// ClassBlocked: the broker takes no messages (low on memory or disk).
	ClassBlocked Class = "blocked"
	// ClassUnroutable: no neutron-server listens to that topic.
	ClassUnroutable Class = "unroutable"
	// ClassRefused: the broker did not confirm the message, or refused it.
	ClassRefused Class = "refused"
	// ClassRemote: the server answered with a failure.
	ClassRemote Class = "remote"
	// ClassOther is what is none of these: an answer that can't be understood, a
	// call that was given up.
	ClassOther Class = "other"
)

// Classes lists them all.
func Classes() []Class {
	return []Class{ClassTimeout, ClassDisconnected, ClassBlocked, ClassUnroutable, ClassRefused, ClassRemote, ClassOther}
}

// Classify returns the class of a call's error, "" of nil.
func Classify(err error) Class {
	var remote *oslo.RemoteError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &remote):
		return ClassRemote
	case errors.Is(err, amqp.ErrBlocked):
		return ClassBlocked
	case errors.Is(err, amqp.ErrNotConnected), errors.Is(err, amqp.ErrConnectionLost):
		return ClassDisconnected
	case errors.Is(err, amqp.ErrUnroutable):
		return ClassUnroutable
	case errors.Is(err, amqp.ErrUnconfirmed), errors.Is(err, amqp.ErrNacked):
		return ClassRefused
	case errors.Is(err, oslo.ErrTimeout):
		return ClassTimeout
	}
	return ClassOther
}

// called makes one call, and tells who counts it.
func (c *Client) called(ctx context.Context, m Method, topic, version string, args, result any) error {
	name, _, _ := strings.Cut(string(m), ":")
	start := c.cfg.Now()
	err := c.rpc.Call(ctx, topic, version, name, args, result)
	if c.cfg.Called != nil {
		c.cfg.Called(m, c.cfg.Now().Sub(start), err)
	}
	return err
}
