package ndsend

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
)

// What can go wrong, for errors.Is. The text of an error that carries one of
// them names the interface and what was found.
var (
	// ErrNotReady: the device exists but nothing can leave it now: it is
	// down, has no carrier, or has no link-local address that works. It
	// passes when the device changes; try again then.
	ErrNotReady = errors.New("the interface is not ready")
	// ErrTentative is the kind of ErrNotReady that passes by itself within a
	// second or two: duplicate address detection (RFC 4862 section 5.4) of
	// the source address still runs.
	ErrTentative error = notReady("its source address is still tentative (duplicate address detection)")
	// ErrNoInterface: no interface of that name, or it went while we sent.
	ErrNoInterface = errors.New("no such interface")
	// ErrNamespace: the namespace could not be entered. The error of
	// [Config].Enter is wrapped beside it.
	ErrNamespace = errors.New("cannot enter the network namespace")
	// ErrCongested: the device's queue or the socket's buffer is full
	// (ENOBUFS, EAGAIN). Try again a little later.
	ErrCongested = errors.New("the send queue is full")
	// ErrPermission: raw sockets need CAP_NET_RAW in the user namespace that
	// owns the network namespace; entering one needs CAP_SYS_ADMIN.
	ErrPermission = errors.New("no permission (CAP_NET_RAW is needed)")
	// ErrFiltered: a packet filter of this namespace dropped the
	// advertisement on its way out.
	ErrFiltered = errors.New("a local packet filter dropped the advertisement")
	// ErrBadTarget: the address cannot be announced.
	ErrBadTarget = errors.New("not an IPv6 unicast address")
	// ErrLinkType: the link has no Ethernet addresses, so there is nothing to
	// tell the neighbours.
	ErrLinkType = errors.New("not an Ethernet interface with an address of its own")
)

// notReady is one way to be not ready.
type notReady string

func (n notReady) Error() string { return string(n) }

func (n notReady) Is(target error) bool { return target == ErrNotReady }

// The other ways; which one it is matters to people only.
const (
	errDown        = notReady("the interface is down")
	errNoCarrier   = notReady("the interface has no carrier")
	errNoLinkLocal = notReady("the interface has no link-local address")
	errNoSource    = notReady("the interface does not have this source address")
	errDADFailed   = notReady("its source address failed duplicate address detection: somebody else on the link has it")
	errSourceGone  = notReady("its source address went away or became tentative while we sent")
)

// TargetError is what became of one target. The reason may be the device's and
// stop the others too: what they get for it should name them.
type TargetError struct {
	Target    netip.Addr
	Interface string
	Err       error // never nil
}

// Error is "announce TARGET on INTERFACE: reason".
func (e *TargetError) Error() string {
	return fmt.Sprintf("announce %s on %s: %v", e.Target, e.Interface, e.Err)
}

// Unwrap gives the reason to errors.Is and errors.As.
func (e *TargetError) Unwrap() error { return e.Err }

// Reason is a short stable word for the kind of an error: for counters and
// metric labels.
type Reason string

// The reasons, one for each error of this package, and ReasonOther.
const (
	ReasonNotReady    Reason = "not-ready"
	ReasonNoInterface Reason = "no-interface"
	ReasonNamespace   Reason = "namespace"
	ReasonCongested   Reason = "congested"
	ReasonPermission  Reason = "permission"
	ReasonFiltered    Reason = "filtered"
	ReasonBadTarget   Reason = "bad-target"
	ReasonLinkType    Reason = "link-type"
	ReasonOther       Reason = "other"
)

// Reasons lists them all, for metrics that should show zeros.
func Reasons() []Reason {
	return []Reason{ReasonNotReady, ReasonNoInterface, ReasonNamespace, ReasonCongested, ReasonPermission, ReasonFiltered, ReasonBadTarget, ReasonLinkType, ReasonOther}
}

// ReasonOf classifies an error of this package; "" for nil.
func ReasonOf(err error) Reason {
	switch {
	case err == nil:
		return ""
	// First: an Enter that failed for lack of a capability is no missing
	// namespace.
	case errors.Is(err, ErrPermission),
		errors.Is(err, ErrNamespace) && errors.Is(err, fs.ErrPermission):
		return ReasonPermission
	case errors.Is(err, ErrNamespace):
		return ReasonNamespace
	case errors.Is(err, ErrNoInterface):
		return ReasonNoInterface
	case errors.Is(err, ErrNotReady):
		return ReasonNotReady
	case errors.Is(err, ErrCongested):
		return ReasonCongested
	case errors.Is(err, ErrFiltered):
		return ReasonFiltered
	case errors.Is(err, ErrBadTarget):
		return ReasonBadTarget
	case errors.Is(err, ErrLinkType):
		return ReasonLinkType
	default:
		return ReasonOther
	}
}
