package announcer

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// An upstream router that holds the old node's link-layer address, and sends a
// packet every other millisecond, switches with the advertisement: at most the
// packet that was on its way as it came goes to the old node, and none is lost.
// The old node stays as it was, so that nothing but the advertisement makes the
// difference; without Override it makes none.
func TestAFailoverTakesOnePacket(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*lan, *Options)
		switches bool
	}{
		{"as sent", func(*lan, *Options) {}, true},
		{"without Override", func(l *lan, o *Options) { o.Send = withoutOverride(l.b) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLAN(t, "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b")
			trace := l.upstream.Trace("up0")
			l.a.answer()
			defer l.stream()()
			for range 50 {
				if got := l.next(trace); got.Destination().String() != l.a.mac {
					t.Fatalf("a packet to %s before the failover, want %s", got.Destination(), l.a.mac)
				}
			}
			if got := l.upstream.Neighbour("up0", l.published); got.MAC != l.a.mac || got.State[0] != "REACHABLE" {
				t.Fatalf("before the failover: %q, want %s REACHABLE", got.Raw, l.a.mac)
			}

			l.b.answer()
			a := kernel(t, func(o *Options) { c.change(l, o) }, l.b.Namespace)
			a.Owe(target(l.b.Namespace), l.published)

			l.awaitAdvertisement(trace, func(f nstest.Frame) {
				if got := f.Destination().String(); got != l.a.mac {
					t.Errorf("a packet to %s before the advertisement", got)
				}
			})
			var toA, toB []uint64
			for range 100 {
				f := l.next(trace)
				switch f.Destination().String() {
				case l.a.mac:
					toA = append(toA, l.number(f))
					if len(toB) > 0 {
						t.Fatalf("packet %d to the old node after %d to the new one", l.number(f), len(toB))
					}
				case l.b.mac:
					toB = append(toB, l.number(f))
				default:
					t.Fatalf("a packet to %s", f.Destination())
				}
			}
			trace.WantWhole()
			if !c.switches {
				if len(toB) > 0 {
					t.Errorf("%d packets to the new node: the other case shows nothing", len(toB))
				}
				return
			}
			if len(toA) > 1 {
				t.Errorf("%d packets to the old node after the advertisement, want one at most", len(toA))
			}
			l.wantWhole(toA, toB)
		})
	}
}

func withoutOverride(n *node) SendFunc {
	return func(ctx context.Context, target Target, addrs []netip.Addr) ([]netip.Addr, error) {
		return ndsend.Burst(ctx, ndsend.Config{
			Interface: target.Device, Enter: n.Enter, Flags: ndsend.Flags{NoOverride: true},
		}, addrs)
	}
}

// Nodes of a highly available router have one link-layer address, so no
// neighbour learns anything new: it is the switch that has to. It forwards to
// the new node with the first packet after the advertisement.
func TestTheSwitchFollows(t *testing.T) {
	const mac = "fa:16:3e:00:00:0c"
	l := newLAN(t, mac, mac)
	l.a.answer()
	trace := l.bridge.Trace("")
	defer l.stream()()
	// The switch knows the primary's port by its answer.
	for range 50 {
		if f, device := l.nextForwarded(trace); device != l.a.port {
			t.Fatalf("packet %d to another port than the primary's before the failover", l.number(f))
		}
	}
	l.b.answer()
	for range 50 { // answering alone moves nothing
		if f, device := l.nextForwarded(trace); device != l.a.port {
			t.Fatalf("packet %d to another port than the primary's before the advertisement", l.number(f))
		}
	}

	a := kernel(t, nil, l.b.Namespace)
	a.Owe(target(l.b.Namespace), l.published)
	if !trace.Until(func(event nstest.Event) bool {
		if event.Out && event.Device == l.b.port && event.UDP(l.published) != nil {
			t.Fatal("a packet to the new node before it advertised")
		}
		return event.IsAdvertisement(l.published) && event.Device == l.b.port && !event.Out
	}) {
		t.Fatal("no advertisement came to the switch")
	}
	var toA, toB []uint64
	for range 100 {
		f, device := l.nextForwarded(trace)
		if device == l.b.port {
			toB = append(toB, l.number(f))
			continue
		}
		if toA = append(toA, l.number(f)); len(toB) > 0 {
			t.Fatalf("packet %d to the old node after %d to the new one", l.number(f), len(toB))
		}
	}
	trace.WantWhole()
	if len(toA) > 1 {
		t.Errorf("%d packets to the old node after the advertisement, want one at most", len(toA))
	}
	l.wantWhole(toA, toB)
}

// wantWhole fails unless the packets to the old node and those to the new one
// follow each other without a gap, and all were forwarded.
func (l *lan) wantWhole(toA, toB []uint64) {
	l.t.Helper()
	all := slices.Concat(toA, toB)
	for i, number := range all {
		if number != all[0]+uint64(i) {
			l.t.Fatalf("packet %d follows packet %d", number, all[i-1])
		}
	}
	l.a.wantForwarded(toA)
	l.b.wantForwarded(toB)
}

// next is the next packet of the stream that leaves the traced device.
func (l *lan) next(trace *nstest.Trace) (next nstest.Frame) {
	l.t.Helper()
	if !trace.Until(func(event nstest.Event) bool {
		next = event.Frame
		return event.Out && event.UDP(l.published) != nil
	}) {
		l.t.Fatal("the stream does not come through")
	}
	return next
}

// nextForwarded is the next packet of the stream that leaves the switch for a
// node, and the port.
func (l *lan) nextForwarded(trace *nstest.Trace) (next nstest.Frame, port int) {
	l.t.Helper()
	if !trace.Until(func(event nstest.Event) bool {
		next, port = event.Frame, event.Device
		return event.Out && (port == l.a.port || port == l.b.port) && event.UDP(l.published) != nil
	}) {
		l.t.Fatal("the stream does not come through")
	}
	return next, port
}

// awaitAdvertisement returns when the device has one of the published address;
// each packet of the stream that left before is shown to seen.
func (l *lan) awaitAdvertisement(trace *nstest.Trace, seen func(nstest.Frame)) {
	l.t.Helper()
	if !trace.Until(func(event nstest.Event) bool {
		if event.Out && event.UDP(l.published) != nil {
			seen(event.Frame)
		}
		return event.IsAdvertisement(l.published) && !event.Out
	}) {
		l.t.Fatal("no advertisement came")
	}
}

// number is the packet's place in the stream.
func (l *lan) number(f nstest.Frame) uint64 {
	l.t.Helper()
	return binary.BigEndian.Uint64(nstest.Event{Frame: f}.UDP(l.published))
}
