package ndsend

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// Outgoing is an advertisement as it would leave.
type Outgoing struct {
	Target netip.Addr
	// Source is IPv6's.
	Source netip.Addr
	// MAC is the device's: Ethernet's source, and what the Target Link-Layer
	// Address option says.
	MAC net.HardwareAddr
	// Frame is the whole of it, 86 bytes from the Ethernet header on, without
	// a frame check sequence. The device may put a tag in.
	Frame []byte
}

// Preview tells what [Burst] would send for each of targets, as the device is
// now, and sends nothing. It opens no raw socket and needs no privilege but
// what config.Enter needs. Where Burst would refuse, so does Preview, with the
// same error.
func Preview(config Config, targets []netip.Addr) ([]Outgoing, error) {
	var from device
	err := config.inspect(func(devices *deviceReader) (err error) {
		from, err = devices.read(config.Interface, config.Source)
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []Outgoing
	for _, target := range targets {
		frame, err := Frame(target, from.source, from.mac, config.Flags)
		if err != nil {
			return nil, &TargetError{target, config.Interface, err}
		}
		all = append(all, Outgoing{Target: target, Source: from.source, MAC: from.mac, Frame: frame})
	}
	return all, nil
}

// inspect runs look with a reader of devices in the namespace. Errors:
// [ErrNamespace], [ErrNoInterface] if the name cannot be a device's, and
// look's, with the interface named.
func (c Config) inspect(look func(*deviceReader) error) error {
	err := checkName(c.Interface)
	if err != nil {
		return fmt.Errorf("interface %q: %w", c.Interface, err)
	}
	entered := false
	work := func() error {
		entered = true
		devices, err := openDeviceReader()
		if err != nil {
			return err
		}
		defer devices.close()
		return look(devices)
	}
	if c.Enter == nil {
		err = work()
	} else if err = c.Enter(work); err != nil && !entered {
		err = fmt.Errorf("%w: %w", ErrNamespace, err)
	}
	if err != nil {
		return fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	return nil
}

// Lengths of headers.
const (
	ethernetLen = 14
	ipv6Len     = 40

	etherTypeIPv6    = 0x86dd
	nextHeaderICMPv6 = 58
)

// Frame returns the Ethernet frame that carries the advertisement that target
// is at mac, to all nodes (RFC 2464 sections 3 and 7, RFC 8200 section 3), with
// its checksum. It is what the kernel makes of [Advertisement]. Errors: those.
func Frame(target, source netip.Addr, mac net.HardwareAddr, flags Flags) ([]byte, error) {
	message, err := Advertisement(target, mac, flags)
	if err != nil {
		return nil, err
	}
	to, from := AllNodes().As16(), source.As16()
	frame := make([]byte, 0, ethernetLen+ipv6Len+len(message))
	frame = append(frame, 0x33, 0x33)
	frame = append(frame, to[12:]...)
	frame = append(frame, mac...)
	frame = binary.BigEndian.AppendUint16(frame, etherTypeIPv6)
	frame = append(frame, 6<<4, 0, 0, 0) // version; no traffic class, no flow label
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(message)))
	frame = append(frame, nextHeaderICMPv6, HopLimit)
	frame = append(frame, from[:]...)
	frame = append(frame, to[:]...)
	binary.BigEndian.PutUint16(message[2:], checksum(source, AllNodes(), message))
	return append(frame, message...), nil
}

// checksum is that of an ICMPv6 message (RFC 4443 section 2.3) whose own field
// is zero and whose length is even.
func checksum(from, to netip.Addr, message []byte) uint16 {
	a, b := from.As16(), to.As16()
	sum := uint32(len(message)) + nextHeaderICMPv6
	for _, part := range [][]byte{a[:], b[:], message} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
