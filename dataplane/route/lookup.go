package route

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// Local and Unreachable are types of routes: to the namespace itself, and
// nowhere.
const (
	Local       = unix.RTN_LOCAL
	Unreachable = unix.RTN_UNREACHABLE
)

// Lookup returns the route that the kernel takes for a packet to dst that comes
// in on the device of that index, by all rules and tables. Where there is none, or
// one that says so, its type is [Unreachable].
func Lookup(ctx context.Context, c *rtnl.Conn, index int, dst netip.Addr) (Route, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, dst.AsSlice())
	ae.Uint32(unix.RTA_IIF, uint32(index))
	attrs, err := ae.Encode()
	if err != nil {
		return Route{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	request := header(Route{Dst: netip.PrefixFrom(dst, dst.BitLen())})
	// The route itself, not what the kernel learned of the destination.
	binary.NativeEndian.PutUint32(request[8:], unix.RTM_F_FIB_MATCH)
	m, err := c.Get(ctx, unix.RTM_GETROUTE, append(request, attrs...))
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return Route{Dst: netip.PrefixFrom(dst, dst.BitLen()), Type: Unreachable}, nil // blackhole and prohibit included
	case err != nil:
		return Route{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	found, err := decode(m)
	switch {
	case err != nil:
		return Route{}, fmt.Errorf("route to %s: %w", dst, err)
	case len(found) == 0:
		return Route{Dst: netip.PrefixFrom(dst, dst.BitLen()), Type: Unreachable}, nil
	}
	return found[0], nil
}
