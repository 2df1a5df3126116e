package nettest

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	flagTentative = unix.IFA_F_TENTATIVE
	flagDADFailed = unix.IFA_F_DADFAILED
)

// Neighbour is an entry of a neighbour cache.
type Neighbour struct {
	// State as ip(8) prints it: REACHABLE, STALE, …; "" if there is none.
	State  string
	MAC    net.HardwareAddr
	Router bool
}

// Neighbour returns the neighbour cache's entry for an address.
func (n *Namespace) Neighbour(device string, addr netip.Addr) Neighbour {
	n.t.Helper()
	index := n.Index(device)
	var found Neighbour
	n.Do(func() error {
		list, err := netlink.NeighList(index, netlink.FAMILY_V6)
		for _, e := range list {
			if ip, _ := netip.AddrFromSlice(e.IP); ip == addr {
				found = Neighbour{State: stateName(e.State), MAC: e.HardwareAddr, Router: e.Flags&unix.NTF_ROUTER != 0}
			}
		}
		return err
	})
	return found
}

// FlushNeighbours empties the neighbour cache of a device.
func (n *Namespace) FlushNeighbours(device string) {
	n.t.Helper()
	n.IP("-6", "neigh", "flush", "dev", device)
}

func stateName(state int) string {
	names := map[int]string{
		unix.NUD_INCOMPLETE: "INCOMPLETE", unix.NUD_REACHABLE: "REACHABLE", unix.NUD_STALE: "STALE",
		unix.NUD_DELAY: "DELAY", unix.NUD_PROBE: "PROBE", unix.NUD_FAILED: "FAILED",
		unix.NUD_NOARP: "NOARP", unix.NUD_PERMANENT: "PERMANENT",
	}
	return names[state]
}
