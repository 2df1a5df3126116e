package dataplane

import "slices"

// Idle is a device on which nothing is published. Nothing of ours is made
// there; it is named for what somebody else left on it.
type Idle struct {
	Name string
	// Exclusive deletes the proxy entries on it, whoever made them, and the
	// host routes of somebody else that go with them
	// ([Observation.ForeignRoutes]), and sets proxy_ndp to 0: without an entry
	// there is nothing to answer for. False leaves all that, to be reported.
	Exclusive bool
}

// idle reports whether nothing but the marks of others is wanted away from a
// device.
func (s State) idle(device string) (exclusive bool) {
	_, wanted := s.Device(device)
	return !wanted && slices.ContainsFunc(s.Idle, func(i Idle) bool { return i.Name == device && i.Exclusive })
}

// Exclusive reports whether something of somebody else is to be removed.
func (s State) Exclusive() bool {
	return slices.ContainsFunc(s.Devices, func(d Device) bool { return d.Exclusive }) ||
		slices.ContainsFunc(s.Idle, func(i Idle) bool { return i.Exclusive })
}

// validIdle adds the rest to a state of which the devices are known to be valid:
// what is only looked for needs no check, since only what exists is found.
func validIdle(want, out State) State {
	out.Idle, out.Ways = slices.Clone(want.Idle), slices.Clone(want.Ways)
	return out
}
