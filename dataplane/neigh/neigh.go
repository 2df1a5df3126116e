package neigh

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

// Flags of an entry (linux/neighbour.h).
const (
	FlagProxy  = unix.NTF_PROXY
	FlagRouter = unix.NTF_ROUTER
)

// ndaProtocol is NDA_PROTOCOL (linux/neighbour.h, since Linux 5.0).
const ndaProtocol = 12

// headerLen is sizeof(struct ndmsg).
const headerLen = 12

var errShort = errors.New("neighbour message is too short")

// Entry is one proxy neighbour.
type Entry struct {
	// Index of the device.
	Index int
	Addr  netip.Addr
	// Protocol is NDA_PROTOCOL, who made the entry; 0 is nobody.
	Protocol uint8
	// Flags are NTF_*, including NTF_PROXY.
	Flags uint8
}

// List dumps the proxy neighbours of the namespace: every IPv6 entry whose
// flags contain NTF_PROXY, whatever else they contain.
func List(ctx context.Context, c *rtnl.Conn) ([]Entry, error) {
	request := header(0, 0, FlagProxy)
	messages, err := c.Dump(ctx, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, request)
	if err != nil {
		return nil, fmt.Errorf("list proxy neighbours: %w", err)
	}
	entries := make([]Entry, 0, len(messages))
	for _, m := range messages {
		e, ok, err := decode(m)
		if err != nil {
			return nil, fmt.Errorf("list proxy neighbours: %w", err)
		}
		if ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// Set makes the entry or changes an existing one's mark and flags. The state
// is NUD_PERMANENT: any other lets the kernel delete the entry on carrier loss.
func Set(ctx context.Context, c *rtnl.Conn, e Entry) error {
	payload, err := encode(e)
	if err != nil {
		return err
	}
	if err := c.Do(ctx, unix.RTM_NEWNEIGH, netlink.Create|netlink.Replace, payload); err != nil {
		return fmt.Errorf("set proxy neighbour %s: %w", e.Addr, err)
	}
	return nil
}

// Delete removes the entry of that device and address. One that is already
// gone is success.
func Delete(ctx context.Context, c *rtnl.Conn, index int, addr netip.Addr) error {
	payload, err := encode(Entry{Index: index, Addr: addr})
	if err != nil {
		return err
	}
	err = c.Do(ctx, unix.RTM_DELNEIGH, 0, payload)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete proxy neighbour %s: %w", addr, err)
	}
	return nil
}

// header is struct ndmsg: family, pad, ifindex, state, flags, type.
func header(index int, state uint16, flags uint8) []byte {
	b := make([]byte, headerLen, headerLen+32)
	b[0] = unix.AF_INET6
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint16(b[8:], state)
	b[10] = flags
	return b
}

func encode(e Entry) ([]byte, error) {
	if e.Index <= 0 {
		return nil, fmt.Errorf("proxy neighbour %s: %w: device index %d", e.Addr, unix.EINVAL, e.Index)
	}
	if !e.Addr.Is6() || e.Addr.Is4In6() || e.Addr.Zone() != "" {
		return nil, fmt.Errorf("proxy neighbour %s: %w: not a plain IPv6 address", e.Addr, unix.EINVAL)
	}
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.NDA_DST, e.Addr.AsSlice())
	if e.Protocol != 0 {
		ae.Uint8(ndaProtocol, e.Protocol)
	}
	attrs, err := ae.Encode()
	if err != nil {
		return nil, fmt.Errorf("proxy neighbour %s: %w", e.Addr, err)
	}
	return append(header(e.Index, unix.NUD_PERMANENT, e.Flags|FlagProxy), attrs...), nil
}

// decode reads one RTM_NEWNEIGH; ok is false for what is no IPv6 proxy entry.
func decode(b []byte) (e Entry, ok bool, err error) {
	if len(b) < headerLen {
		return Entry{}, false, errShort
	}
	e = Entry{Index: int(int32(binary.NativeEndian.Uint32(b[4:]))), Flags: b[10]}
	if b[0] != unix.AF_INET6 || e.Flags&FlagProxy == 0 {
		return Entry{}, false, nil
	}
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return Entry{}, false, fmt.Errorf("neighbour attributes: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NDA_DST:
			a, valid := netip.AddrFromSlice(ad.Bytes())
			if !valid || !a.Is6() {
				return Entry{}, false, fmt.Errorf("neighbour address of %d bytes", len(ad.Bytes()))
			}
			e.Addr = a
		case ndaProtocol:
			e.Protocol = ad.Uint8()
		}
	}
	if err := ad.Err(); err != nil {
		return Entry{}, false, fmt.Errorf("neighbour attributes: %w", err)
	}
	return e, e.Addr.IsValid(), nil
}

// Router reports whether the kernel sets the Router flag in answers for it.
func (e Entry) Router() bool { return e.Flags&FlagRouter != 0 }
