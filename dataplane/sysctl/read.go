package sysctl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// Values are the settings of one device.
type Values struct {
	// Forwarding is net.ipv6.conf.<device>.forwarding.
	Forwarding bool
	// ProxyNDP is net.ipv6.conf.<device>.proxy_ndp.
	ProxyNDP bool
	// ProxyDelay is net.ipv6.neigh.<device>.proxy_delay, rounded by the
	// kernel to its own clock (1 to 10 ms). -1: the device has none.
	ProxyDelay time.Duration
}

// Table holds the settings of all devices of a namespace that have an IPv6
// side, by device index.
type Table struct {
	Devices map[int]Values
	// AllProxyNDP is net.ipv6.conf.all.proxy_ndp.
	AllProxyNDP bool
}

// linux/netconf.h
const (
	netconfIndex      = 1 // NETCONFA_IFINDEX
	netconfForwarding = 2 // NETCONFA_FORWARDING
	netconfProxyNeigh = 5 // NETCONFA_PROXY_NEIGH
	netconfAll        = -1
	netconfLen        = 4 // struct netconfmsg, padded
)

// linux/neighbour.h
const (
	neightblName       = 1  // NDTA_NAME
	neightblParms      = 6  // NDTA_PARMS
	neightblIndex      = 1  // NDTPA_IFINDEX
	neightblProxyDelay = 13 // NDTPA_PROXY_DELAY
	neightblLen        = 4  // struct ndtmsg
	ndiscTable         = "ndisc_cache"
)

var errShort = errors.New("message is too short")

// Read returns the settings of every device.
func Read(ctx context.Context, c *rtnl.Conn) (Table, error) {
	t := Table{Devices: map[int]Values{}}
	messages, err := c.Dump(ctx, unix.RTM_GETNETCONF, unix.RTM_NEWNETCONF, []byte{unix.AF_INET6, 0, 0, 0})
	if err != nil {
		return Table{}, fmt.Errorf("read netconf: %w", err)
	}
	for _, m := range messages {
		index, v, err := decodeNetconf(m)
		if err != nil {
			return Table{}, fmt.Errorf("read netconf: %w", err)
		}
		switch {
		case index == netconfAll:
			t.AllProxyNDP = v.ProxyNDP
		case index > 0:
			t.Devices[index] = v
		}
	}
	messages, err = c.Dump(ctx, unix.RTM_GETNEIGHTBL, unix.RTM_NEWNEIGHTBL, []byte{unix.AF_INET6, 0, 0, 0})
	if err != nil {
		return Table{}, fmt.Errorf("read neighbour tables: %w", err)
	}
	for _, m := range messages {
		index, delay, ok, err := decodeNeightbl(m)
		if err != nil {
			return Table{}, fmt.Errorf("read neighbour tables: %w", err)
		}
		if v, known := t.Devices[index]; ok && known {
			v.ProxyDelay = delay
			t.Devices[index] = v
		}
	}
	return t, nil
}

func decodeNetconf(b []byte) (index int, v Values, err error) {
	v.ProxyDelay = -1
	if len(b) < netconfLen {
		return 0, v, errShort
	}
	if b[0] != unix.AF_INET6 {
		return 0, v, nil
	}
	ad, err := netlink.NewAttributeDecoder(b[netconfLen:])
	if err != nil {
		return 0, v, err
	}
	for ad.Next() {
		switch ad.Type() {
		case netconfIndex:
			index = int(ad.Int32())
		case netconfForwarding:
			v.Forwarding = ad.Int32() != 0
		case netconfProxyNeigh:
			v.ProxyNDP = ad.Int32() != 0
		}
	}
	return index, v, ad.Err()
}

// decodeNeightbl reads one RTM_NEWNEIGHTBL; ok is false for what is not a
// device's part of the IPv6 table.
func decodeNeightbl(b []byte) (index int, delay time.Duration, ok bool, err error) {
	if len(b) < neightblLen {
		return 0, 0, false, errShort
	}
	ad, err := netlink.NewAttributeDecoder(b[neightblLen:])
	if err != nil {
		return 0, 0, false, err
	}
	name := ""
	for ad.Next() {
		switch ad.Type() {
		case neightblName:
			name = ad.String()
		case neightblParms:
			ad.Nested(func(nad *netlink.AttributeDecoder) error {
				for nad.Next() {
					switch nad.Type() {
					case neightblIndex:
						index = int(int32(nad.Uint32()))
					case neightblProxyDelay:
						ok = true
						delay = milliseconds(nad.Uint64())
					}
				}
				return nil
			})
		}
	}
	return index, delay, ok && index > 0 && name == ndiscTable, ad.Err()
}

func milliseconds(ms uint64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// encodeDelay is RTM_SETNEIGHTBL's payload: struct ndtmsg, the table's name
// and the device's parameters.
func encodeDelay(index int, delay time.Duration) ([]byte, error) {
	ae := netlink.NewAttributeEncoder()
	ae.String(neightblName, ndiscTable)
	ae.Nested(neightblParms, func(nae *netlink.AttributeEncoder) error {
		nae.Uint32(neightblIndex, uint32(index))
		nae.Uint64(neightblProxyDelay, uint64(delay/time.Millisecond))
		return nil
	})
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	header := make([]byte, neightblLen, neightblLen+len(attrs))
	header[0] = unix.AF_INET6
	return append(header, attrs...), nil
}
