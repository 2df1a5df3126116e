package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

var (
	// ErrNamespaceGone: the namespace does not exist (any more). Normal.
	ErrNamespaceGone = netns.ErrGone
	// ErrDeviceGone: the device does not exist in the namespace. Normal.
	ErrDeviceGone = errors.New("device does not exist")
	// ErrStale: namespace or device are not those that were observed; observe
	// again.
	ErrStale = errors.New("changed since it was observed")
	// ErrInvalid: a wanted value that no kernel should be given.
	ErrInvalid = errors.New("invalid")
	// ErrTaken: somebody else's route is where ours should be, and it is not one
	// that may be taken over.
	ErrTaken = errors.New("the place is taken")
	// ErrHeldBack: not done because something it depends on failed before.
	ErrHeldBack = errors.New("held back")
)

// errNoIPv6 is of a device that is as good as none.
func errNoIPv6(i Interface) error {
	if i.DisableIPv6 {
		return fmt.Errorf("%w for IPv6: it is switched off (disable_ipv6)", ErrDeviceGone)
	}
	return fmt.Errorf("%w for IPv6: it has no IPv6 side (MTU below 1280)", ErrDeviceGone)
}

// Class is what to do about an error.
type Class int

// Classes, in order of urgency.
const (
	// ClassNone is that of no error.
	ClassNone Class = iota
	// ClassGone: what it was about does not exist (yet, or any more); wait
	// for an event.
	ClassGone
	// ClassRetry: passes by itself; try again with back-off.
	ClassRetry
	// ClassPermanent: the same input fails again; report it.
	ClassPermanent
	// ClassOperator: the machine does not allow it (capability, kernel
	// module, read-only /proc/sys, limits); tell the operator, and retry slowly.
	ClassOperator
)

// String is the class as logs and metrics show it.
func (c Class) String() string {
	switch c {
	case ClassNone:
		return "none"
	case ClassGone:
		return "gone"
	case ClassRetry:
		return "retry"
	case ClassPermanent:
		return "permanent"
	case ClassOperator:
		return "operator"
	}
	return fmt.Sprintf("class(%d)", int(c))
}

// classes in the order in which they are looked for: an error may wrap several.
func classes() []struct {
	class Class
	errs  []error
} {
	return []struct {
		class Class
		errs  []error
	}{
		// What says "look again" first: such an error may wrap an ENOENT that
		// means an element of a set, not a device.
		{ClassRetry, []error{
			ErrStale, ErrHeldBack, netns.ErrNotReady, rtnl.ErrInterrupted,
			filter.ErrConflict, filter.ErrIncomplete, filter.ErrStuck, sysctl.ErrNotKept,
			context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded,
		}},
		{ClassPermanent, []error{ErrInvalid, netns.ErrName}},
		{ClassGone, []error{netns.ErrGone, ErrDeviceGone, unix.ENODEV, unix.ENXIO, fs.ErrNotExist}},
		{ClassOperator, []error{
			ErrTaken, unix.EPERM, unix.EACCES, unix.EROFS, unix.EMFILE, unix.ENFILE,
			unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOSYS,
		}},
		{ClassPermanent, []error{unix.EINVAL, unix.ERANGE, unix.EMSGSIZE}},
	}
}

// Classify says what to do about an error of this package. An error that
// nobody foresaw is worth another try.
func Classify(err error) Class {
	if err == nil {
		return ClassNone
	}
	for _, c := range classes() {
		for _, e := range c.errs {
			if errors.Is(err, e) {
				return c.class
			}
		}
	}
	return ClassRetry
}

// Failure is one thing of an Apply that was not done, while the rest was.
type Failure struct {
	// Device is empty for what concerns the namespace as a whole: the filter,
	// rules, and routes, of which Err names the device.
	Device string
	// Addr is the zero Addr for what concerns the whole device, or namespace. Of
	// a failed host route it is the destination, which is not answered for.
	Addr netip.Addr
	// Op is what was tried, as [Changes.String] writes it.
	Op  string
	Err error
}

// Class is [Classify] of the failure's error.
func (f Failure) Class() Class { return Classify(f.Err) }

// Error names operation, device and address.
func (f Failure) Error() string {
	s := f.Op
	if f.Device != "" {
		s += " on " + f.Device
	}
	if f.Addr.IsValid() {
		s += " for " + f.Addr.String()
	}
	return s + ": " + f.Err.Error()
}

// Unwrap returns Err.
func (f Failure) Unwrap() error { return f.Err }
