package ndsend

import (
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/ndp"
)

var (
	testMAC    = net.HardwareAddr{0xfa, 0x16, 0x3e, 0x01, 0x02, 0x03}
	testTarget = netip.MustParseAddr("2001:db8:0:1::5")
)

func TestAdvertisementBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags Flags
		want  string
	}{
		{"instance", Flags{}, "88 00 0000 20000000 20010db8000000010000000000000005 02 01 fa163e010203"},
		{"router", Flags{Router: true}, "88 00 0000 a0000000 20010db8000000010000000000000005 02 01 fa163e010203"},
		{"no override", Flags{NoOverride: true}, "88 00 0000 00000000 20010db8000000010000000000000005 02 01 fa163e010203"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Advertisement(testTarget, testMAC, c.flags)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.want, " ", ""), hex.EncodeToString(got)); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

// The codec reads what it wrote, as a second opinion on the golden bytes.
func TestAdvertisementParses(t *testing.T) {
	raw, err := Advertisement(testTarget, testMAC, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ndp.ParseMessage(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &ndp.NeighborAdvertisement{
		Override:      true,
		TargetAddress: testTarget,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: testMAC}},
	}
	if diff := cmp.Diff(ndp.Message(want), got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestAdvertisementRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		target netip.Addr
		mac    net.HardwareAddr
		want   error
	}{
		{"group target", netip.MustParseAddr("ff02::1"), testMAC, ErrBadTarget},
		{"no target", netip.Addr{}, testMAC, ErrBadTarget},
		{"no MAC", testTarget, nil, ErrLinkType},
		{"zero MAC", testTarget, make(net.HardwareAddr, 6), ErrLinkType},
		{"group MAC", testTarget, net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, ErrLinkType},
		{"InfiniBand", testTarget, make(net.HardwareAddr, 20), ErrLinkType},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Advertisement(c.target, c.mac, Flags{}); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func BenchmarkAdvertisement(b *testing.B) {
	for b.Loop() {
		if _, err := Advertisement(testTarget, testMAC, Flags{}); err != nil {
			b.Fatal(err)
		}
	}
}
