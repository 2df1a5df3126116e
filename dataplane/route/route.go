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

// Tables and types of routes, and a protocol (linux/rtnetlink.h).
const (
	MainTable  = unix.RT_TABLE_MAIN
	LocalTable = unix.RT_TABLE_LOCAL

	Unicast = unix.RTN_UNICAST

	// Static is what administrators and Neutron's L3 agent mark theirs with.
	Static = unix.RTPROT_STATIC
)

// DefaultMetric is the metric of a route that was given none
// (IP6_RT_PRIO_USER).
const DefaultMetric = 1024

// rtaNextHopID is RTA_NH_ID (linux/rtnetlink.h).
const rtaNextHopID = 30

// headerLen is sizeof(struct rtmsg), hopLen that of struct rtnexthop.
const (
	headerLen = 12
	hopLen    = 8
)

// Route is one way to a destination: a route with several next hops is several
// of them. A plain value.
type Route struct {
	Table uint32
	// Dst is masked. Src is the zero Prefix unless the route is only for
	// packets from there.
	Dst, Src netip.Prefix
	// Via is the zero Addr for what is on the link.
	Via netip.Addr
	// Index of the device; 0: none.
	Index int
	// OnLink is RTNH_F_ONLINK.
	OnLink   bool
	Metric   uint32
	Protocol uint8
	// Type is RTN_*: [Unicast], or unreachable and the like.
	Type uint8
	// Other: it says more than the fields above (a path MTU, an encapsulation, a
	// source address, a next hop object). Setting it sets none of that, deleting
	// deletes it.
	Other bool
}

// List dumps the routes of all tables, but for what other makers have in the
// local table: that holds the namespace's own addresses.
//
// It asks for everything and chooses: who holds the place of a route of ours
// may be of any protocol, and the kernel filters by one.
func List(ctx context.Context, c *rtnl.Conn, ours uint8) ([]Route, error) {
	messages, err := c.Dump(ctx, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header(Route{}))
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	routes := make([]Route, 0, len(messages))
	for _, m := range messages {
		if len(m) >= headerLen && m[4] == LocalTable && m[5] != ours {
			continue
		}
		found, err := decode(m)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		routes = append(routes, found...)
	}
	return routes, nil
}

// Set makes the route, in the place of whatever had its destination and metric
// in that table. The kernel replaces one of several that it would not use at
// the same time (one with a gateway, one without): the others are the
// caller's to delete.
//
// Errors: ENODEV, ENETDOWN for a device that is set down, EACCES for one with
// IPv6 switched off (EPERM is the missing capability), EHOSTUNREACH for a
// next hop that is not on the link (unless OnLink), EINVAL for one that is the
// namespace's own address.
func Set(ctx context.Context, c *rtnl.Conn, r Route) error {
	payload, err := encode(r)
	if err != nil {
		return err
	}
	if err := c.Do(ctx, unix.RTM_NEWROUTE, netlink.Create|netlink.Replace, payload); err != nil {
		return fmt.Errorf("set route to %s: %w", r.Dst, err)
	}
	return nil
}

// Delete removes the route of that table, destination, next hop, device,
// metric and protocol. One that is already gone is success.
func Delete(ctx context.Context, c *rtnl.Conn, r Route) error {
	payload, err := encode(r)
	if err != nil {
		return err
	}
	err = c.Do(ctx, unix.RTM_DELROUTE, 0, payload)
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete route to %s: %w", r.Dst, err)
	}
	return nil
}

// header is struct rtmsg: family, lengths of destination and source, tos,
// table, protocol, scope, type, flags.
func header(r Route) []byte {
	b := make([]byte, headerLen, headerLen+64)
	b[0] = unix.AF_INET6
	b[1], b[2] = byte(max(r.Dst.Bits(), 0)), byte(max(r.Src.Bits(), 0))
	if r.Table < 256 {
		b[4] = byte(r.Table)
	}
	b[5], b[7] = r.Protocol, r.Type
	if r.OnLink {
		binary.NativeEndian.PutUint32(b[8:], unix.RTNH_F_ONLINK)
	}
	return b
}

func encode(r Route) ([]byte, error) {
	if !plain(r.Dst.Addr()) || r.Src.IsValid() && !plain(r.Src.Addr()) || r.Via.IsValid() && !plain(r.Via) {
		return nil, fmt.Errorf("route to %s from %s via %s: %w: not plain IPv6 addresses", r.Dst, r.Src, r.Via, unix.EINVAL)
	}
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.RTA_TABLE, r.Table)
	ae.Bytes(unix.RTA_DST, r.Dst.Masked().Addr().AsSlice())
	if r.Src.IsValid() {
		ae.Bytes(unix.RTA_SRC, r.Src.Masked().Addr().AsSlice())
	}
	if r.Via.IsValid() {
		ae.Bytes(unix.RTA_GATEWAY, r.Via.AsSlice())
	}
	if r.Index != 0 {
		ae.Uint32(unix.RTA_OIF, uint32(r.Index))
	}
	ae.Uint32(unix.RTA_PRIORITY, r.Metric)
	attrs, err := ae.Encode()
	if err != nil {
		return nil, fmt.Errorf("route to %s: %w", r.Dst, err)
	}
	return append(header(r), attrs...), nil
}

func plain(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.Zone() == "" }
