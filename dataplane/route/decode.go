package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

var errShort = errors.New("route message is too short")

// decode reads one RTM_NEWROUTE, into a Route for each next hop. None comes of
// another family's, nor of what the kernel learned of a single destination
// (RTM_F_CLONED: a path MTU or a redirect): a dump shows these with the
// protocol of the route that they were learned on.
func decode(b []byte) ([]Route, error) {
	if len(b) < headerLen {
		return nil, errShort
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	if b[0] != unix.AF_INET6 || flags&unix.RTM_F_CLONED != 0 {
		return nil, nil
	}
	r := Route{Table: uint32(b[4]), Protocol: b[5], Type: b[7], OnLink: flags&unix.RTNH_F_ONLINK != 0}
	dst, src := netip.IPv6Unspecified(), netip.IPv6Unspecified()
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return nil, fmt.Errorf("route attributes: %w", err)
	}
	var hops []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_TABLE:
			r.Table = ad.Uint32()
		case unix.RTA_DST:
			dst = address(ad.Bytes())
		case unix.RTA_SRC:
			src = address(ad.Bytes())
		case unix.RTA_GATEWAY:
			r.Via = address(ad.Bytes())
		case unix.RTA_OIF:
			r.Index = int(int32(ad.Uint32()))
		case unix.RTA_PRIORITY:
			r.Metric = ad.Uint32()
		case unix.RTA_MULTIPATH:
			hops = ad.Bytes()
		case unix.RTA_METRICS, unix.RTA_ENCAP, unix.RTA_PREFSRC, rtaNextHopID:
			r.Other = true
		}
	}
	if err := ad.Err(); err != nil {
		return nil, fmt.Errorf("route attributes: %w", err)
	}
	r.Dst = netip.PrefixFrom(dst, int(b[1])).Masked()
	if b[2] > 0 {
		r.Src = netip.PrefixFrom(src, int(b[2])).Masked()
	}
	if !r.Dst.IsValid() || b[2] > 0 && !r.Src.IsValid() {
		return nil, fmt.Errorf("route to %s/%d from %s/%d", dst, b[1], src, b[2])
	}
	if hops == nil {
		return []Route{r}, nil
	}
	return decodeHops(r, hops)
}

// decodeHops reads RTA_MULTIPATH: struct rtnexthop (length, flags, weight,
// index), each with attributes of its own. All of them show the protocol of the
// first, whoever appended the others; deleting goes by the true one.
func decodeHops(r Route, b []byte) ([]Route, error) {
	var out []Route
	for len(b) > 0 {
		if len(b) < hopLen {
			return nil, errShort
		}
		size := int(binary.NativeEndian.Uint16(b))
		if size < hopLen || size > len(b) {
			return nil, fmt.Errorf("next hop of %d bytes in %d", size, len(b))
		}
		hop := r
		hop.OnLink = b[2]&unix.RTNH_F_ONLINK != 0
		hop.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
		ad, err := netlink.NewAttributeDecoder(b[hopLen:size])
		if err != nil {
			return nil, fmt.Errorf("next hop attributes: %w", err)
		}
		for ad.Next() {
			switch ad.Type() {
			case unix.RTA_GATEWAY:
				hop.Via = address(ad.Bytes())
			case unix.RTA_ENCAP:
				hop.Other = true
			}
		}
		if err := ad.Err(); err != nil {
			return nil, fmt.Errorf("next hop attributes: %w", err)
		}
		out = append(out, hop)
		b = b[min((size+3)&^3, len(b)):]
	}
	return out, nil
}

// address is the zero Addr for what is no IPv6 address.
func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	if !a.Is6() {
		return netip.Addr{}
	}
	return a
}
