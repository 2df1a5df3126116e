package ndsend

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/rtnl"
)

// verifier knows a device as it was when it was opened.
type verifier struct {
	devices *deviceReader
	name    string
	index   int
	state   DeviceState
	own     map[netip.Addr]rtnl.Address
	anycast map[netip.Addr]bool

	// elsewhere are the devices that have an entry for an address; nil until
	// somebody wants to know.
	elsewhere map[netip.Addr][]string
}

func openVerifier(devices *deviceReader, name string) (*verifier, error) {
	link, err := devices.link(name)
	switch {
	case err != nil:
		return nil, err
	case link.Flags&unix.IFF_LOOPBACK != 0 || !usableMAC(link.MAC):
		return nil, ErrLinkType
	}
	all, err := devices.conn.All()
	if err != nil {
		return nil, fmt.Errorf("read net.ipv6.conf.all: %w", err)
	}
	v := &verifier{devices: devices, name: link.Name, index: link.Index, state: DeviceState{
		noARP: link.Flags&unix.IFF_NOARP != 0,
		Up:    link.Flags&unix.IFF_UP != 0, Carrier: link.Flags&unix.IFF_RUNNING != 0,
		IPv6: link.IPv6 && !link.Disabled, disabled: link.Disabled,
		Forwarding: link.Forwarding, ProxyNDP: link.ProxyNDP,
		AllForwarding: all.Forwarding, AllProxyNDP: all.ProxyNDP,
	}}
	return v, v.readAddresses()
}

func (v *verifier) readAddresses() error {
	own, err := v.devices.addresses(v.index)
	if err != nil {
		return err
	}
	v.own = make(map[netip.Addr]rtnl.Address, len(own))
	for _, a := range own {
		v.own[a.Addr] = a
	}
	v.state.Source = answerSource(own)
	anycast, err := v.devices.conn.Anycast(v.index)
	if err != nil {
		return fmt.Errorf("read the interface's anycast addresses: %w", err)
	}
	v.anycast = make(map[netip.Addr]bool, len(anycast))
	for _, a := range anycast {
		v.anycast[a.Addr] = true
	}
	return nil
}

// answerSource is the address of the device that the kernel answers a
// link-local neighbour from when it answers for another (ipv6_dev_get_saddr):
// a link-local one, or else any that is not tentative. Of several link-local ones,
// of which the kernel takes what resembles the asker's most, it is the lowest, as
// advertisements leave from that one.
func answerSource(own []rtnl.Address) netip.Addr {
	var best netip.Addr
	for _, a := range own {
		if a.Flags&unix.IFA_F_TENTATIVE != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0 {
			continue
		}
		local, was := a.Addr.IsLinkLocalUnicast(), best.IsLinkLocalUnicast()
		if !best.IsValid() || local && (!was || a.Addr.Less(best)) {
			best = a.Addr
		}
	}
	return best
}

func (v *verifier) verify(target netip.Addr) (Verification, error) {
	if err := CheckTarget(target); err != nil {
		return Verification{}, err
	}
	f, err := v.find(target)
	if err != nil {
		return Verification{}, err
	}
	return judge(v.name, v.state, f), nil
}

func (v *verifier) find(target netip.Addr) (finding, error) {
	f := finding{target: target, anycast: v.anycast[target]}
	if own, ok := v.own[target]; ok {
		f.own = &own
	}
	if f.own != nil || f.anycast {
		return f, nil
	}
	entry, found, err := v.devices.conn.ProxyEntry(v.index, target)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return f, fmt.Errorf("this kernel can't be asked for one entry (Linux 5.0 can): %w", err)
	case err != nil:
		return f, fmt.Errorf("read the proxy entry: %w", err)
	case !found:
		f.elsewhere, err = v.entriesElsewhere(target)
		return f, err
	}
	f.entry = &entry
	kind, err := v.devices.conn.Route(v.index, target)
	if err != nil {
		return f, fmt.Errorf("read the route: %w", err)
	}
	f.routed, f.local = kind == unix.RTN_UNICAST, kind == unix.RTN_LOCAL
	return f, nil
}

// entriesElsewhere names the devices with a proxy entry for the target.
func (v *verifier) entriesElsewhere(target netip.Addr) ([]string, error) {
	if v.elsewhere == nil {
		entries, err := v.devices.conn.ProxyEntries()
		if err != nil {
			return nil, fmt.Errorf("read the proxy entries: %w", err)
		}
		v.elsewhere = make(map[netip.Addr][]string)
		names := make(map[int]string)
		for _, e := range entries {
			if names[e.Index] == "" {
				names[e.Index] = v.nameOf(e.Index)
			}
			v.elsewhere[e.Addr] = append(v.elsewhere[e.Addr], names[e.Index])
		}
	}
	return v.elsewhere[target], nil
}

// nameOf is a device's name, for people; a device that went has its number.
func (v *verifier) nameOf(index int) string {
	link, err := v.devices.conn.LinkByIndex(index)
	if err != nil {
		return fmt.Sprintf("interface %d", index)
	}
	return link.Name
}
