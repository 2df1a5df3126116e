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
// Each announcement is a series of copies, RetransTimer apart (RFC 4861 section
// 7.2.6), because a single frame may be lost where nobody can tell. All that is
// owed on a device is paced together, first copies before repetitions.
// [Announcer.Refresh] owes a single copy.
//
// One goroutine serves one device of one namespace while something is owed
// there, and a moment longer, until the device's pace is made up for. Devices
// do not wait for each other. Its socket is opened anew for each burst: one that
// is kept would keep a deleted namespace, with its devices, alive and on the
// link. Nothing is remembered once the series is over: after a change of the
// device's link-layer address, owe its addresses again.
package announcer
