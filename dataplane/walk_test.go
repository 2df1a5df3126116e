package dataplane_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
)

// walkTime bounds the random walk on each kernel.
const walkTime = 8 * time.Second

// From any state, through any mischief, an Apply ends in the wanted state:
// nothing is left to write, and other tools see exactly what a model says.
func TestRandomWalk(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		start := time.Now()
		steps := 0
		rapid.Check(t, func(rt *rapid.T) {
			if time.Since(start) > walkTime {
				return
			}
			w.remake()
			k := &walker{t: rt, w: w, present: map[string]bool{}}
			k.restart()
			for range rapid.IntRange(1, 8).Draw(rt, "steps") {
				k.mischief()
				k.step()
				steps++
			}
			k.cleanUp()
		})
		t.Logf("%d steps in %s", steps, time.Since(start))
		if steps < 10 {
			t.Errorf("only %d steps", steps)
		}
	})
}

type walker struct {
	t       *rapid.T
	w       world
	d       *dataplane.Dataplane
	present map[string]bool
	state   dataplane.State
	// blind: the table was deleted by hand, and with it the only proof that a
	// device without entries was ours.
	blind bool
}

func walkDevices() []string { return []string{"qg-1", "qg-2"} }

// restart is a new process.
func (k *walker) restart() {
	k.d = dataplane.New(dataplane.Options{Logger: zap.NewNop(), Kernel: k.w.kernel()})
}

func (k *walker) cleanUp() {
	k.state = dataplane.State{Namespace: namespace}
	k.settle()
	if owned, err := k.d.Owned(k.t.Context(), namespace); err != nil || owned {
		k.t.Fatalf("owned after clean-up: %v, %v", owned, err)
	}
}

func (k *walker) draw() dataplane.State {
	s := dataplane.State{Namespace: namespace}
	for _, name := range walkDevices() {
		if rapid.IntRange(0, 4).Draw(k.t, name) == 0 {
			continue
		}
		d := dataplane.Device{
			Name: name, Answer: rapid.Bool().Draw(k.t, "answer"),
			Open:      rapid.IntRange(0, 3).Draw(k.t, "open") == 0,
			Exclusive: rapid.IntRange(0, 3).Draw(k.t, "exclusive") == 0,
		}
		if rapid.Bool().Draw(k.t, "rule") {
			d.LinkLocal = addr(fmt.Sprintf("fe80::%d", rapid.IntRange(1, 2).Draw(k.t, "link-local")))
		}
		d.ProxyDelay = rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, dataplane.LeaveProxyDelay}).Draw(k.t, "delay")
		for n := range 6 {
			if rapid.Bool().Draw(k.t, "published") {
				d.Published = append(d.Published, host(n+1))
			}
		}
		for n := range 3 {
			if rapid.Bool().Draw(k.t, "guarded") {
				d.Guarded = append(d.Guarded, prefix(fmt.Sprintf("2001:db8:0:%d::/64", n+1)))
			}
		}
		s.Devices = append(s.Devices, d)
	}
	k.drawWays(&s)
	return s
}

// mischief is what happens to a namespace behind our back.
func (k *walker) mischief() {
	device := rapid.SampledFrom(walkDevices()).Draw(k.t, "device")
	kind := rapid.IntRange(0, 12).Draw(k.t, "mischief")
	switch kind {
	case 0:
		device = k.someDevice()
		if k.present[device] {
			k.w.removeDevice(device)
		} else {
			k.w.addDevice(device)
		}
		k.present[device] = !k.present[device]
	case 1:
		if k.present[device] {
			k.w.setEntry(device, host(rapid.IntRange(1, 7).Draw(k.t, "entry")), ours, false)
		}
	case 2:
		if e := k.w.entries(); len(e) > 0 {
			var name, a, protocol string
			if _, err := fmt.Sscan(e[0], &name, &a, &protocol); err != nil {
				k.t.Fatal(err)
			}
			k.w.deleteEntry(name, addr(a))
		}
	case 3:
		if e := k.w.elements(device); len(e) > 0 {
			k.w.deleteElement(device, e[0])
		}
	case 4:
		if owned, err := k.d.Owned(k.t.Context(), namespace); err == nil && owned && len(k.state.Devices) > 0 {
			k.w.dropTable()
			k.blind = true
		}
	case 5: // a new process
		k.restart()
	case 6: // killed on the way to somewhere else
		faults := fakekernel.NewFaults(k.w.kernel())
		d := dataplane.New(dataplane.Options{Logger: zap.NewNop(), Kernel: faults})
		have, err := d.Observe(k.t.Context(), namespace, dataplane.Deep)
		if err != nil {
			k.t.Fatal(err)
		}
		faults.Cut(rapid.IntRange(0, 6).Draw(k.t, "cut"), errors.New("killed"))
		_, _ = d.Apply(k.t.Context(), dataplane.Diff(k.draw(), have)) // it fails, or not
	default:
		k.wayMischief(kind - 7)
	}
}

// step wants something else, or the same again.
func (k *walker) step() {
	if rapid.IntRange(0, 3).Draw(k.t, "other") > 0 {
		k.state = k.draw()
	}
	k.settle()
}

func (k *walker) settle() {
	e := k.expect()
	k.apply()
	k.compareWays(e)
	k.compare()
}

func (k *walker) apply() {
	for range 2 {
		have, err := k.d.Observe(k.t.Context(), namespace, dataplane.Deep)
		if err != nil {
			k.t.Fatal(err)
		}
		c := dataplane.Diff(k.state, have)
		if c.Empty() {
			return
		}
		res, err := k.d.Apply(k.t.Context(), c)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, f := range res.Failures {
			if f.Class() != dataplane.ClassGone && !errors.Is(f, dataplane.ErrTaken) {
				k.t.Fatalf("failure %v of\n%s", f, c)
			}
		}
	}
	have, err := k.d.Observe(k.t.Context(), namespace, dataplane.Deep)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Fatalf("not settled after two rounds; want\n%sleft\n%s", k.state, dataplane.Diff(k.state, have))
}

// compare is the model: what other tools must see of filters and sysctls.
func (k *walker) compare() {
	for _, name := range walkDevices() {
		d, wanted := k.state.Device(name)
		published := k.routable(d.Published)
		if got := k.w.elements(name); !slices.Equal(got, published) {
			k.t.Fatalf("set of %s is %v, want %v", name, got, published)
		}
		if !k.present[name] {
			continue
		}
		if got := k.w.proxyNDP(name); got != d.Answer && (wanted || !k.blind) {
			k.t.Fatalf("proxy_ndp of %s is %v in\n%s", name, got, k.state)
		}
		if got := k.w.proxyDelay(name); wanted && d.ProxyDelay != dataplane.LeaveProxyDelay && got != d.ProxyDelay {
			k.t.Fatalf("proxy_delay of %s is %s, want %s", name, got, d.ProxyDelay)
		}
	}
}
