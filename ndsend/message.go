package ndsend

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
)

// HopLimit is what a neighbour insists on in a Neighbor Discovery message: a
// smaller value would prove that a router forwarded it (RFC 4861 section 7.1.2).
const HopLimit = 255

// AllNodes is ff02::1, where unsolicited advertisements go.
func AllNodes() netip.Addr { return netip.IPv6LinkLocalAllNodes() }

// Flags are those of an advertisement that a caller may choose (RFC 4861 section
// 4.4). The zero value is what an address of an instance needs: Override set,
// Router clear. Solicited is no choice: an advertisement for all nodes must have
// it clear (section 7.1.2), or the receivers drop it.
type Flags struct {
	// Router says that the announced address itself belongs to a router.
	Router bool
	// NoOverride leaves alone what a neighbour knows of the address already:
	// it then announces nothing but to those that wait for an answer, and
	// makes others ask again (section 7.2.5).
	NoOverride bool
}

// Advertisement returns the ICMPv6 message, 32 bytes, of an unsolicited
// Neighbor Advertisement that says: target is at mac. The checksum is zero; a
// raw ICMPv6 socket fills it in. RFC 4861 sections 4.4 and 4.6.1.
//
// This is the only place that builds one, so that the option's direction and
// the flags are decided once. Errors: [ErrBadTarget], [ErrLinkType] if mac is
// not a usable Ethernet address.
func Advertisement(target netip.Addr, mac net.HardwareAddr, flags Flags) ([]byte, error) {
	if err := CheckTarget(target); err != nil {
		return nil, err
	}
	if !usableMAC(mac) {
		return nil, fmt.Errorf("link-layer address %q: %w", mac, ErrLinkType)
	}
	message, err := ndp.MarshalMessage(&ndp.NeighborAdvertisement{
		Router:        flags.Router,
		Override:      !flags.NoOverride,
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode the advertisement of %s: %w", target, err)
	}
	return message, nil
}

// targetAt is where the Target Address is in the message.
const targetAt = 8

// appendAdvertisement appends to buffer what [Advertisement] returns for target,
// given what it returned for another address of the same device.
func appendAdvertisement(buffer, sample []byte, target netip.Addr) []byte {
	at := len(buffer) + targetAt
	buffer = append(buffer, sample...)
	addr := target.As16()
	copy(buffer[at:], addr[:])
	return buffer
}

// usableMAC tells whether neighbours can send to mac: six bytes, not a group
// address, not all zero (as on loopback).
func usableMAC(mac net.HardwareAddr) bool {
	return len(mac) == 6 && mac[0]&1 == 0 && [6]byte(mac) != [6]byte{}
}
