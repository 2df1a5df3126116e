package dataplane_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/netns"
)

func wantedDevice() dataplane.Device {
	return dataplane.Device{
		Name: dev, Answer: true, LinkLocal: addr("fe80::1"),
		Published: []netip.Addr{host(1), host(2)}, Guarded: []netip.Prefix{prefix("2001:db8:0:2::/64")},
	}
}

func observed(d dataplane.Device) dataplane.Observation {
	part := filter.Device{Name: d.Name, LinkLocal: d.LinkLocal, Published: d.Published, Guarded: filter.Canonical(d.Guarded), OriginalDelay: 800 * time.Millisecond}
	o := dataplane.Observation{
		Namespace: namespace, ID: dataplane.ID{Ino: 1},
		Interfaces: []dataplane.Interface{{Name: d.Name, Index: 7, IPv6: true, ProxyNDP: d.Answer, ProxyDelay: d.ProxyDelay}},
		Filter: filter.Found{Present: true, Devices: []filter.FoundDevice{{
			Name: d.Name, Record: part.Record(), Known: true, Published: part.Published, Guarded: part.Guarded,
		}}},
	}
	for _, a := range d.Published {
		o.Proxies = append(o.Proxies, dataplane.Proxy{Device: d.Name, Index: 7, Addr: a, Protocol: ours, Ours: true})
	}
	return o
}

// The text of changes, as logs and `diff` show it.
func TestDiffText(t *testing.T) {
	bare := dataplane.Observation{Namespace: namespace, Interfaces: []dataplane.Interface{{Name: dev, Index: 7, IPv6: true, ProxyDelay: 800 * time.Millisecond}}}
	for _, c := range []struct {
		name string
		want func() []dataplane.Device
		have func() dataplane.Observation
		text string
	}{
		{
			"nothing to do",
			func() []dataplane.Device { return []dataplane.Device{wantedDevice()} },
			func() dataplane.Observation { return observed(wantedDevice()) }, "",
		},
		{
			"from nothing",
			func() []dataplane.Device { return []dataplane.Device{wantedDevice()} },
			func() dataplane.Observation { return bare }, `filter make
filter qg-1 link-local fe80::1
filter qg-1 guard [2001:db8:0:2::/64]
filter qg-1 publish 2001:db8:0:2::1
filter qg-1 publish 2001:db8:0:2::2
filter qg-1 remember proxy_delay 800ms
sysctl qg-1 proxy_delay 0s
entry + qg-1 2001:db8:0:2::1
entry + qg-1 2001:db8:0:2::2
sysctl qg-1 proxy_ndp 1
`,
		},
		{
			"to nothing",
			func() []dataplane.Device { return nil },
			func() dataplane.Observation { return observed(wantedDevice()) }, `filter delete
sysctl qg-1 proxy_ndp 0
entry - qg-1 2001:db8:0:2::1
entry - qg-1 2001:db8:0:2::2
sysctl qg-1 proxy_delay 800ms
`,
		},
		{
			"one for another, and a failover",
			func() []dataplane.Device {
				d := wantedDevice()
				d.Published, d.Answer, d.LinkLocal = []netip.Addr{host(2), host(3)}, false, netip.Addr{}
				return []dataplane.Device{d}
			},
			func() dataplane.Observation { return observed(wantedDevice()) }, `filter qg-1 link-local none
filter qg-1 withdraw 2001:db8:0:2::1
filter qg-1 publish 2001:db8:0:2::3
sysctl qg-1 proxy_ndp 0
entry - qg-1 2001:db8:0:2::1
entry + qg-1 2001:db8:0:2::3
`,
		},
		{
			"somebody's entries and a broken table",
			func() []dataplane.Device { return []dataplane.Device{wantedDevice()} },
			func() dataplane.Observation {
				o := observed(wantedDevice())
				o.Filter.Problem = "chain forward is missing"
				o.Proxies[0].Ours, o.Proxies[0].Protocol = false, 0
				o.Proxies[1].Router = true
				o.Proxies = append(o.Proxies, dataplane.Proxy{Device: dev, Addr: host(9)})
				return o
			}, `filter remake: chain forward is missing
filter qg-1 link-local fe80::1
filter qg-1 guard [2001:db8:0:2::/64]
filter qg-1 publish 2001:db8:0:2::1
filter qg-1 publish 2001:db8:0:2::2
filter qg-1 remember proxy_delay 800ms
entry adopt qg-1 2001:db8:0:2::1
entry adopt qg-1 2001:db8:0:2::2
`,
		},
		{
			"a device goes from the table",
			func() []dataplane.Device {
				return []dataplane.Device{{Name: "qg-0", ProxyDelay: dataplane.LeaveProxyDelay}}
			},
			func() dataplane.Observation {
				o := observed(wantedDevice())
				o.Interfaces, o.Proxies = nil, nil
				return o
			}, "filter qg-1 remove\n",
		},
	} {
		changes := dataplane.Diff(dataplane.State{Namespace: namespace, Devices: c.want()}, c.have())
		if d := cmp.Diff(c.text, changes.String()); d != "" {
			t.Errorf("%s:\n%s", c.name, d)
		}
		if changes.Empty() != (c.text == "") {
			t.Errorf("%s: empty is %v", c.name, changes.Empty())
		}
	}
}

// Mixed changes let through the old and the new until entries have moved.
func TestDiffOpensBeforeItCloses(t *testing.T) {
	d := wantedDevice()
	d.Published = []netip.Addr{host(2), host(3)}
	f := dataplane.Diff(dataplane.State{Namespace: namespace, Devices: []dataplane.Device{d}}, observed(wantedDevice())).Filter
	if f.Base == nil || f.Open == nil || f.Close == nil {
		t.Fatalf("%+v", f)
	}
	for want, c := range map[string]*filter.Content{
		fmt.Sprint([]netip.Addr{host(1), host(2)}):          f.Base,
		fmt.Sprint([]netip.Addr{host(1), host(2), host(3)}): f.Open,
		fmt.Sprint([]netip.Addr{host(2), host(3)}):          f.Close,
	} {
		if got := fmt.Sprint(c.Devices[0].Published); got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	}
}

// A large set that was not dumped is believed by its record, and written whole
// only if it must change and nobody remembers it.
func TestDiffOfAnUnknownSet(t *testing.T) {
	have := observed(wantedDevice())
	have.Filter.Devices[0].Known, have.Filter.Devices[0].Published = false, nil
	if c := dataplane.Diff(dataplane.State{Namespace: namespace, Devices: []dataplane.Device{wantedDevice()}}, have); !c.Empty() {
		t.Errorf("the record is not believed:\n%s", c)
	}
	d := wantedDevice()
	d.Published = append(d.Published, host(3))
	c := dataplane.Diff(dataplane.State{Namespace: namespace, Devices: []dataplane.Device{d}}, have)
	if c.Filter.Base != nil || c.Filter.Open == nil || c.Filter.Close != nil || c.Filter.Reason != "content unknown" {
		t.Errorf("%+v", c.Filter)
	}
	// Unless it need not change itself: its record proves what it holds.
	c = dataplane.Diff(dataplane.State{Namespace: namespace, Devices: []dataplane.Device{wantedDevice(), {Name: "qg-2"}}}, have)
	if c.Filter.Base == nil || len(c.Filter.Base.Devices) != 1 || len(c.Filter.Base.Devices[0].Published) != 2 {
		t.Errorf("%+v", c.Filter)
	}
}

func TestClassify(t *testing.T) {
	for want, errs := range map[dataplane.Class][]error{
		dataplane.ClassNone:      {nil},
		dataplane.ClassGone:      {dataplane.ErrNamespaceGone, dataplane.ErrDeviceGone, unix.ENODEV, unix.ENXIO},
		dataplane.ClassRetry:     {dataplane.ErrStale, netns.ErrNotReady, unix.EINTR, unix.ENOBUFS, unix.ENETDOWN, unix.EBUSY, unix.ENOMEM, unix.EAGAIN, context.DeadlineExceeded, errors.New("unheard of"), fmt.Errorf("%w: %w", filter.ErrConflict, unix.ENOENT)},
		dataplane.ClassPermanent: {dataplane.ErrInvalid, unix.EINVAL, netns.ErrName},
		dataplane.ClassOperator:  {unix.EPERM, unix.EACCES, unix.EROFS, unix.EMFILE, unix.ENFILE, unix.EOPNOTSUPP},
	} {
		for _, err := range errs {
			wrapped := err
			if err != nil {
				wrapped = fmt.Errorf("namespace qrouter-1: %w", err)
			}
			if got := dataplane.Classify(wrapped); got != want {
				t.Errorf("%v is %s, want %s", err, got, want)
			}
		}
	}
	f := dataplane.Failure{Device: dev, Addr: host(1), Op: "entry set", Err: unix.EPERM}
	if got, want := f.Error(), "entry set on qg-1 for 2001:db8:0:2::1: operation not permitted"; got != want || !errors.Is(f, unix.EPERM) {
		t.Errorf("failure reads %q", got)
	}
}

func TestStateText(t *testing.T) {
	s := dataplane.State{Namespace: "qrouter-1", Devices: []dataplane.Device{
		{Name: "qg-2", ProxyDelay: dataplane.LeaveProxyDelay},
		{
			Name: "qg-1", Answer: true, LinkLocal: addr("fe80::1"), Published: []netip.Addr{host(2), host(1), host(2)},
			Guarded: []netip.Prefix{prefix("2001:db8:0:2::7/64"), prefix("2001:db8:0:2::/64")},
		},
	}}
	s.Normalize()
	want := `namespace qrouter-1
device qg-1 answer on link-local fe80::1 proxy-delay 0s
  guard 2001:db8:0:2::/64
  publish 2001:db8:0:2::1
  publish 2001:db8:0:2::2
device qg-2 answer off link-local none proxy-delay kernel
`
	if d := cmp.Diff(want, s.String()); d != "" {
		t.Error(d)
	}
}
