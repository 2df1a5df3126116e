package nettools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Neighbour is an entry of a neighbour cache.
type Neighbour struct {
	Addr   netip.Addr `json:"dst"`
	MAC    string     `json:"lladdr"`
	States []string   `json:"state"` // iproute2's names: REACHABLE, STALE, FAILED, ...
}

// Neighbours lists the IPv6 neighbour cache of a device.
func Neighbours(ctx context.Context, ns, device string) ([]Neighbour, error) {
	out, err := IP(ctx, ns, "-json", "-6", "neigh", "show", "dev", device)
	if err != nil {
		return nil, err
	}
	var all []Neighbour
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("neighbours of %s in %s: %w", device, ns, err)
	}
	return all, nil
}

// NeighbourOf returns the cache entry of one address; ok is false if there is none.
func NeighbourOf(ctx context.Context, ns, device string, a netip.Addr) (n Neighbour, ok bool, err error) {
	all, err := Neighbours(ctx, ns, device)
	i := slices.IndexFunc(all, func(n Neighbour) bool { return n.Addr == a })
	if err != nil || i < 0 {
		return Neighbour{}, false, err
	}
	return all[i], true, nil
}

// Forget removes an address from the neighbour cache of a device: the next packet solicits it anew.
func Forget(ctx context.Context, ns, device string, a netip.Addr) error {
	if _, ok, err := NeighbourOf(ctx, ns, device, a); err != nil || !ok {
		return err
	}
	_, err := IP(ctx, ns, "-6", "neigh", "del", a.String(), "dev", device)
	if err != nil {
		if _, ok, e := NeighbourOf(ctx, ns, device, a); e == nil && !ok {
			return nil // the kernel forgot it first
		}
	}
	return err
}

// stateNames names NUD states as iproute2 does.
var stateNames = map[int]string{
	netlink.NUD_INCOMPLETE: "INCOMPLETE", netlink.NUD_REACHABLE: "REACHABLE", netlink.NUD_STALE: "STALE",
	netlink.NUD_DELAY: "DELAY", netlink.NUD_PROBE: "PROBE", netlink.NUD_FAILED: "FAILED",
	netlink.NUD_NOARP: "NOARP", netlink.NUD_PERMANENT: "PERMANENT",
}

// NeighbourWatch records the state changes of one neighbour as the kernel announces them.
type NeighbourWatch struct {
	addr netip.Addr
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	states []string
	err    error
}

// WatchNeighbour begins to record the states of an address in a namespace; end it with Stop.
func WatchNeighbour(ns string, a netip.Addr) (*NeighbourWatch, error) {
	handle, err := netns.GetFromName(ns)
	if err != nil {
		return nil, fmt.Errorf("watch neighbour %s in %s: %w", a, ns, err)
	}
	defer handle.Close()
	w := &NeighbourWatch{addr: a, stop: make(chan struct{}), done: make(chan struct{})}
	updates := make(chan netlink.NeighUpdate, 256)
	err = netlink.NeighSubscribeWithOptions(updates, w.stop, netlink.NeighSubscribeOptions{
		Namespace:     &handle,
		ErrorCallback: w.fail,
	})
	if err != nil {
		return nil, fmt.Errorf("watch neighbour %s in %s: %w", a, ns, err)
	}
	go func() {
		defer close(w.done)
		for u := range updates {
			if got, ok := netip.AddrFromSlice(u.IP); ok && got == a && u.Flags&netlink.NTF_PROXY == 0 {
				w.mu.Lock()
				w.states = append(w.states, stateNames[u.State])
				w.mu.Unlock()
			}
		}
	}()
	return w, nil
}

func (w *NeighbourWatch) fail(err error) {
	select {
	case <-w.stop: // the closed socket's last word
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = err
	}
}

// States returns the announced states so far, in order. The kernel announces changes into
// REACHABLE (out of DELAY or PROBE), PROBE, STALE (after a new address) and FAILED.
func (w *NeighbourWatch) States() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.states), w.err
}

// Stop ends the watch.
func (w *NeighbourWatch) Stop() {
	close(w.stop)
	select {
	case <-w.done:
	case <-time.After(time.Second): // the library closes its channel only with the next message
	}
}
