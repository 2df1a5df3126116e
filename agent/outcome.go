package agent

import (
	"net/netip"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/agent/plan"
	"neutron-ndp-proxy-agent/dataplane"
)

// AddressState is how it stands with one published address on this host.
type AddressState string

// States of an address.
const (
	// Answered: the kernel answers for it.
	Answered AddressState = "answered"
	// Pending: something has to come first, and nothing is wrong here. On the backup
	// of an HA router all are.
	Pending AddressState = "pending"
	// Failed: it was refused, by the plan or by the kernel.
	Failed AddressState = "failed"
	// Elsewhere: it is another host's to answer for.
	Elsewhere AddressState = "elsewhere"
	// Disabled: its router has NDP proxying off, or is administratively down.
	Disabled AddressState = "disabled"
)

// Role is what a device is to the addresses that it serves.
type Role string

// Roles of a device.
const (
	// Active: it is to answer, since it holds the gateway's address.
	Active Role = "active"
	// Standby: it is not, and the reason says why.
	Standby Role = "standby"
	// Idle: nothing is published on it.
	Idle Role = "idle"
	// Absent: its namespace is not there.
	Absent Role = "absent"
	// Unknown: its namespace was not looked at yet, or could not be.
	Unknown Role = "unknown"
)

// outcome is what a look at a namespace found, kept for those who ask: nobody who
// asks waits for the kernel. It is never changed once it is made.
type outcome struct {
	at time.Time
	// whole, if it has a state, is of every address; what is of devices and others is
	// older then.
	whole verdict
	// missing: the namespace is not there.
	missing bool
	devices map[string]*deviceOutcome
	// refused and waiting are of single proxies.
	special map[special]verdict
	// full: addresses had no room.
	full bool
}

type special struct {
	router string
	addr   netip.Addr
}

// verdict is a state with its reason and the time since when it is so; zero: this
// run has found it so.
type verdict struct {
	state AddressState
	why   string
	since time.Time
}

type deviceOutcome struct {
	role Role
	// why it does not answer.
	why   string
	since time.Time // of the role
	// published is what it is to answer for when it is active; sorted.
	published []netip.Addr
	// answered is what it answers for, and times since when, at the same places;
	// sorted.
	answered []netip.Addr
	times    []time.Time
	// troubled are published ones that something of their own keeps from being
	// answered for; rest is of all others.
	troubled map[netip.Addr]verdict
	rest     verdict
}

// observed makes the outcome of a look.
func observed(p plan.Plan, have dataplane.Observation, result dataplane.Result) *outcome {
	o := &outcome{devices: make(map[string]*deviceOutcome, len(p.State.Devices)), special: map[special]verdict{}, full: p.Excess > 0}
	for _, r := range p.Rejected {
		o.special[special{r.Proxy.RouterID, r.Proxy.Addr}] = verdict{state: Failed, why: r.Reason}
	}
	for _, w := range p.Waiting {
		o.special[special{w.Proxy.RouterID, w.Proxy.Addr}] = verdict{state: Pending, why: w.Reason}
	}
	for _, d := range p.State.Devices {
		o.devices[d.Name] = answering(d, p.Standby[d.Name], have, result)
	}
	return o
}

// answering says what one device answers for after a look.
func answering(d dataplane.Device, standby string, have dataplane.Observation, result dataplane.Result) *deviceOutcome {
	o := &deviceOutcome{role: Standby, why: standby, published: d.Published, troubled: map[netip.Addr]verdict{}}
	if d.Answer {
		o.role = Active
	}
	i, exists := have.Interface(d.Name)
	if standby != "" || !exists {
		o.rest = verdict{state: Pending, why: standby}
		return o
	}
	fresh := result.Answerable[d.Name]
	o.answered = d.Published
	o.blame(d.Name, result.Failures)
	if o.rest.state == Failed { // then only what is known to be there
		o.answered = nil
		if i.ProxyNDP || len(fresh) > 0 {
			o.answered = answered(d, have, fresh)
		}
	}
	if len(o.troubled) > 0 {
		o.answered = slices.DeleteFunc(slices.Clone(o.answered), func(a netip.Addr) bool { return o.troubled[a].state != "" })
	}
	return o
}

// blame notes the failures that concern the device: of one address, of it, or of the
// filter, without which nothing is added. What something that is gone keeps from being
// answered for waits; there will be an event.
func (o *deviceOutcome) blame(device string, failures []dataplane.Failure) {
	for _, f := range failures {
		if f.Device != "" && f.Device != device {
			continue
		}
		gone := f.Class() == dataplane.ClassGone
		switch {
		case !f.Addr.IsValid():
			if !gone && o.rest.state == "" {
				o.rest = verdict{state: Failed, why: f.Error()}
			}
		case !has(o.published, f.Addr):
		case !gone:
			o.troubled[f.Addr] = verdict{state: Failed, why: f.Error()}
		case o.troubled[f.Addr].state == "":
			o.troubled[f.Addr] = verdict{state: Pending, why: f.Error()}
		}
	}
}

func has(sorted []netip.Addr, a netip.Addr) bool {
	_, found := slices.BinarySearchFunc(sorted, a, netip.Addr.Compare)
	return found
}

// failed counts the published addresses that an error keeps from being answered for.
func (o *deviceOutcome) failed() int {
	n := 0
	if o.rest.state == Failed {
		n = len(o.published) - len(o.answered) - len(o.troubled)
	}
	for _, v := range o.troubled {
		if v.state == Failed {
			n++
		}
	}
	return n
}

// of is what the look found of one address, which a router's device serves.
func (o *outcome) of(router, device string, addr netip.Addr) verdict {
	if o == nil {
		return verdict{state: Pending, why: "the namespace was not looked at yet"}
	}
	if o.whole.state != "" {
		return o.whole
	}
	if v, ok := o.special[special{router, addr}]; ok {
		return v
	}
	d := o.devices[device]
	if d == nil {
		return verdict{state: Pending, why: notSince}
	}
	if i, found := slices.BinarySearchFunc(d.answered, addr, netip.Addr.Compare); found {
		return verdict{state: Answered, since: d.times[i]}
	}
	if v, ok := d.troubled[addr]; ok {
		return v
	}
	switch {
	case has(d.published, addr) && d.rest.state != "":
		return d.rest
	case o.full && !has(d.published, addr):
		return verdict{state: Failed, why: "no room for it on the device: max_addresses"}
	}
	return verdict{state: Pending, why: notSince}
}

const notSince = "the namespace was not looked at since it was added"
