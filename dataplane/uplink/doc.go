// Package uplink tells when a device that connects this host gets a carrier.
//
// It follows the links of one network namespace, the host's own, by the
// kernel's events, and knows nothing of what the host does with them. A signal
// is a hint: several carriers may be one signal, and one may come without
// cause, but none is missed, not even a carrier that went and came while events
// were lost, since the kernel counts carriers.
package uplink
