package nettest

import (
	"net/netip"
	"strconv"
	"time"
)

// Ping sends up to count echo requests 10 ms apart and reports whether the
// first was answered within half a second. ICMP confirms neighbour entries by
// itself: use UDP to test neighbour unreachability detection.
func (n *Namespace) Ping(to netip.Addr, count int) bool {
	n.t.Helper()
	_, err := n.Try("ping", "-6", "-n", "-q", "-c", strconv.Itoa(count), "-i", "0.01", "-W", "0.5", to.String())
	return err == nil
}

// Reaches fails the test unless a ping is answered in time.
func (n *Namespace) Reaches(to netip.Addr, within time.Duration) {
	n.t.Helper()
	Eventually(n.t, within, n.Name+" reaches "+to.String(), func() bool { return n.Ping(to, 1) })
}

// Unreachable fails the test if any of several pings is answered.
func (n *Namespace) Unreachable(to netip.Addr) {
	n.t.Helper()
	if n.Ping(to, 3) {
		n.t.Fatalf("%s reaches %s, and must not", n.Name, to)
	}
}
