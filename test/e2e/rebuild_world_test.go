//go:build lab

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// footprint is all that the daemon has made on a host: a line for each thing, by network namespace.
// A namespace without a line has nothing of ours.
type footprint map[string][]string

// readFootprint looks into every network namespace of a host.
func (w *world) readFootprint(n *lab.Node) (footprint, error) {
	dir, err := os.ReadDir(filepath.Join(nettools.NetnsDir, n.NS("")))
	if err != nil {
		return nil, err
	}
	f := footprint{}
	for _, file := range dir {
		lines, err := w.ours(n.NS(file.Name()))
		if err != nil {
			return nil, err
		}
		if len(lines) > 0 {
			f[file.Name()] = lines
		}
	}
	return f, nil
}

// ours lists what of ours is in a namespace.
func (w *world) ours(ns string) ([]string, error) {
	k, err := nettools.ReadKernel(w.ctx, ns, table)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, e := range k.Marked(protocol) {
		lines = append(lines, e.String())
	}
	for key, value := range k.Sysctls {
		if strings.HasSuffix(key, "/proxy_ndp") && value != "0" || strings.HasSuffix(key, "/proxy_delay") && value == "0" {
			lines = append(lines, key+" = "+value)
		}
	}
	sets, err := nettools.Sets(w.ctx, ns, "ip6", table)
	if err != nil {
		return nil, err
	}
	if sets != nil {
		lines = append(lines, "table "+table)
	}
	for name, elements := range sets {
		if !strings.HasPrefix(name, "published-") && !strings.HasPrefix(name, "guarded-") {
			continue
		}
		covered, err := cover(elements)
		if err != nil {
			return nil, err
		}
		lines = append(lines, name+" "+covered)
	}
	slices.Sort(lines)
	return lines, nil
}

// enabled is the footprint of a router that answers: its published addresses and the internal subnets
// that are closed but for them.
func enabled(c *lab.Cloud, guarded []netip.Prefix, published ...netip.Addr) footprint {
	qg := c.GatewayDev
	lines := []string{
		"table " + table,
		"ipv6/conf/" + qg + "/proxy_ndp = 1",
		"ipv6/neigh/" + qg + "/proxy_delay = 0",
		"published-" + qg + " " + covers(published),
		"guarded-" + qg + " " + covers(guarded),
	}
	for _, a := range published {
		lines = append(lines, nettools.ProxyEntry{Addr: a, Device: qg, Protocol: fmt.Sprint(protocol)}.String())
	}
	slices.Sort(lines)
	return footprint{c.Namespace: lines}
}

// cover writes a set of addresses, prefixes and ranges in the one way that does not depend on how nft
// joins or divides them: as the fewest prefixes that cover it.
func cover(elements []string) (string, error) {
	var b netipx.IPSetBuilder
	for _, e := range elements {
		if r, err := netipx.ParseIPRange(e); err == nil {
			b.AddRange(r)
		} else if p, err := netip.ParsePrefix(e); err == nil {
			b.AddPrefix(p)
		} else if a, err := netip.ParseAddr(e); err == nil {
			b.Add(a)
		} else {
			return "", fmt.Errorf("not an address, prefix or range: %q", e)
		}
	}
	set, err := b.IPSet()
	if err != nil {
		return "", err
	}
	return fmt.Sprint(set.Prefixes()), nil
}

func covers[T fmt.Stringer](all []T) string {
	var elements []string
	for _, x := range all {
		elements = append(elements, x.String())
	}
	text, err := cover(elements)
	if err != nil {
		return err.Error() // in the comparison, where it is seen
	}
	return text
}

// subnet112 is the subnet of an address in the lab: all of them have 112 bits.
func subnet112(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 112).Masked() }

// settled requires that soon exactly this is there of ours, in all namespaces of the host.
func (w *world) settled(within time.Duration, n *lab.Node, want footprint) {
	w.Helper()
	var diff string
	for ctx := w.within(within); ; {
		got, err := w.readFootprint(n)
		switch {
		case err != nil: // a namespace that is being made or taken away
			diff = err.Error()
		default:
			diff = cmp.Diff(want, got)
		}
		if diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			w.Fatalf("%s: what is there of ours after %v (-want +got):\n%s", n, within, diff)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// rebuild is a world in which the router is torn down and built again while one daemon runs.
type rebuild struct {
	*world
	host   *lab.Node
	hidden *lab.Instance // on the same subnet, not published
}

// rebuilds is what one subtest leaves to the next; nil after one that failed.
type rebuilds struct{ last *rebuild }

// starting brings the cloud into its starting state, whatever an earlier subtest did, and proves it.
func (s *rebuilds) starting(t *testing.T) *rebuild {
	t.Helper()
	w := outer(t)
	r := &rebuild{world: w}
	if s.last != nil {
		w.cloud, w.inst, r.host, r.hidden = s.last.cloud, s.last.inst, s.last.host, s.last.hidden
	} else {
		r.establish()
	}
	s.last = nil
	w.finally(func(ctx context.Context) error {
		if !t.Failed() {
			s.last = r
			return nil
		}
		// it may have left a router of another kind, or elsewhere: the next begins anew
		return w.cloud.WipeRouter(ctx)
	})
	r.works(agentTime, r.published())
	return r
}

func (r *rebuild) establish() {
	r.Helper()
	var err error
	r.host, err = r.lab.Node(lab.Host)
	r.must(err)
	r.cloud, err = r.lab.EnsureCloud(r.ctx, r.api)
	r.must(err)
	r.inst, err = r.cloud.EnsureInstance(r.ctx, lab.InstanceName, netip.Addr{})
	r.must(err)
	r.hidden, err = r.cloud.EnsureInstance(r.ctx, "hidden", netip.Addr{})
	r.must(err)
	r.must(r.inst.Reroute(r.ctx, r.cloud))
	r.must(r.hidden.Reroute(r.ctx, r.cloud))
	r.must(r.cloud.PublishOnly(r.ctx, r.inst))
}

// with is the same with the router elsewhere.
func (r *rebuild) with(c *lab.Cloud) *rebuild {
	w := *r.world
	w.cloud = c
	other := *r
	other.world = &w
	return &other
}

// published is the footprint of the starting state: one published address, its subnet closed.
func (r *rebuild) published() footprint {
	return enabled(r.cloud, []netip.Prefix{subnet112(r.inst.Addr)}, r.inst.Addr)
}

// closed is the footprint of a router that publishes nothing.
func (r *rebuild) closed() footprint {
	return enabled(r.cloud, []netip.Prefix{subnet112(r.inst.Addr)})
}

// works requires that soon exactly this is there of ours, that the instance is reached by ping and by
// UDP without a loss, that its unpublished neighbour is not, and what else is to be proved.
func (r *rebuild) works(within time.Duration, want footprint, more ...proof) {
	r.Helper()
	asked := time.Now()
	at, err := nettools.AwaitReachable(r.within(within), lab.UpstreamNS, r.inst.Addr)
	if err != nil {
		r.logKernel()
		r.Fatal(err)
	}
	r.Logf("answers ping %v after it was asked for", at.Sub(asked).Round(time.Millisecond))
	r.settled(5*time.Second, r.host, want)
	r.proves(append(more, r.passes(r.inst), r.blocks(r.hidden.Addr))...)
}

// proof is something to show by packets; it may be shown together with others.
type proof func() error

// proves shows all of these at the same time.
func (r *rebuild) proves(all ...proof) {
	r.Helper()
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, p := range all {
		wait.Go(func() { errs[i] = p() })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			r.Error(err)
		}
	}
	if r.Failed() {
		r.logKernel()
	}
}

// passes: UDP goes to the instance and back without a loss.
func (r *rebuild) passes(i *lab.Instance) proof {
	return func() error {
		server, err := nettools.StartEcho(i.Namespace, i.Addr)
		if err != nil {
			return err
		}
		defer func() { _ = server.Close() }() // of the test
		report, err := nettools.Flow(r.within(10*time.Second), lab.UpstreamNS, server.Addr(), 30, 10*time.Millisecond)
		if err == nil && len(report.Lost) > 0 {
			err = fmt.Errorf("to %s: %v", i.Addr, report)
		}
		return err
	}
}

// blocks: an address is not reached although the upstream router sends to the gateway what is for it.
// No neighbour has to be resolved then, so the filter alone can stop it.
func (r *rebuild) blocks(a netip.Addr) proof {
	return func() error {
		undo, err := r.cloud.RouteVia(r.ctx, a, r.cloud.Gateway)
		if err != nil {
			return err
		}
		return errors.Join(r.silent(a)(), undo(r.ctx))
	}
}

// silent: an address does not answer the upstream router, whose neighbour on the link it is.
func (r *rebuild) silent(a netip.Addr) proof {
	return func() error {
		p, err := nettools.StartPing(nettools.PingConfig{Namespace: lab.UpstreamNS, Target: a})
		if err != nil {
			return err
		}
		err = p.AwaitSent(r.ctx, 50)
		report := p.Stop()
		if n := len(report.Pings) - len(report.Lost()); err == nil && n > 0 {
			err = fmt.Errorf("%s must not be reachable, but %d of %d pings were answered", a, n, len(report.Pings))
		}
		return err
	}
}

// refused requires that Neutron refuses with 409.
func (r *rebuild) refused(what string, err error) {
	r.Helper()
	if lab.StatusOf(err) != 409 {
		r.Fatalf("%s: %v, want Neutron's refusal (409)", what, err)
	}
	r.Logf("%s: %v", what, err)
}

// setNDP switches NDP proxy on the router on, as the documented order has it after a gateway was set:
// the server has done so by itself if the network supports it.
func (r *rebuild) setNDP() {
	r.Helper()
	router, err := r.cloud.ShowRouter(r.ctx)
	r.must(err)
	r.Logf("after the gateway was set, enable_ndp_proxy is %v", router.NDP)
	r.must(r.cloud.UpdateRouter(r.ctx, lab.Fields{"enable_ndp_proxy": true}))
}

// publish publishes the instance.
func (r *rebuild) publish() {
	r.Helper()
	_, err := r.cloud.Publish(r.ctx, r.inst)
	r.must(err)
}
