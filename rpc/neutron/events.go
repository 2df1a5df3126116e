package neutron

import "time"

// Event is one thing that happened, in order of arrival. The set is closed:
// [Subscribed], [Disconnected], [RoutersUpdated], [RouterAdded],
// [RouterRemoved], [RouterDeleted], [AgentUpdated], [ProxiesPushed],
// [PortsPushed], [Garbled].
type Event interface {
	// Head gives what every event carries.
	Head() Header
	event()
}

// Header is what every event carries.
type Header struct {
	// Received is when the message left the broker's socket (or when the state
	// changed), on the client's clock.
	Received time.Time
	// RequestID is Neutron's request id ("req-<uuid>"), "" if the message had
	// none or the event is not caused by one.
	RequestID string
	// Redelivered says that the broker had delivered the message before and
	// took it back (AMQP basic.deliver, redelivered): it may be older than what
	// was received or asked for since.
	Redelivered bool
}

// Head returns the header itself.
func (h Header) Head() Header { return h }

func (Header) event() {}

// Subscribed says that our queue is bound, purged and being consumed. Whatever
// was cast before is lost or stale: the receiver must do a full sync. Events
// that had not been received when a new Subscribed was made are superseded by
// it and are not delivered.
type Subscribed struct {
	Header
	// Endpoint is the broker, "host:port".
	Endpoint string
}

// Disconnected says that notifications have stopped, because the connection
// was lost or our queue went away. A Subscribed follows when they flow again.
type Disconnected struct {
	Header
	Err error
}

// RoutersUpdated says that something about these routers changed
// (routers_updated, l3_agent.<host>).
type RoutersUpdated struct {
	Header
	IDs []string
}

// RouterAdded says that these routers were scheduled to this host
// (router_added_to_agent, a call to l3_agent.<host> that only the L3 agent
// answers).
type RouterAdded struct {
	Header
	IDs []string
}

// RouterRemoved says that the router was taken off this host
// (router_removed_from_agent, l3_agent.<host>).
type RouterRemoved struct {
	Header
	ID string
}

// RouterDeleted says that the router does not exist any more (router_deleted,
// fanout to all L3 agents: most are none of ours).
type RouterDeleted struct {
	Header
	ID string
}

// AgentUpdated says that an operator set the administrative state of this
// host's L3 agent (agent_updated, l3_agent.<host>). While it is down, the server
// gives the agent no routers, unless enable_services_on_agents_with_admin_state_down
// is set: what RouterIDs returns decides, not this event.
type AgentUpdated struct {
	Header
	AdminStateUp bool
}

// ChangeKind is the event_type of a pushed object.
type ChangeKind string

// The kinds of change that neutron-server pushes.
const (
	Created ChangeKind = "created"
	Updated ChangeKind = "updated"
	Deleted ChangeKind = "deleted"
)

// ProxiesPushed carries NDP proxies of any router of the cloud (push, fanout
// neutron-vo-NDPProxy-1.0).
type ProxiesPushed struct {
	Header
	Kind    ChangeKind
	Proxies []NDPProxy
	// Malformed are the objects of the same message that could not be
	// understood.
	Malformed []Malformed
}

// PortsPushed carries those of the cloud's ports that changed and that
// Config.WantPort wants (push, fanout neutron-vo-Port-<version>). A port that
// was made is Updated, too. One change comes once for each version that the
// server pushes. Of a port that was deleted only the ID is known.
type PortsPushed struct {
	Header
	Kind  ChangeKind
	Ports []BoundPort
	// Malformed are the wanted objects of the same message that could not be
	// understood, and those whose id could not be read.
	Malformed []Malformed
}

// Garbled says that a message on our queue could not be understood. It was
// acknowledged; the rest goes on.
type Garbled struct {
	Header
	// Queue is our queue.
	Queue string
	// Err says what was wrong, in printable characters.
	Err error
}
