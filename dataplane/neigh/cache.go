package neigh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// State is what the neighbour cache knows of a neighbour (RFC 4861 section
// 7.3.2), in the words of ip(8).
type State string

// The states. StateAbsent: there is no entry, since nobody sent anything there
// lately.
const (
	StateAbsent     State = "absent"
	StateIncomplete State = "incomplete"
	StateReachable  State = "reachable"
	StateStale      State = "stale"
	StateDelay      State = "delay"
	StateProbe      State = "probe"
	StateFailed     State = "failed"
	StateNoARP      State = "noarp"
	StatePermanent  State = "permanent"
)

// states by NUD_*.
func states() map[uint16]State {
	return map[uint16]State{
		unix.NUD_INCOMPLETE: StateIncomplete, unix.NUD_REACHABLE: StateReachable, unix.NUD_STALE: StateStale,
		unix.NUD_DELAY: StateDelay, unix.NUD_PROBE: StateProbe, unix.NUD_FAILED: StateFailed,
		unix.NUD_NOARP: StateNoARP, unix.NUD_PERMANENT: StatePermanent,
	}
}

// Cached is one entry of the neighbour cache.
type Cached struct {
	State State
	// MAC is nil while the neighbour has not answered.
	MAC net.HardwareAddr
}

// Lookup returns what the neighbour cache of a device has of an address. Needs
// Linux 5.0.
func Lookup(ctx context.Context, c *rtnl.Conn, index int, addr netip.Addr) (Cached, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.NDA_DST, addr.AsSlice())
	attrs, err := ae.Encode()
	if err != nil {
		return Cached{}, fmt.Errorf("neighbour %s: %w", addr, err)
	}
	m, err := c.Get(ctx, unix.RTM_GETNEIGH, append(header(index, 0, 0), attrs...))
	switch {
	case errors.Is(err, unix.ENOENT):
		return Cached{State: StateAbsent}, nil
	case err != nil:
		return Cached{}, fmt.Errorf("neighbour %s: %w", addr, err)
	}
	return decodeCached(m)
}

func decodeCached(b []byte) (Cached, error) {
	if len(b) < headerLen {
		return Cached{}, errShort
	}
	nud := binary.NativeEndian.Uint16(b[8:])
	state, known := states()[nud]
	if !known {
		state = State(fmt.Sprintf("state %#x", nud))
	}
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return Cached{}, fmt.Errorf("neighbour attributes: %w", err)
	}
	n := Cached{State: state}
	for ad.Next() {
		if ad.Type() == unix.NDA_LLADDR {
			n.MAC = slices.Clone(ad.Bytes())
		}
	}
	return n, ad.Err()
}
