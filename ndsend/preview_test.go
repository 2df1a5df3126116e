package ndsend

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// The bytes, worked out by hand from the RFCs.
func TestFrameBytes(t *testing.T) {
	const ethernet = "333300000001 fa163e010203 86dd "
	const ipv6 = "60000000 0020 3a ff fe80000000000000f8163efffe010203 ff020000000000000000000000000001 "
	const rest = "20010db8000000010000000000000005 02 01 fa163e010203"
	source := netip.MustParseAddr("fe80::f816:3eff:fe01:203")
	for _, c := range []struct {
		name  string
		flags Flags
		want  string
	}{
		{"instance", Flags{}, ethernet + ipv6 + "88 00 b929 20000000" + rest},
		{"router", Flags{Router: true}, ethernet + ipv6 + "88 00 3929 a0000000" + rest},
		{"no override", Flags{NoOverride: true}, ethernet + ipv6 + "88 00 d929 00000000" + rest},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Frame(testTarget, source, testMAC, c.flags)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(c.want, " ", ""), hex.EncodeToString(got)); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
			if !nstest.Frame(got).ChecksumValid() {
				t.Error("the checksum is wrong")
			}
		})
	}
}

// What Preview shows is what Burst sends, byte for byte, and Preview sends
// nothing and needs no CAP_NET_RAW.
func TestPreviewIsWhatLeaves(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	ours.IP("address", "add", "2001:db8::1/64", "dev", "qg-1", "nodad")
	capture := upstream.Capture("up0")
	targets := []netip.Addr{testTarget, netip.MustParseAddr("fe80::5"), netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")}
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"default", Config{}},
		{"router", Config{Flags: Flags{Router: true}}},
		{"no override", Config{Flags: Flags{NoOverride: true}}},
		{"source", Config{Source: netip.MustParseAddr("2001:db8::1")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Interface = "qg-1"
			c.config.Enter = unprivileged(ours)
			want, err := Preview(c.config, targets)
			if err != nil {
				t.Fatal(err)
			}
			capture.WantNone(0)
			c.config.Enter = ours.Enter
			if _, err := Burst(t.Context(), c.config, targets); err != nil {
				t.Fatal(err)
			}
			for i, target := range targets {
				got := capture.Want(target)
				if diff := cmp.Diff(hex.EncodeToString(want[i].Frame), hex.EncodeToString(got)); diff != "" {
					t.Errorf("%s: frame (-preview +captured):\n%s", target, diff)
				}
				if want[i].Target != target || want[i].Source != got.From() || want[i].MAC.String() != got.Source().String() {
					t.Errorf("%+v tells of another frame than it holds", want[i])
				}
			}
		})
	}
}

// unprivileged enters a namespace and runs what follows without CAP_NET_RAW.
func unprivileged(n *nstest.Namespace) func(func() error) error {
	return func(fn func() error) error {
		return n.Enter(func() error {
			if err := dropRaw(); err != nil {
				return err
			}
			return fn()
		})
	}
}

// Preview refuses what Burst refuses, in the same words.
func TestPreviewRefuses(t *testing.T) {
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	nstest.Link(t, ours, "qg-2", upstream, "up1")
	ours.IP("link", "set", "qg-2", "down")
	target := []netip.Addr{testTarget}
	for _, c := range []struct {
		device string
		want   error
	}{{"absent", ErrNoInterface}, {"lo", ErrLinkType}, {"qg-2", ErrNotReady}, {"a/b", ErrNoInterface}} {
		t.Run(c.device, func(t *testing.T) {
			config := Config{Interface: c.device, Enter: ours.Enter}
			_, err := Preview(config, target)
			_, sendErr := Burst(t.Context(), config, target)
			if !errors.Is(err, c.want) || err.Error() != sendErr.Error() {
				t.Errorf("error %v, want %v as from Burst, %v", err, c.want, sendErr)
			}
		})
	}
	config := Config{Interface: "qg-1", Enter: ours.Enter}
	if _, err := Preview(config, []netip.Addr{netip.MustParseAddr("ff02::1")}); !errors.Is(err, ErrBadTarget) {
		t.Errorf("error %v, want %v", err, ErrBadTarget)
	}
	upstream.Delete()
	config.Enter = upstream.Enter
	if _, err := Preview(config, target); !errors.Is(err, ErrNamespace) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want %v", err, ErrNamespace)
	}
}
