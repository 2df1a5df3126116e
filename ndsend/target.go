package ndsend

import (
	"fmt"
	"net/netip"
)

// ParseTarget reads an address that can be announced, in any text form of
// RFC 4291 section 2.2. Every error is an [ErrBadTarget] that says what the
// text is instead.
func ParseTarget(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q: %w", text, ErrBadTarget)
	}
	if err := CheckTarget(addr); err != nil {
		return netip.Addr{}, err
	}
	return addr, nil
}

// CheckTarget tells why addr cannot be the target of an advertisement, as an
// [ErrBadTarget]; nil if it can. RFC 4861 section 7.1.2 rules out multicast;
// the rest never lives on a link.
func CheckTarget(addr netip.Addr) error {
	var what string
	switch {
	case !addr.IsValid():
		what = "no address at all"
	case addr.Is4():
		what = "an IPv4 address"
	case addr.Is4In6():
		what = "an IPv4-mapped address"
	case addr.Zone() != "":
		what = "an address with a zone; the interface is an argument of its own"
	case addr.IsUnspecified():
		what = "the unspecified address"
	case addr.IsLoopback():
		what = "the loopback address"
	case addr.IsMulticast():
		what = "a multicast address"
	default:
		return nil
	}
	return fmt.Errorf("%q: %w: it is %s", addr, ErrBadTarget, what)
}
