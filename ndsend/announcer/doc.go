// Package announcer keeps announcements owed until they could leave.
//
// Whoever makes an address answerable calls [Announcer.Owe] and goes on; the
// announcement leaves as soon as the device can carry it: at once, or when its
// namespace or device appears, its link comes up, or duplicate address
// detection of its link-local address is done. [Announcer.Forget] takes an
// address back that is no longer ours: announcing it would pull its traffic to
// the wrong host; [Announcer.Drop] does so for a whole device.
// [Announcer.Kick] says that a device changed.
//
// One goroutine serves one device of one namespace while something is owed
// there, and a moment longer, until the device's pace is made up for. Devices
// do not wait for each other. Nothing is remembered once it was sent: after a
// change of the device's link-layer address, owe its addresses again.
package announcer
