// Package probe asks for an address as a neighbour of a device would: from outside of
// the device's namespace, over the wire that is plugged into it.
//
// [Ask] sends real solicitations out of a throw-away device on the bridge that the
// device is attached to. [Watch], where there is no such way, listens on the device
// itself for what others ask.
//
// Everything that is made for it is in a network namespace without a name that only one
// thread of this process is in, so the kernel removes it with the process, whatever
// ends that.
package probe
