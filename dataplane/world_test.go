package dataplane_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/fakekernel"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
	"neutron-ndp-proxy-agent/test/nettest"
)

const (
	namespace = "ns"
	table     = dataplane.DefaultTable
	ours      = dataplane.DefaultProtocol
)

// world is a kernel with one namespace and the hands of an administrator in
// it. What it shows comes from other tools than the code under test.
type world interface {
	kernel() dataplane.Kernel
	addDevice(name string)
	removeDevice(name string)
	// remake deletes the namespace and makes another of the same name.
	remake()
	setEntry(device string, a netip.Addr, protocol uint8, router bool)
	deleteEntry(device string, a netip.Addr)
	// entries are "device address protocol", sorted.
	entries() []string
	setIPv6(device string, on bool)
	setProxyNDP(device string, on bool)
	proxyNDP(device string) bool
	setProxyDelay(device string, d time.Duration)
	proxyDelay(device string) time.Duration
	dropTable()
	deleteElement(device string, a netip.Addr)
	// elements of the device's published set, sorted; nil without a table.
	elements(device string) []netip.Addr
	ways
}

// worlds runs a test against the fake and the kernel.
func worlds(t *testing.T, test func(t *testing.T, w world)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) {
		w := &fakeWorld{k: fakekernel.New()}
		w.remake()
		test(t, w)
	})
	t.Run("kernel", func(t *testing.T) {
		l := nettest.New(t)
		w := &linuxWorld{t: t, lab: l}
		w.ns = l.Namespace(namespace)
		test(t, w)
	})
}

type fakeWorld struct {
	k *fakekernel.Kernel
	n *fakekernel.Namespace
}

func (w *fakeWorld) kernel() dataplane.Kernel { return w.k }
func (w *fakeWorld) addDevice(name string)    { w.n.AddDevice(name) }
func (w *fakeWorld) removeDevice(name string) { w.n.RemoveDevice(name) }
func (w *fakeWorld) remake()                  { w.n = w.k.AddNamespace(namespace) }
func (w *fakeWorld) dropTable()               { w.n.DropTable(table) }

func (w *fakeWorld) setEntry(device string, a netip.Addr, protocol uint8, router bool) {
	flags := uint8(0)
	if router {
		flags = neigh.FlagRouter
	}
	w.n.SetEntry(device, a, protocol, flags)
}

func (w *fakeWorld) deleteEntry(device string, a netip.Addr) { w.n.DeleteEntry(device, a) }

func (w *fakeWorld) setIPv6(device string, on bool) { w.n.SetIPv6(device, on) }

func (w *fakeWorld) setProxyNDP(device string, on bool) {
	w.n.SetConf(device, func(v *sysctl.Values) { v.ProxyNDP = on })
}

func (w *fakeWorld) proxyNDP(device string) (on bool) {
	w.n.SetConf(device, func(v *sysctl.Values) { on = v.ProxyNDP })
	return on
}

func (w *fakeWorld) setProxyDelay(device string, d time.Duration) {
	w.n.SetConf(device, func(v *sysctl.Values) { v.ProxyDelay = d })
}

func (w *fakeWorld) proxyDelay(device string) (d time.Duration) {
	w.n.SetConf(device, func(v *sysctl.Values) { d = v.ProxyDelay })
	return d
}

func (w *fakeWorld) deleteElement(device string, a netip.Addr) {
	w.n.DeleteElement(table, device, a)
}

func (w *fakeWorld) entries() []string {
	s, err := w.k.Open(namespace)
	if err != nil {
		panic(err)
	}
	links, _ := s.Links(noContext)
	list, _ := s.Neighbours(noContext)
	var out []string
	for _, e := range list {
		for _, l := range links {
			if l.Index == e.Index {
				out = append(out, fmt.Sprintf("%s %s %d", l.Name, e.Addr, e.Protocol))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (w *fakeWorld) elements(device string) []netip.Addr {
	s, err := w.k.Open(namespace)
	if err != nil {
		panic(err)
	}
	f, _ := s.ReadFilter(noContext, table, true)
	d, _ := f.Device(device)
	return d.Published
}

type linuxWorld struct {
	t   *testing.T
	lab *nettest.Lab
	ns  *nettest.Namespace
}

func (w *linuxWorld) kernel() dataplane.Kernel { return dataplane.Linux(w.lab.Dir) }
func (w *linuxWorld) addDevice(name string)    { w.ns.Device(name) }
func (w *linuxWorld) removeDevice(name string) { w.ns.IP("link", "del", name) }

func (w *linuxWorld) remake() {
	w.lab.Delete(w.ns)
	w.ns = w.lab.Namespace(namespace)
}

func (w *linuxWorld) setEntry(device string, a netip.Addr, protocol uint8, router bool) {
	args := []string{"-6", "neigh", "replace", "proxy", a.String(), "dev", device}
	if router {
		args = append(args, "router")
	}
	if protocol != 0 {
		args = append(args, "protocol", strconv.Itoa(int(protocol)))
	}
	w.ns.IP(args...)
}

func (w *linuxWorld) deleteEntry(device string, a netip.Addr) {
	w.ns.IP("-6", "neigh", "del", "proxy", a.String(), "dev", device)
}

func (w *linuxWorld) entries() []string {
	var list []struct {
		Dst, Dev, Protocol string
	}
	w.json(&list, "ip", "-j", "-N", "-6", "neigh", "show", "proxy")
	var out []string
	for _, e := range list {
		if e.Protocol == "" {
			e.Protocol = "0"
		}
		out = append(out, e.Dev+" "+e.Dst+" "+e.Protocol)
	}
	slices.Sort(out)
	return out
}

func (w *linuxWorld) json(into any, name string, args ...string) {
	w.t.Helper()
	out := []byte(w.ns.Run(name, args...))
	if len(bytes.TrimSpace(out)) == 0 {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		w.t.Fatalf("%s %v: %v in %s", name, args, err, out)
	}
}

func (w *linuxWorld) setIPv6(device string, on bool) {
	value := "1"
	if on {
		value = "0"
	}
	w.ns.Sysctl("net/ipv6/conf/"+device+"/disable_ipv6", value)
}

func (w *linuxWorld) setProxyNDP(device string, on bool) {
	value := "0"
	if on {
		value = "1"
	}
	w.ns.Sysctl("net/ipv6/conf/"+device+"/proxy_ndp", value)
}

func (w *linuxWorld) proxyNDP(device string) bool {
	return w.ns.ReadSysctl("net/ipv6/conf/"+device+"/proxy_ndp") == "1"
}

func (w *linuxWorld) setProxyDelay(device string, d time.Duration) {
	w.ns.Sysctl("net/ipv6/neigh/"+device+"/proxy_delay", strconv.Itoa(int(d/(10*time.Millisecond))))
}

func (w *linuxWorld) proxyDelay(device string) time.Duration {
	n, err := strconv.Atoi(w.ns.ReadSysctl("net/ipv6/neigh/" + device + "/proxy_delay"))
	if err != nil {
		w.t.Fatal(err)
	}
	return time.Duration(n) * 10 * time.Millisecond
}

func (w *linuxWorld) dropTable() { w.ns.Run("nft", "delete", "table", "ip6", table) }

func (w *linuxWorld) deleteElement(device string, a netip.Addr) {
	w.ns.Run("nft", "delete", "element", "ip6", table, "published-"+device, "{ "+a.String()+" }")
}

func (w *linuxWorld) elements(device string) []netip.Addr {
	out, err := w.ns.Try("nft", "-j", "list", "set", "ip6", table, "published-"+device)
	if err != nil {
		if strings.Contains(err.Error(), "No such file") {
			return nil
		}
		w.t.Fatal(err)
	}
	var doc struct {
		Nftables []struct {
			Set *struct{ Elem []string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		w.t.Fatalf("%v in %s", err, out)
	}
	var addrs []netip.Addr
	for _, o := range doc.Nftables {
		if o.Set != nil {
			for _, e := range o.Set.Elem {
				addrs = append(addrs, addr(e))
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
